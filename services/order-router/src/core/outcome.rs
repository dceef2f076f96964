//! What became of commands. An outcome is remembered; it never leads to a command.

use contracts::wire::{Outcome, OutcomeState};
use domain::{Operation, OperationKey};

use super::decision::{Decision, Settled, Verdict};
use super::life::{BOOK, Life, OrderLife, Placed, Progress, RefundState, Stage, Touched, Why};

/// Remembers one outcome.
pub fn reported(mut life: Life, outcome: &Outcome) -> Decision {
    let Some(OrderLife { stage: Stage::Placed(placed), touched, .. }) = &mut life.order else {
        return Decision::needless(life, "not_ours");
    };
    if outcome.target.as_ref() != Some(&placed.target) {
        return Decision::needless(life, "not_ours");
    }
    let [place, confirm, revise, cancel, book, _] = Operation::NAMES;
    let moves = match outcome.operation.as_str() {
        it if it == place => note_place(placed, outcome),
        it if it == confirm => placed.confirm.as_mut().is_some_and(|it| it.advance(outcome.state, outcome.completed_at)),
        it if it == cancel => placed.cancel.as_mut().is_some_and(|it| it.advance(outcome.state, outcome.completed_at)),
        // Only the newest revision is remembered.
        it if it == revise => placed
            .revise
            .as_mut()
            .is_some_and(|(sequence, it)| *sequence == outcome.sequence && it.advance(outcome.state, outcome.completed_at)),
        it if it == book => return refund_reported(life, outcome),
        _ => return Decision::needless(life, "not_ours"),
    };
    if !moves {
        return Decision::superseded(life);
    }
    note(placed, outcome);
    *touched = Touched::Progress;
    let is_given_up = placed.place.progress == Progress::Discarded;
    let released = if is_given_up { life.drop_waiting_refunds(Why::PlaceDiscarded) } else { Vec::new() };
    Decision { released, ..Decision::new(life, Verdict::Settled(Settled::Applied(None))) }
}

fn note_place(placed: &mut Placed, outcome: &Outcome) -> bool {
    let moves = placed.place.advance(outcome.state, outcome.completed_at);
    if moves && outcome.confirmed && outcome.state == OutcomeState::Applied {
        // The placing carried the confirmation.
        if let Some(confirm) = &mut placed.confirm {
            confirm.advance(outcome.state, outcome.completed_at);
        }
    }
    moves
}

/// What every outcome of the order may tell.
fn note(placed: &mut Placed, outcome: &Outcome) {
    match outcome.state {
        OutcomeState::Applied => {
            placed.failure = None;
            placed.erp_confirmed |= outcome.confirmed;
            let reference = outcome.references.iter().find(|it| it.kind == "sale").or(outcome.references.first());
            if let (Some(reference), None) = (reference, &placed.erp_id) {
                placed.erp_id = Some(reference.id.clone());
            }
            if let Some(reference) = reference.filter(|it| placed.erp_id.as_ref() == Some(&it.id) && !it.number.is_empty()) {
                // A quotation may get its number later.
                placed.erp_number = Some(reference.number.clone());
            }
        }
        OutcomeState::Dead => placed.failure = outcome.failure.as_ref().map(|it| it.code.clone()),
        OutcomeState::Superseded | OutcomeState::Discarded | OutcomeState::Replaying => {}
    }
}

fn refund_reported(mut life: Life, outcome: &Outcome) -> Decision {
    let is_it = |id: &str| OperationKey::create(&life.refund_ref(id), BOOK).as_str() == outcome.operation_key;
    let Some(index) = life.refunds.iter().position(|it| is_it(&it.id)) else {
        return Decision::needless(life, "not_ours");
    };
    let refund = &mut life.refunds[index];
    let RefundState::Sent(sent) = &mut refund.state else {
        return Decision::needless(life, "not_ours");
    };
    if !sent.advance(outcome.state, outcome.completed_at) {
        return Decision::superseded(life);
    }
    refund.touched = Touched::Progress;
    Decision::new(life, Verdict::Settled(Settled::Applied(None)))
}

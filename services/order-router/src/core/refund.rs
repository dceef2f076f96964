//! A version of a refund.
//!
//! A refund is booked once. Until then its newest version counts; after that a version with the same goods and money changes
//! nothing, and one with others is for a person to look at: the target has the old figures.

use std::sync::Arc;

use bytes::Bytes;
use domain::{OperationKey, Refund, RefundAdjustment, RefundAdjustmentKind};

use super::Version;
use super::decision::{Decision, Released, Settled, Verdict, Wait};
use super::error::Error;
use super::life::{BOOK, KnownRefund, Life, Progress, RefundState, Sent, Stage, Touched, Why};

/// Decides about one version of a refund. `message`: as it was read.
pub fn changed(mut life: Life, version: Version, refund: &Refund, message: Bytes) -> Result<Decision, Error> {
    let index = life.refund_index(&refund.id);
    let known = index.map(|index| life.refunds[index].clone());
    if let Some(known) = &known {
        if version.sequence < known.sequence {
            return Ok(Decision::superseded(life));
        }
        if version.sequence == known.sequence {
            return match known.version == message {
                true => Ok(Decision::superseded(life)),
                false => Err(Error::SequenceConflict { entity: life.refund_ref(&refund.id), sequence: version.sequence }),
            };
        }
    }
    let mut now = KnownRefund {
        id: refund.id.clone(),
        sequence: version.sequence,
        event: version.event,
        version: message,
        state: RefundState::Waiting,
        touched: Touched::Whole,
    };
    let (mut commands, mut released) = (Vec::new(), Vec::new());
    let verdict = match known.as_ref().map(|it| it.state) {
        Some(RefundState::Sent(sent)) => {
            now.state = RefundState::Sent(sent);
            settle_sent(&life, known.as_ref().expect("it was sent"), sent, version, refund)?
        }
        // Whether it was taken out before, each version says anew.
        Some(RefundState::Dropped(why)) if why != Why::TakenOutBefore => {
            now.state = RefundState::Dropped(why);
            Verdict::Settled(why.settled())
        }
        waited => {
            if let (Some(RefundState::Waiting), Some(known)) = (waited, &known) {
                released.push(Released { event: known.event, settled: Settled::Superseded });
            }
            let (state, verdict) = begin(&life, version, refund)?;
            now.state = state;
            if let (RefundState::Sent(_), Some(placed)) = (state, life.placed()) {
                let order = life.order.as_ref().expect("it is placed");
                commands.push(life.refund_command(&now, &placed.target, (order.decode()?, order.version.clone()))?);
            }
            verdict
        }
    };
    match index {
        Some(index) => life.refunds[index] = now,
        None => life.refunds.push(now),
    }
    Ok(Decision { life, verdict, commands, released })
}

/// What happens to a refund that was not sent: it goes where its order went.
fn begin(life: &Life, version: Version, refund: &Refund) -> Result<(RefundState, Verdict), Error> {
    let dropped = |why: Why| Ok((RefundState::Dropped(why), Verdict::Settled(why.settled())));
    let waiting = Ok((RefundState::Waiting, Verdict::Waiting(Wait::Order)));
    if version.is_deleted {
        return dropped(Why::DeletedBeforePlaced);
    }
    let Some(order) = &life.order else { return waiting };
    match &order.stage {
        Stage::Held { reason, .. } => Ok((RefundState::Waiting, Verdict::Waiting(Wait::Hold(Arc::clone(reason))))),
        Stage::Dropped(why) => dropped(*why),
        Stage::Placed(placed) if placed.place.progress == Progress::Discarded => dropped(Why::PlaceDiscarded),
        Stage::Placed(placed) if life.is_taken_out(placed, refund)? => dropped(Why::TakenOutBefore),
        Stage::Placed(placed) if !placed.takes(refund, &order.decode()?) => waiting,
        Stage::Placed(_) => Ok((RefundState::Sent(Sent::NEW), Verdict::Settled(Settled::Applied(None)))),
    }
}

fn settle_sent(life: &Life, known: &KnownRefund, sent: Sent, version: Version, refund: &Refund) -> Result<Verdict, Error> {
    let needless = |reason| Ok(Verdict::Settled(Settled::Applied(Some(reason))));
    if version.is_deleted {
        return needless("deleted_in_source");
    }
    // Somebody decided that the target gets nothing of it.
    if sent.progress == Progress::Discarded || same_figures(&known.decode()?, refund) {
        return needless("already_booked");
    }
    let target = life.placed().map(|it| it.target.to_string()).unwrap_or_default();
    Err(Error::RefundChanged { operation: OperationKey::create(&life.refund_ref(&refund.id), BOOK), target })
}

/// Goods and money, but not how far the money has moved: pending differences say that.
fn same_figures(before: &Refund, after: &Refund) -> bool {
    let lasting = |it: &&RefundAdjustment| it.kind != RefundAdjustmentKind::PendingDiscrepancy;
    before.lines == after.lines && before.adjustments.iter().filter(lasting).eq(after.adjustments.iter().filter(lasting))
}

//! One step: what to do with it next, what its claim writes, what its result writes.

use std::time::Duration;

use connector::erp::{Findings, Guarantee, Step};
use store::effects::{StepRow, StepState};
use uuid::Uuid;

/// Looks that must not find a step before it is sent again where only looking can tell.
pub const LOOKS: i32 = 2;

/// How long a request in doubt is left alone where only looking can tell.
#[derive(Debug, Clone, Copy)]
pub struct LookWaits {
    /// Before the first look: a target may go on with a request that we gave up waiting for.
    pub first: Duration,
    /// Before the next: a target may show its writes late.
    pub next: Duration,
}

impl LookWaits {
    fn before(&self, row: &StepRow) -> Duration {
        if row.looks == 0 { self.first } else { self.next }
    }
}

/// Code of the letter for a step that nobody can tell whether it was done.
pub const AMBIGUOUS: &str = "effect_ambiguous";

/// What to do with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Read the target: is it there?
    Probe,
    /// Send its request, for the first time or the same again.
    Send,
    /// It is done.
    Skip,
    /// Somebody has to look into the target.
    Ambiguous,
    LookAgainIn(Duration),
}

/// `row` must be free: not claimed by anybody who may still be at it; see [`recover`]. `may_decide`: a person asked for another try,
/// which decides what nobody can tell.
pub fn plan(step: &Step, row: &StepRow, waits: LookWaits, may_decide: bool) -> Mode {
    match row.state {
        StepState::Confirmed => Mode::Skip,
        StepState::Pending | StepState::Rejected if step.look_first && row.looks == 0 => Mode::Probe,
        StepState::Pending | StepState::Rejected => Mode::Send,
        StepState::InFlight | StepState::Unknown => match step.guarantee {
            Guarantee::IdempotencyKey | Guarantee::Upsert => Mode::Send,
            // The target's refusal of a second one is the last line of defence, not the first.
            Guarantee::Unique if row.looks == 0 => Mode::Probe,
            Guarantee::Unique => Mode::Send,
            Guarantee::Lookup if row.looks >= LOOKS => Mode::Send,
            Guarantee::Lookup if row.idle < waits.before(row) => Mode::LookAgainIn(waits.before(row) - row.idle),
            Guarantee::Lookup => Mode::Probe,
            Guarantee::None if may_decide && row.status.as_deref() == Some(AMBIGUOUS) => Mode::Send,
            Guarantee::None => Mode::Ambiguous,
        },
    }
}

/// A free row whose claim was never answered. `was_sent`: false only when it is certain that its request never left us. `lease`: of
/// that claim, to whose end the request may have been waited for.
pub fn recover(row: &mut StepRow, was_sent: bool, lease: Duration) {
    if row.state == StepState::InFlight {
        row.in_doubt |= was_sent;
        row.idle = row.idle.saturating_sub(lease);
        row.looks = 0;
        row.state = if row.in_doubt { StepState::Unknown } else { StepState::Pending };
    }
}

/// Takes it for one probe or one request. A probe leaves the state as it is: it changes nothing in the target.
pub fn claim(row: &mut StepRow, step: &Step, mode: Mode, owner: Uuid, lease: Duration) {
    row.owner = owner;
    row.fence += 1;
    row.attempt += 1;
    row.leased = lease;
    if mode == Mode::Send {
        row.state = StepState::InFlight;
        row.looks = 0;
        row.status = None;
        // It was looked for and is not there, or a person says so. Elsewhere an earlier request may still come through.
        row.in_doubt &= !matches!(step.guarantee, Guarantee::Lookup | Guarantee::None);
    }
}

/// What came of a claim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Came<'a> {
    /// The effect is there, and this is what it learned.
    Done(&'a Findings),
    /// A probe did not find it.
    Missing,
    /// `for_good`: it was given up.
    Failed { mode: Mode, code: &'static str, maybe_applied: bool, for_good: bool },
    /// The lease was too old to send.
    Expired,
}

/// The row must still have the claim's fence.
pub fn settle(row: &mut StepRow, came: Came<'_>) {
    row.fence += 1;
    row.leased = Duration::ZERO;
    match came {
        Came::Done(findings) => confirm(row, findings),
        Came::Missing => {
            row.looks += 1;
            row.state = open_state(row.in_doubt);
        }
        Came::Failed { mode, code, maybe_applied, for_good } => {
            if mode == Mode::Send {
                row.in_doubt |= maybe_applied;
                row.looks = 0;
            }
            row.state = if for_good && !row.in_doubt { StepState::Rejected } else { open_state(row.in_doubt) };
            row.status = Some(code.to_owned());
        }
        Came::Expired => row.state = open_state(row.in_doubt),
    }
}

/// Done, by this command or by another one that shares its identity.
pub fn confirm(row: &mut StepRow, findings: &Findings) {
    row.state = StepState::Confirmed;
    row.in_doubt = false;
    row.looks = 0;
    row.status = None;
    row.findings = findings.clone();
}

/// Of an operation that is given up for now: what it found and nothing was built on yet is looked at again at the next try, which
/// may come days later, because people merge and delete such records. What it knows of them stays, so that what they have only
/// corrected is found. Returns the steps.
pub fn doubt_found(steps: &[Step], rows: &mut [StepRow]) -> Vec<String> {
    let may_be_there = |row: &StepRow| matches!(row.state, StepState::InFlight | StepState::Unknown | StepState::Confirmed);
    let stands = |step: &Step| rows.iter().any(|row| row.step == step.name && may_be_there(row));
    let built = steps.iter().rposition(|it| it.identities.is_empty() && stands(it)).map_or(0, |it| it + 1);
    let is_found = |row: &StepRow| steps[built..].iter().any(|it| !it.identities.is_empty() && it.name == row.step);
    let found = rows.iter_mut().filter(|row| row.state == StepState::Confirmed && is_found(row));
    found.map(doubt).collect()
}

fn doubt(row: &mut StepRow) -> String {
    row.fence += 1;
    row.state = StepState::Pending;
    row.looks = 0;
    row.step.clone()
}

fn open_state(in_doubt: bool) -> StepState {
    if in_doubt { StepState::Unknown } else { StepState::Pending }
}

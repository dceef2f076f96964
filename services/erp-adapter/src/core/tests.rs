//! The rules against a model of a target that loses answers, applies late, and of processes that die anywhere.

use std::time::Duration;

use connector::erp::{Findings, Guarantee, Identity, Step};
use proptest::prelude::*;
use store::effects::{StepRow, StepState};
use uuid::Uuid;

use super::step::{Came, LookWaits, Mode, claim, doubt_found, plan, recover, settle};

const WAITS: LookWaits = LookWaits { first: Duration::from_secs(30), next: Duration::from_secs(2) };
const LEASE: Duration = Duration::from_secs(60);

/// What befalls one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    /// The target did it, we never heard of it.
    AnswerLost,
    /// It did it after we had stopped listening.
    AppliedLate,
    /// It never reached the target, and we can't know.
    RequestLost,
    /// A clear refusal.
    Refused,
    /// It waited too long for its slot.
    Expired,
    DiesBeforeSending,
    DiesAfterSending,
    /// What was sent at the last moment, by whoever is dead, is done late.
    DiesAndAppliedLate,
    /// The result is committed twice, because the first commit's answer was lost.
    ResultTwice,
}

const FATES: [Fate; 10] = [
    Fate::Fine,
    Fate::AnswerLost,
    Fate::AppliedLate,
    Fate::RequestLost,
    Fate::Refused,
    Fate::Expired,
    Fate::DiesBeforeSending,
    Fate::DiesAfterSending,
    Fate::DiesAndAppliedLate,
    Fate::ResultTwice,
];

struct Target {
    guarantee: Guarantee,
    /// When each effect came about; more than one is what must never be.
    effects: Vec<Duration>,
    /// How late its reads show its writes.
    shows_after: Duration,
}

impl Target {
    fn receive(&mut self, at: Duration) {
        let knows_it = !self.effects.is_empty() && !matches!(self.guarantee, Guarantee::Lookup | Guarantee::None);
        if !knows_it {
            self.effects.push(at);
        }
    }

    fn shows(&self, now: Duration) -> bool {
        self.effects.iter().any(|at| *at + self.shows_after <= now)
    }
}

struct World {
    target: Target,
    step: Step,
    row: StepRow,
    now: Duration,
    written: Duration,
    me: u128,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Confirmed,
    Ambiguous,
    Stuck,
}

impl World {
    fn new(guarantee: Guarantee, look_first: bool, shows_after: Duration) -> Self {
        Self {
            target: Target { guarantee, effects: Vec::new(), shows_after },
            step: Step { name: "create", guarantee, look_first, identities: Vec::new() },
            row: StepRow::new("create"),
            now: Duration::from_secs(1_000),
            written: Duration::from_secs(1_000),
            me: 1,
        }
    }

    fn run(&mut self, fates: &[Fate]) -> End {
        let mut fates = fates.iter().copied();
        for _ in 0..500 {
            self.row.idle = self.now - self.written;
            if !self.row.leased.is_zero() && self.row.owner != self.me() {
                // As the ledger does: nobody takes a claim before its lease is over.
                self.now = self.now.max(self.written + LEASE);
                self.row.leased = Duration::ZERO;
                self.row.idle = self.now - self.written;
            }
            recover(&mut self.row, true, LEASE);
            match plan(&self.step, &self.row, WAITS, false) {
                Mode::Skip => return End::Confirmed,
                Mode::Ambiguous => return End::Ambiguous,
                Mode::LookAgainIn(wait) => self.now += wait,
                mode => self.act(mode, fates.next().unwrap_or(Fate::Fine)),
            }
        }
        End::Stuck
    }

    fn me(&self) -> Uuid {
        Uuid::from_u128(self.me)
    }

    fn act(&mut self, mode: Mode, fate: Fate) {
        claim(&mut self.row, &self.step, mode, Uuid::from_u128(self.me), LEASE);
        self.written = self.now;
        let fence = self.row.fence;
        let learned = Findings::from([("sale".to_owned(), "7".to_owned())]);
        let came = if mode == Mode::Send { self.send(fate, &learned) } else { self.probe(fate, &learned) };
        match came {
            None => self.me += 1,
            Some(came) => {
                for _ in 0..if fate == Fate::ResultTwice { 2 } else { 1 } {
                    if self.row.fence == fence {
                        settle(&mut self.row, came);
                    }
                }
                self.written = self.now;
            }
        }
    }

    /// `None`: the process died.
    fn send<'a>(&mut self, fate: Fate, learned: &'a Findings) -> Option<Came<'a>> {
        let failed = |maybe_applied| Some(Came::Failed { mode: Mode::Send, code: "test", maybe_applied, for_good: false });
        let late = WAITS.first * 9 / 10;
        match fate {
            Fate::Fine | Fate::ResultTwice => self.target.receive(self.now),
            Fate::AnswerLost | Fate::DiesAfterSending => self.target.receive(self.now),
            Fate::AppliedLate => self.target.receive(self.now + late),
            Fate::DiesAndAppliedLate => self.target.receive(self.now + LEASE + late),
            Fate::RequestLost | Fate::Refused | Fate::Expired | Fate::DiesBeforeSending => {}
        }
        match fate {
            Fate::Fine | Fate::ResultTwice => Some(Came::Done(learned)),
            Fate::AnswerLost | Fate::AppliedLate | Fate::RequestLost => failed(true),
            Fate::Refused => failed(false),
            Fate::Expired => Some(Came::Expired),
            Fate::DiesBeforeSending | Fate::DiesAfterSending | Fate::DiesAndAppliedLate => None,
        }
    }

    fn probe<'a>(&mut self, fate: Fate, learned: &'a Findings) -> Option<Came<'a>> {
        match fate {
            Fate::DiesBeforeSending | Fate::DiesAfterSending | Fate::DiesAndAppliedLate => None,
            Fate::AnswerLost | Fate::RequestLost | Fate::Refused | Fate::AppliedLate => {
                Some(Came::Failed { mode: Mode::Probe, code: "test", maybe_applied: false, for_good: false })
            }
            Fate::Expired => Some(Came::Expired),
            Fate::Fine | Fate::ResultTwice if self.target.shows(self.now) => Some(Came::Done(learned)),
            Fate::Fine | Fate::ResultTwice => Some(Came::Missing),
        }
    }
}

fn any_guarantee() -> impl Strategy<Value = Guarantee> {
    prop::sample::select(vec![Guarantee::IdempotencyKey, Guarantee::Upsert, Guarantee::Unique, Guarantee::Lookup, Guarantee::None])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// Whatever befalls its claims, the effect is there exactly once in the end; where nothing can tell, at most once, and a
    /// person is asked.
    #[test]
    fn an_effect_happens_once_and_never_gets_stuck(
        guarantee in any_guarantee(),
        look_first in any::<bool>(),
        shows_after_ms in 0_u64..1_400,
        fates in prop::collection::vec(prop::sample::select(FATES.to_vec()), 0..12),
    ) {
        let mut world = World::new(guarantee, look_first, Duration::from_millis(shows_after_ms));
        let end = world.run(&fates);
        match guarantee {
            Guarantee::None => prop_assert!(end != End::Stuck && world.target.effects.len() <= 1, "{end:?} {:?}", world.target.effects),
            _ => {
                prop_assert_eq!(end, End::Confirmed);
                prop_assert_eq!(world.target.effects.len(), 1);
            }
        }
    }
}

fn row(state: StepState, looks: i32, idle: Duration) -> StepRow {
    StepRow { state, looks, idle, in_doubt: state == StepState::Unknown, ..StepRow::new("s") }
}

fn check(guarantee: Guarantee, look_first: bool, row: &StepRow, expected: Mode) {
    let step = Step { name: "s", guarantee, look_first, identities: Vec::new() };
    assert_eq!(plan(&step, row, WAITS, false), expected, "{guarantee:?} {row:?}");
}

#[test]
fn a_first_try_looks_only_where_there_may_be_nothing_to_do() {
    check(Guarantee::Unique, false, &StepRow::new("s"), Mode::Send);
    check(Guarantee::Lookup, true, &StepRow::new("s"), Mode::Probe);
    check(Guarantee::Lookup, true, &row(StepState::Pending, 1, Duration::ZERO), Mode::Send);
    check(Guarantee::Lookup, true, &row(StepState::Rejected, 0, Duration::ZERO), Mode::Probe);
}

#[test]
fn an_unknown_answer_is_resolved_by_the_guarantee() {
    let unknown = row(StepState::Unknown, 0, Duration::from_millis(500));
    for guarantee in [Guarantee::IdempotencyKey, Guarantee::Upsert] {
        check(guarantee, false, &unknown, Mode::Send);
    }
    check(Guarantee::Unique, false, &unknown, Mode::Probe);
    check(Guarantee::Unique, false, &row(StepState::Unknown, 1, Duration::ZERO), Mode::Send);
    check(Guarantee::Lookup, false, &unknown, Mode::LookAgainIn(Duration::from_millis(29_500)));
    check(Guarantee::Lookup, false, &row(StepState::Unknown, 0, WAITS.first), Mode::Probe);
    check(Guarantee::Lookup, false, &row(StepState::Unknown, 1, Duration::ZERO), Mode::LookAgainIn(WAITS.next));
    check(Guarantee::Lookup, false, &row(StepState::Unknown, 1, WAITS.next), Mode::Probe);
    check(Guarantee::Lookup, false, &row(StepState::Unknown, 2, Duration::ZERO), Mode::Send);
    check(Guarantee::None, false, &unknown, Mode::Ambiguous);
}

#[test]
fn what_nobody_can_tell_a_person_decides_once() {
    let step = Step { name: "s", guarantee: Guarantee::None, look_first: false, identities: Vec::new() };
    let mut asked = row(StepState::Unknown, 0, WAITS.first);
    let given_up = Came::Failed { mode: Mode::Probe, code: super::step::AMBIGUOUS, maybe_applied: false, for_good: true };
    settle(&mut asked, given_up);
    assert_eq!(asked.state, StepState::Unknown, "it may be there: that is no rejection");
    assert_eq!(plan(&step, &asked, WAITS, false), Mode::Ambiguous, "another command of the same key decides nothing");
    assert_eq!(plan(&step, &asked, WAITS, true), Mode::Send);
    claim(&mut asked, &step, Mode::Send, Uuid::nil(), LEASE);
    recover(&mut asked, true, LEASE);
    assert_eq!(plan(&step, &asked, WAITS, true), Mode::Ambiguous, "a new doubt is a new question");
}

#[test]
fn a_refusal_after_a_doubt_does_not_end_the_doubt() {
    let step = Step { name: "s", guarantee: Guarantee::Upsert, look_first: false, identities: Vec::new() };
    let mut doubted = row(StepState::Unknown, 0, WAITS.first);
    claim(&mut doubted, &step, Mode::Send, Uuid::nil(), LEASE);
    settle(&mut doubted, Came::Failed { mode: Mode::Send, code: "refused", maybe_applied: false, for_good: true });
    assert_eq!(doubted.state, StepState::Unknown);
}

#[test]
fn a_claim_that_never_left_us_is_no_doubt() {
    let step = Step { name: "s", guarantee: Guarantee::None, look_first: false, identities: Vec::new() };
    let mut claimed = StepRow::new("s");
    claim(&mut claimed, &step, Mode::Send, Uuid::nil(), LEASE);
    recover(&mut claimed, false, LEASE);
    assert_eq!(plan(&step, &claimed, WAITS, false), Mode::Send);
}

/// A draft, a customer, and a sale that is made for it.
fn doubted(draft: StepState, create: StepState) -> Vec<String> {
    let identity = Identity { kind: "customer".to_owned(), match_key: "ada@example.com".to_owned() };
    let step = |name, identities| Step { name, guarantee: Guarantee::Lookup, look_first: true, identities };
    let steps = [step("draft", Vec::new()), step("customer", vec![identity]), step("create", Vec::new())];
    let named = |name: &str, state| StepRow { step: name.to_owned(), ..row(state, 1, Duration::ZERO) };
    // Rows are in no order.
    let mut rows = [named("create", create), named("customer", StepState::Confirmed), named("draft", draft)];
    let doubted = doubt_found(&steps, &mut rows);
    assert_eq!(rows[1].state == StepState::Pending, !doubted.is_empty());
    assert_eq!((rows[0].state, rows[2].state), (create, draft));
    doubted
}

#[test]
fn what_was_found_is_doubted_unless_something_may_be_built_on_it() {
    assert_eq!(doubted(StepState::Pending, StepState::Rejected), ["customer"]);
    assert_eq!(doubted(StepState::Confirmed, StepState::Pending), ["customer"], "what came before it is not built on it");
    for create in [StepState::Confirmed, StepState::Unknown, StepState::InFlight] {
        assert_eq!(doubted(StepState::Pending, create), Vec::<String>::new(), "{create:?}");
    }
}

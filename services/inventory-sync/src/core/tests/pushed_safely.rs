//! A shop that lowers its level at each order, and a pusher that hears of orders later, loses answers and dies.

use std::time::Duration;

use proptest::prelude::*;

use super::super::push::{Base, Doubt, Heard, Judged, Plan, Shelf};
use super::*;

const WAIT: Duration = Duration::from_secs(30);
/// An order is heard of in less than the wait, if we hear at all.
const LATE: i64 = 29;

fn heard(now: i64) -> Heard {
    Heard { now: at(now), until: Some(at(now)), wait: WAIT }
}

#[derive(Debug, Clone)]
enum Act {
    /// In the shop.
    Order(i64),
    /// We hear of the oldest order that we have not heard of.
    Hear,
    /// So many seconds pass. What is due by then is heard of, if we are not deaf.
    Pass(i64),
    /// The way to us is closed, or open again.
    Deafen(bool),
    /// The ERP has so many more, or fewer.
    Stock(i64),
    Push(Answer),
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Told,
    /// Set or not, we are never told.
    Lost,
    /// The request never arrives.
    Unsent,
}

#[derive(Debug)]
struct World {
    level: i64,
    stock: i64,
    sold: i64,
    /// When, and how many pieces.
    unheard: Vec<(i64, i64)>,
    heard: i64,
    shelf: Shelf,
    now: i64,
    deaf_since: Option<i64>,
    /// Somebody was not told what became of a push: what is missing can be more than what is on its way.
    is_unsure: bool,
}

impl World {
    fn new() -> Self {
        let shelf = Shelf {
            available: 0,
            taken: decimal(0),
            given: decimal(0),
            shown: Some(Base { level: 20, taken: decimal(0), given: decimal(0) }),
            sent: None,
            stale: false,
            sole: true,
            doubt: None,
        };
        Self { level: 20, stock: 20, sold: 0, unheard: Vec::new(), heard: 0, shelf, now: 0, deaf_since: None, is_unsure: false }
    }

    fn run(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match *act {
            Act::Order(quantity) => {
                self.level -= quantity;
                self.sold += quantity;
                self.unheard.push((self.now, quantity));
            }
            Act::Hear => self.hear(),
            Act::Pass(seconds) => (0..seconds).for_each(|_| self.second()),
            Act::Deafen(true) => self.deaf_since = self.deaf_since.or(Some(self.now)),
            Act::Deafen(false) => {
                self.deaf_since = None;
                self.hear_what_is_due();
            }
            Act::Stock(change) => self.stock = (self.stock + change).max(0),
            Act::Push(answer) => self.push(answer)?,
        }
        Ok(())
    }

    fn hear(&mut self) {
        if self.deaf_since.is_some() || self.unheard.is_empty() {
            return;
        }
        let (_, quantity) = self.unheard.remove(0);
        self.heard += quantity;
        self.shelf.taken += decimal(quantity);
    }

    fn second(&mut self) {
        self.now += 1;
        self.hear_what_is_due();
    }

    fn hear_what_is_due(&mut self) {
        while self.deaf_since.is_none() && self.unheard.first().is_some_and(|(told, _)| *told + LATE <= self.now) {
            self.hear();
        }
    }

    fn push(&mut self, answer: Answer) -> Result<(), TestCaseError> {
        self.shelf.available = (self.stock - self.heard).max(0);
        let until = self.deaf_since.unwrap_or(self.now);
        let heard = Heard { until: Some(at(until)), ..heard(self.now) };
        let (expected, missing) = match self.shelf.plan() {
            Plan::Push { expected } => (expected, decimal(0)),
            Plan::Look => match self.shelf.judge(self.level, &heard) {
                Judged::Wait { doubt, missing, .. } => {
                    (self.shelf.doubt, self.shelf.stale) = (Some(doubt), true);
                    match missing.filter(|it| self.shelf.less(*it) != self.level) {
                        Some(missing) => (self.level, missing),
                        None => return Ok(()),
                    }
                }
                Judged::Right { drift } => {
                    prop_assert!(!drift || self.is_unsure, "nobody but orders moves this level");
                    self.knows();
                    return Ok(());
                }
                Judged::Push { expected, drift } => {
                    prop_assert!(!drift || self.is_unsure, "nobody but orders moves this level");
                    (expected, decimal(0))
                }
            },
        };
        self.is_unsure |= !matches!(answer, Answer::Told);
        self.shelf.doubt = self.shelf.doubt.filter(|_| !missing.is_zero());
        let target = self.shelf.less(missing);
        self.shelf.shown = Some(self.shelf.base_of(expected, missing));
        self.shelf.sent = Some(self.shelf.base_of(target, missing));
        if matches!(answer, Answer::Unsent) {
            return Ok(());
        }
        let is_set = self.level == expected;
        if is_set {
            self.level = target;
            self.safe()?;
        }
        match (answer, is_set) {
            (Answer::Told, true) if missing.is_zero() => self.knows(),
            (Answer::Told, true) => (self.shelf.shown, self.shelf.sent) = (self.shelf.sent, None),
            (Answer::Told, false) => (self.shelf.sent, self.shelf.stale) = (None, true),
            _ => {}
        }
        Ok(())
    }

    fn knows(&mut self) {
        let base = self.shelf.base_of(self.shelf.available, decimal(0));
        self.shelf = Shelf { shown: Some(base), sent: None, stale: false, doubt: None, ..self.shelf.clone() };
    }

    /// What the shop still sells is there, whatever we have not heard of yet.
    fn safe(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.level <= (self.stock - self.sold).max(0), "it sells {} of {} less {}", self.level, self.stock, self.sold);
        Ok(())
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let answer = prop_oneof![4 => Just(Answer::Told), 1 => Just(Answer::Lost), 1 => Just(Answer::Unsent)];
    let one = prop_oneof![
        3 => (1_i64..4).prop_map(Act::Order),
        3 => Just(Act::Hear),
        3 => (1_i64..40).prop_map(Act::Pass),
        1 => any::<bool>().prop_map(Act::Deafen),
        1 => (-5_i64..6).prop_map(Act::Stock),
        4 => answer.prop_map(Act::Push),
    ];
    prop::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_push_ever_puts_back_what_an_order_has_taken(acts in acts()) {
        let mut world = World::new();
        for act in &acts {
            world.run(act)?;
        }
        world.run(&Act::Deafen(false))?;
        for _ in 0..6 {
            world.run(&Act::Pass(31))?;
            world.push(Answer::Told)?;
        }
        prop_assert_eq!(world.level, (world.stock - world.sold).max(0), "in the end the shop shows what is left");
    }
}

fn shelf(available: i64) -> Shelf {
    Shelf { available, ..World::new().shelf }
}

fn doubt(since: i64, taken: i64) -> Doubt {
    Doubt { since: at(since), taken: decimal(taken) }
}

fn waits(doubt: Doubt, missing: i64, until: i64) -> Judged {
    Judged::Wait { doubt, missing: Some(decimal(missing)), until: at(until) }
}

#[test]
fn somebody_elses_level_is_replaced_after_the_wait_and_counted() {
    let mut shelf = shelf(20);
    assert_eq!(shelf.judge(15, &heard(0)), waits(doubt(0, 5), 5, 30));
    shelf.doubt = Some(doubt(0, 5));
    assert_eq!(shelf.judge(15, &heard(29)), waits(doubt(0, 5), 5, 30));
    assert_eq!(shelf.judge(15, &heard(30)), Judged::Push { expected: 15, drift: true });
    assert_eq!(shelf.judge(25, &heard(0)), Judged::Push { expected: 25, drift: true }, "no order makes a level rise");
}

/// Kafka is away, and the shop goes on selling.
#[test]
fn as_long_as_we_are_deaf_nothing_is_put_back() {
    let shelf = Shelf { doubt: Some(doubt(0, 5)), ..shelf(20) };
    let deaf = |until: Option<i64>, now| Heard { now: at(now), until: until.map(at), wait: WAIT };
    assert_eq!(shelf.judge(15, &deaf(Some(29), 3_000)), waits(doubt(0, 5), 5, 3_005));
    assert_eq!(shelf.judge(15, &deaf(None, 3_000)), waits(doubt(0, 5), 5, 3_005));
    assert_eq!(shelf.judge(15, &deaf(Some(30), 3_000)), Judged::Push { expected: 15, drift: true });
}

/// An article that somebody buys every few seconds: there is always an order on its way.
#[test]
fn younger_orders_are_waited_for_anew() {
    let shelf = Shelf { taken: decimal(5), doubt: Some(doubt(0, 5)), ..shelf(15) };
    assert_eq!(shelf.judge(12, &heard(30)), waits(doubt(30, 8), 3, 60), "all five have come, three others have not");
    let part = Shelf { taken: decimal(4), available: 16, doubt: Some(doubt(0, 5)), ..shelf };
    assert_eq!(part.judge(12, &heard(30)), waits(doubt(30, 7), 3, 60), "one of the five was no order");
    assert_eq!(part.less(decimal(3)), 13, "it is put back");
    assert_eq!(part.judge(15, &heard(30)), Judged::Push { expected: 15, drift: true });
}

#[test]
fn what_may_be_missing_is_kept_back_and_the_rest_is_sold() {
    let raised = shelf(50);
    assert_eq!((raised.judge(18, &heard(0)), raised.less(decimal(2))), (waits(doubt(0, 2), 2, 30), 48));
    assert_eq!((shelf(1).less(decimal(2)), shelf(-3).less(decimal(2))), (0, -3), "never less than it is, or nothing");
    // It was set to 48, and then the two came, and a third was sold.
    let told = Shelf { shown: Some(raised.base_of(48, decimal(2))), taken: decimal(2), available: 48, ..raised };
    assert_eq!(told.judge(48, &heard(1)), Judged::Right { drift: false });
    assert_eq!(told.judge(47, &heard(1)), waits(doubt(1, 3), 1, 31));
}

#[test]
fn the_missing_order_explains_what_was_lower() {
    let mut shelf = shelf(20);
    assert!(matches!(shelf.judge(17, &heard(0)), Judged::Wait { .. }));
    shelf.taken = decimal(3);
    shelf.available = 17;
    assert_eq!(shelf.judge(17, &heard(1)), Judged::Right { drift: false });
    shelf.available = 12;
    assert_eq!(shelf.judge(17, &heard(1)), Judged::Push { expected: 17, drift: false });
}

#[test]
fn what_was_taken_back_may_be_on_the_shelf_or_not() {
    let shelf = Shelf { taken: decimal(5), given: decimal(2), ..shelf(10) };
    assert_eq!(shelf.plan(), Plan::Push { expected: 17 });
    for level in 15..=17 {
        assert_eq!(shelf.judge(level, &heard(0)), Judged::Push { expected: level, drift: false });
    }
    assert!(matches!(shelf.judge(14, &heard(0)), Judged::Wait { .. }));
    assert!(matches!(shelf.judge(18, &heard(0)), Judged::Push { drift: true, .. }));
}

#[test]
fn orders_of_a_shop_with_two_locations_may_have_been_taken_off_the_other() {
    let shelf = Shelf { taken: decimal(5), sole: false, ..shelf(10) };
    assert_eq!(shelf.plan(), Plan::Look);
    assert_eq!(shelf.judge(20, &heard(0)), Judged::Push { expected: 20, drift: false });
    assert_eq!(shelf.judge(15, &heard(0)), Judged::Push { expected: 15, drift: false });
    assert!(matches!(shelf.judge(14, &heard(0)), Judged::Wait { .. }));
}

#[test]
fn a_shelf_that_nobody_has_looked_at_is_read_first() {
    let unseen = Shelf { shown: None, ..shelf(10) };
    assert_eq!(unseen.plan(), Plan::Look);
    assert_eq!(unseen.judge(3, &heard(0)), Judged::Push { expected: 3, drift: false });
}

#[test]
fn a_push_whose_answer_was_lost_explains_the_level_that_it_set() {
    let sent = Base { level: 10, taken: decimal(0), given: decimal(0) };
    let shelf = Shelf { sent: Some(sent), taken: decimal(1), ..shelf(9) };
    assert_eq!(shelf.plan(), Plan::Look);
    assert_eq!(shelf.judge(19, &heard(0)), Judged::Push { expected: 19, drift: false }, "it was not set");
    assert_eq!(
        shelf.judge(9, &heard(0)),
        Judged::Wait { doubt: doubt(0, 11), missing: None, until: at(30) },
        "or it was not, and ten were sold"
    );
    let waited = Shelf { doubt: Some(doubt(0, 11)), ..shelf };
    assert_eq!(waited.judge(9, &heard(30)), Judged::Right { drift: false }, "it was set, and the order came after it");
}

#[test]
fn a_rise_whose_answer_was_lost_is_not_sent_again_over_orders_that_may_be_missing() {
    let sent = Base { level: 24, taken: decimal(0), given: decimal(0) };
    let shelf = Shelf { sent: Some(sent), ..shelf(24) };
    assert!(matches!(shelf.judge(20, &heard(0)), Judged::Wait { .. }), "not set, or set and four were sold");
    assert_eq!(shelf.judge(24, &heard(0)), Judged::Right { drift: false });
}

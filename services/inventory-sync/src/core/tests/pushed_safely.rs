//! A shop that lowers its level at each order, and a pusher that hears of orders later, loses answers and dies.

use std::time::Duration;

use proptest::prelude::*;

use super::super::push::{Base, Judged, Plan, Shelf};
use super::*;

const WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
enum Act {
    /// In the shop.
    Order(i64),
    /// We hear of the oldest order that we have not heard of.
    Hear,
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
    unheard: Vec<i64>,
    heard: i64,
    shelf: Shelf,
    now: i64,
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
            drift_since: None,
        };
        Self { level: 20, stock: 20, sold: 0, unheard: Vec::new(), heard: 0, shelf, now: 0 }
    }

    fn run(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match *act {
            Act::Order(quantity) => {
                self.level -= quantity;
                self.sold += quantity;
                self.unheard.push(quantity);
            }
            Act::Hear if !self.unheard.is_empty() => {
                let quantity = self.unheard.remove(0);
                self.heard += quantity;
                self.shelf.taken += decimal(quantity);
            }
            Act::Hear => {}
            Act::Stock(change) => self.stock = (self.stock + change).max(0),
            Act::Push(answer) => self.push(answer)?,
        }
        Ok(())
    }

    fn push(&mut self, answer: Answer) -> Result<(), TestCaseError> {
        self.shelf.available = (self.stock - self.heard).max(0);
        let expected = match self.shelf.plan() {
            Plan::Push { expected } => expected,
            Plan::Look => match self.shelf.judge(self.level, at(self.now), WAIT) {
                Judged::Wait { since, .. } => {
                    self.shelf.drift_since = Some(since);
                    return Ok(());
                }
                Judged::Right { drift } => {
                    prop_assert!(!drift, "nobody but orders moves this level");
                    self.knows();
                    return Ok(());
                }
                Judged::Push { expected, drift } => {
                    prop_assert!(!drift, "nobody but orders moves this level");
                    expected
                }
            },
        };
        self.shelf.shown = Some(self.shelf.base_of(expected));
        self.shelf.sent = Some(self.shelf.base_of(self.shelf.available));
        if matches!(answer, Answer::Unsent) {
            return Ok(());
        }
        let is_set = self.level == expected;
        if is_set {
            self.level = self.shelf.available;
            self.safe()?;
        }
        match (answer, is_set) {
            (Answer::Told, true) => self.knows(),
            (Answer::Told, false) => (self.shelf.sent, self.shelf.stale) = (None, true),
            _ => {}
        }
        Ok(())
    }

    fn knows(&mut self) {
        let base = self.shelf.base_of(self.shelf.available);
        self.shelf = Shelf { shown: Some(base), sent: None, stale: false, drift_since: None, ..self.shelf.clone() };
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
        while !world.unheard.is_empty() {
            world.run(&Act::Hear)?;
        }
        for _ in 0..3 {
            world.now += 31;
            world.push(Answer::Told)?;
        }
        prop_assert_eq!(world.level, (world.stock - world.sold).max(0), "in the end the shop shows what is left");
    }
}

fn shelf(available: i64) -> Shelf {
    Shelf { available, ..World::new().shelf }
}

#[test]
fn somebody_elses_level_is_replaced_after_the_wait_and_counted() {
    let mut shelf = shelf(20);
    assert_eq!(shelf.judge(15, at(0), WAIT), Judged::Wait { since: at(0), until: at(30) });
    shelf.drift_since = Some(at(0));
    assert_eq!(shelf.judge(15, at(29), WAIT), Judged::Wait { since: at(0), until: at(30) });
    assert_eq!(shelf.judge(15, at(30), WAIT), Judged::Push { expected: 15, drift: true });
    assert_eq!(shelf.judge(25, at(0), WAIT), Judged::Push { expected: 25, drift: true }, "no order makes a level rise");
}

#[test]
fn the_missing_order_explains_what_was_lower() {
    let mut shelf = shelf(20);
    assert!(matches!(shelf.judge(17, at(0), WAIT), Judged::Wait { .. }));
    shelf.taken = decimal(3);
    shelf.available = 17;
    assert_eq!(shelf.judge(17, at(1), WAIT), Judged::Right { drift: false });
    shelf.available = 12;
    assert_eq!(shelf.judge(17, at(1), WAIT), Judged::Push { expected: 17, drift: false });
}

#[test]
fn what_was_taken_back_may_be_on_the_shelf_or_not() {
    let shelf = Shelf { taken: decimal(5), given: decimal(2), ..shelf(10) };
    assert_eq!(shelf.plan(), Plan::Push { expected: 17 });
    for level in 15..=17 {
        assert_eq!(shelf.judge(level, at(0), WAIT), Judged::Push { expected: level, drift: false });
    }
    assert!(matches!(shelf.judge(14, at(0), WAIT), Judged::Wait { .. }));
    assert!(matches!(shelf.judge(18, at(0), WAIT), Judged::Push { drift: true, .. }));
}

#[test]
fn orders_of_a_shop_with_two_locations_may_have_been_taken_off_the_other() {
    let shelf = Shelf { taken: decimal(5), sole: false, ..shelf(10) };
    assert_eq!(shelf.plan(), Plan::Look);
    assert_eq!(shelf.judge(20, at(0), WAIT), Judged::Push { expected: 20, drift: false });
    assert_eq!(shelf.judge(15, at(0), WAIT), Judged::Push { expected: 15, drift: false });
    assert!(matches!(shelf.judge(14, at(0), WAIT), Judged::Wait { .. }));
}

#[test]
fn a_shelf_that_nobody_has_looked_at_is_read_first() {
    let unseen = Shelf { shown: None, ..shelf(10) };
    assert_eq!(unseen.plan(), Plan::Look);
    assert_eq!(unseen.judge(3, at(0), WAIT), Judged::Push { expected: 3, drift: false });
}

#[test]
fn a_push_whose_answer_was_lost_explains_the_level_that_it_set() {
    let sent = Base { level: 10, taken: decimal(0), given: decimal(0) };
    let shelf = Shelf { sent: Some(sent), taken: decimal(1), ..shelf(9) };
    assert_eq!(shelf.plan(), Plan::Look);
    assert_eq!(shelf.judge(19, at(0), WAIT), Judged::Push { expected: 19, drift: false }, "it was not set");
    assert_eq!(shelf.judge(9, at(0), WAIT), Judged::Wait { since: at(0), until: at(30) }, "or it was not, and ten were sold");
    let waited = Shelf { drift_since: Some(at(0)), ..shelf };
    assert_eq!(waited.judge(9, at(30), WAIT), Judged::Right { drift: false }, "it was set, and the order came after it");
}

#[test]
fn a_rise_whose_answer_was_lost_is_not_sent_again_over_orders_that_may_be_missing() {
    let sent = Base { level: 24, taken: decimal(0), given: decimal(0) };
    let shelf = Shelf { sent: Some(sent), ..shelf(24) };
    assert!(matches!(shelf.judge(20, at(0), WAIT), Judged::Wait { .. }), "not set, or set and four were sold");
    assert_eq!(shelf.judge(24, at(0), WAIT), Judged::Right { drift: false });
}

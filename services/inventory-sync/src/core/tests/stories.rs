use contracts::wire::OutcomeState::{Applied, Dead, Discarded, Superseded};
use domain::{AggregateKey, ConnectionId};

use super::*;

struct Story {
    book: Book,
    feeds: Feeds,
}

impl Story {
    fn new() -> Self {
        Self { book: Book::default(), feeds: feeds() }
    }

    fn ordered(&mut self, id: &str, sequence: u64, quantity: i64) -> Noted {
        self.book.order(&order(id), &shop(), &takes(sequence, quantity))
    }

    fn told(&mut self, id: &str, operation: &str, state: OutcomeState, sequence: u64, seconds: i64) -> Noted {
        self.book.outcome(&order(id), &shop(), &outcome(operation, state, sequence, seconds))
    }

    fn observed(&mut self, level: Level) -> Noted {
        self.book.level(&mug(), &warehouse("WH"), level)
    }

    fn available(&self) -> i64 {
        let available = reckoned(&self.book, &self.feeds, &place("shop")).unwrap().available();
        i64::try_from(available).unwrap()
    }
}

#[test]
fn an_order_counts_from_its_first_event_until_the_erp_lists_it() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    assert_eq!(story.available(), 10);
    story.ordered("1", 1, 3);
    assert_eq!(story.available(), 7);
    story.observed(level(2, 10, 3, 5, &[("1", 3)]));
    assert_eq!(story.available(), 7, "it is reserved now, and not pending any more");
    story.observed(level(3, 7, 0, 6, &[]));
    assert_eq!(story.available(), 7, "shipped: not listed any more, and still not pending again");
}

#[test]
fn an_order_that_was_shipped_before_anybody_looked_counts_until_an_observation_after_the_confirm() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    story.ordered("1", 1, 3);
    story.told("1", "place_order", Applied, 1, 5);
    assert_eq!(story.available(), 7, "the observation is older than the confirm");
    story.observed(level(2, 10, 0, 5, &[]));
    assert_eq!(story.available(), 7, "of the same moment: it may have begun before");
    story.observed(level(3, 7, 0, 6, &[]));
    assert_eq!(story.available(), 7);
}

#[test]
fn dead_and_unconfirmed_orders_count_and_discarded_ones_do_not() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    story.ordered("1", 1, 3);
    assert_eq!(story.told("1", "place_order", Dead, 1, 1), Noted::Needless("not_stock"));
    let quotation = Outcome { confirmed: false, ..outcome("place_order", Applied, 1, 2) };
    assert_eq!(story.book.outcome(&order("1"), &shop(), &quotation), Noted::Needless("not_stock"));
    story.observed(level(2, 10, 0, 3, &[]));
    assert_eq!(story.available(), 7);
    story.told("1", "confirm_order", Discarded, 1, 4);
    assert_eq!(story.available(), 7, "it is still a quotation");
    story.told("1", "place_order", Discarded, 1, 5);
    assert_eq!(story.available(), 10);
    assert_eq!(story.told("1", "place_order", Discarded, 1, 5), Noted::Superseded, "a repeat");
    assert_eq!(story.told("1", "cancel_order", Superseded, 1, 5), Noted::Needless("not_stock"));
}

/// No rule takes it, and somebody discards the letter; the next version finds a route.
#[test]
fn what_no_erp_was_told_of_counts_until_it_is_given_up_and_again_from_the_next_version_on() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    story.ordered("1", 1, 3);
    assert_eq!(story.available(), 7);
    let given_up = |sequence| Outcome { target: None, ..outcome("place_order", Discarded, sequence, 5) };
    story.book.outcome(&order("1"), &shop(), &given_up(1));
    assert_eq!(story.available(), 10);
    assert_eq!(story.book.outcome(&order("1"), &shop(), &given_up(1)), Noted::Superseded, "a repeat");
    assert_eq!(effect(story.ordered("1", 2, 3)).skus, [mug()].into(), "the same goods count again");
    assert_eq!(story.available(), 7);
    story.told("1", "place_order", Applied, 2, 6);
    story.book.outcome(&order("1"), &shop(), &given_up(2));
    assert_eq!(story.available(), 7, "an ERP has it by now");

    // The topics of changes and of outcomes are read in any order.
    story.book.outcome(&order("2"), &shop(), &given_up(2));
    story.ordered("2", 1, 1);
    story.ordered("2", 2, 1);
    assert_eq!(story.available(), 7);
    story.ordered("2", 3, 1);
    assert_eq!(story.available(), 6);
}

#[test]
fn a_cancel_or_a_refund_before_the_erp_shows_the_order_gives_back_exactly_that() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    story.ordered("1", 1, 3);
    let refunded = effect(story.ordered("1", 2, 2));
    assert_eq!(refunded.sold, [(shop(), mug(), sold(0, 1))]);
    assert_eq!(story.available(), 8);
    let cancelled = effect(story.ordered("1", 3, 0));
    assert_eq!(cancelled.sold, [(shop(), mug(), sold(0, 2))]);
    assert_eq!(story.available(), 10);
    assert_eq!(story.ordered("1", 2, 2), Noted::Superseded, "a late one");
    assert_eq!(story.available(), 10);
}

/// The shop took three and may or may not have put one back: a level that is three lower is no riddle.
#[test]
fn what_was_refunded_before_the_first_version_that_we_see_was_taken_as_well() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    let refunded = Takes { sequence: 2, quantities: [(mug(), of(3, 2))].into(), nameless: 0 };
    assert_eq!(effect(story.book.order(&order("1"), &shop(), &refunded)).sold, [(shop(), mug(), sold(3, 1))]);
    assert_eq!(story.available(), 8);
    let back = Takes { sequence: 3, quantities: [(mug(), of(3, 3))].into(), nameless: 0 };
    assert_eq!(effect(story.book.order(&order("1"), &shop(), &back)).sold, [(shop(), mug(), sold(1, 0))]);
    let gone = Takes { sequence: 4, quantities: BTreeMap::new(), nameless: 0 };
    assert_eq!(effect(story.book.order(&order("1"), &shop(), &gone)).sold, [(shop(), mug(), sold(0, 3))]);
    assert_eq!(story.available(), 10);
}

#[test]
fn what_is_added_to_an_order_that_the_erp_has_counts_until_the_erp_has_that_too() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    story.ordered("1", 1, 1);
    story.ordered("1", 2, 3);
    story.told("1", "place_order", Applied, 1, 5);
    story.observed(level(2, 9, 0, 6, &[]));
    assert_eq!(story.available(), 7, "the ERP has shipped one and knows nothing of the other two");
    story.told("1", "revise_order", Applied, 2, 8);
    assert_eq!(story.available(), 6, "rather too few than too many, until somebody has looked after the revision");
    story.observed(level(3, 9, 2, 9, &[("1", 2)]));
    assert_eq!(story.available(), 7);
}

#[test]
fn a_revision_that_adds_nothing_does_not_make_an_order_pending_again() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    story.ordered("1", 1, 3);
    story.told("1", "place_order", Applied, 1, 5);
    story.observed(level(2, 7, 0, 6, &[]));
    story.ordered("1", 2, 3);
    story.told("1", "revise_order", Applied, 2, 8);
    assert_eq!(story.available(), 7, "nothing moved, so no observation follows");
}

#[test]
fn an_outcome_or_an_observation_may_come_before_its_order() {
    let mut story = Story::new();
    story.observed(level(1, 10, 2, 0, &[("1", 2)]));
    story.told("2", "place_order", Applied, 1, 5);
    story.observed(level(2, 7, 2, 6, &[("1", 2)]));
    story.ordered("1", 1, 2);
    story.ordered("2", 1, 3);
    assert_eq!(story.available(), 5, "the ERP's figures have both");
}

#[test]
fn an_article_that_an_edit_added_was_not_in_what_the_erp_confirmed() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 9, &[]));
    let nothing = Takes { sequence: 1, quantities: BTreeMap::new(), nameless: 0 };
    story.book.order(&order("1"), &shop(), &nothing);
    story.ordered("1", 2, 4);
    story.told("1", "place_order", Applied, 1, 5);
    assert_eq!(story.available(), 6);
}

#[test]
fn an_older_observation_never_replaces_a_newer_one() {
    let mut story = Story::new();
    story.observed(level(2, 4, 0, 5, &[]));
    assert_eq!(story.observed(level(1, 10, 0, 0, &[])), Noted::Superseded);
    assert_eq!(story.observed(level(2, 10, 0, 0, &[])), Noted::Superseded);
    assert_eq!(story.available(), 4);
}

#[test]
fn shops_that_sell_the_same_stock_see_each_others_orders() {
    let mut story = Story::new();
    story.feeds.connect(warehouse("WH"), place("other"));
    let other: ConnectionId = "other".parse().unwrap();
    story.feeds.keep_back(other.clone(), decimal(2), [(Sku::new("CAP").unwrap(), decimal(9))]);
    story.observed(level(1, 10, 0, 0, &[]));
    story.book.order(&AggregateKey::order(&other, "1"), &other, &takes(1, 3));
    let there = reckoned(&story.book, &story.feeds, &place("other")).unwrap();
    assert_eq!((story.available(), there.available()), (7, decimal(5)));
}

#[test]
fn an_order_of_several_warehouses_counts_at_each_until_it_is_found_at_one() {
    let mut story = Story::new();
    story.feeds.connect(warehouse("B"), Place { location: "2".to_owned(), ..place("shop") });
    let second = Place { location: "2".to_owned(), ..place("shop") };
    story.observed(level(1, 10, 0, 0, &[]));
    story.book.level(&mug(), &warehouse("B"), level(1, 5, 0, 0, &[]));
    story.ordered("1", 1, 3);
    let there = |story: &Story| reckoned(&story.book, &story.feeds, &second).unwrap().available();
    assert_eq!((story.available(), there(&story)), (7, decimal(2)), "nobody knows where it will be taken from");
    story.observed(level(2, 10, 3, 5, &[("1", 3)]));
    assert_eq!((story.available(), there(&story)), (7, decimal(5)));
}

#[test]
fn once_another_erp_has_an_order_only_that_one_counts_it() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    story.ordered("1", 1, 3);
    let elsewhere = Outcome { target: Some("other-erp".parse().unwrap()), ..outcome("place_order", Applied, 1, 5) };
    story.book.outcome(&order("1"), &shop(), &elsewhere);
    assert_eq!(story.available(), 10);
}

#[test]
fn nothing_is_said_about_what_no_erp_has_spoken_of() {
    let mut story = Story::new();
    story.ordered("1", 1, 3);
    assert_eq!(reckoned(&story.book, &story.feeds, &place("shop")), None);
}

#[test]
fn what_is_exchanged_for_the_same_article_counts_until_the_erp_has_it() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    story.ordered("1", 1, 1);
    story.told("1", "place_order", Applied, 1, 5);
    story.observed(level(2, 10, 1, 6, &[("1", 1)]));
    story.observed(level(3, 9, 0, 7, &[]));
    assert_eq!(story.available(), 9, "it is shipped");
    let exchanged = Takes { sequence: 2, quantities: [(mug(), of(2, 1))].into(), nameless: 0 };
    assert_eq!(effect(story.book.order(&order("1"), &shop(), &exchanged)).sold, [(shop(), mug(), sold(1, 1))]);
    assert_eq!(story.available(), 8, "another one is owed");
    story.observed(level(4, 9, 1, 8, &[("1", 1)]));
    assert_eq!(story.available(), 8, "which the ERP lists by now");
}

#[test]
fn what_is_exchanged_before_it_was_shipped_is_still_what_the_erp_has_reserved() {
    let mut story = Story::new();
    story.observed(level(1, 10, 0, 0, &[]));
    story.ordered("1", 1, 1);
    story.told("1", "place_order", Applied, 1, 5);
    story.observed(level(2, 10, 1, 6, &[("1", 1)]));
    let exchanged = Takes { sequence: 2, quantities: [(mug(), of(2, 1))].into(), nameless: 0 };
    story.book.order(&order("1"), &shop(), &exchanged);
    assert_eq!(story.available(), 9);
}

use contracts::wire::OutcomeState::{Applied, Dead, Discarded, Replaying};
use domain::{Customer, RefundAdjustment, RefundAdjustmentKind};

use super::*;

/// Commands by their keys.
fn keys(world: &World) -> Vec<&str> {
    world.commands.iter().map(|it| it.command.operation_key.as_str()).collect()
}

#[test]
fn an_unpaid_order_is_placed_and_confirmed_when_it_is_paid() {
    let mut world = World::new();
    assert_eq!(world.order(1, order()), "applied; place in erp-de");
    assert_eq!(world.order(2, paid(order())), "applied; confirm_order in erp-de");
    assert_eq!(world.order(3, paid(tagged(order(), "vip"))), "applied nothing_to_do");
    assert_eq!(keys(&world), ["shop/order/7/place", "shop/order/7/confirm"]);
}

#[test]
fn a_paid_order_is_placed_confirmed_once() {
    let mut world = World::new();
    assert_eq!(world.order(1, paid(order())), "applied; place and confirm in erp-de");
    assert_eq!(world.order(2, tagged(paid(order()), "vip")), "applied nothing_to_do");
}

#[test]
fn an_older_or_repeated_version_changes_nothing() {
    let mut world = World::new();
    world.order(2, paid(order()));
    assert_eq!(world.order(1, order()), "superseded");
    assert_eq!(world.order(2, paid(order())), "superseded");
    assert_eq!(world.order(2, cancelled(order())), "dead sequence_conflict");
    assert_eq!(world.life.order.as_ref().unwrap().sequence, 2);
}

#[test]
fn a_held_order_waits_for_a_version_that_no_hold_matches() {
    let mut world = World::new();
    assert_eq!(world.order(1, tagged(order(), "check")), "waiting fraud_check");
    assert_eq!(world.order(2, tagged(paid(order()), "check")), "waiting fraud_check; #1 superseded");
    assert_eq!(world.order(3, paid(order())), "applied; place and confirm in erp-de; #2 superseded");
}

/// What is on its way can't be held any more.
#[test]
fn a_placed_order_is_not_held() {
    let mut world = World::new();
    world.order(1, order());
    assert_eq!(world.order(2, tagged(paid(order()), "check")), "applied; confirm_order in erp-de");
}

#[test]
fn an_order_that_is_cancelled_before_it_was_placed_is_never_commanded() {
    let mut world = World::new();
    assert_eq!(world.order(1, cancelled(order())), "applied cancelled_before_placed");
    assert_eq!(world.refund(1, &refund("r1", 1)), "discarded cancelled_before_placed");
    assert!(world.commands.is_empty());

    let mut world = World::new();
    world.order(1, tagged(order(), "check"));
    world.refund(1, &refund("r1", 1));
    assert_eq!(world.order(2, cancelled(order())), "applied cancelled_before_placed; #1 superseded; #2 discarded cancelled_before_placed");
    assert!(world.commands.is_empty());
}

#[test]
fn a_placed_order_is_cancelled_once() {
    let mut world = World::new();
    world.order(1, order());
    assert_eq!(world.order(2, cancelled(paid(order()))), "applied; cancel_order in erp-de");
    assert_eq!(world.order(3, cancelled(tagged(order(), "vip"))), "applied already_cancelled");
    assert_eq!(world.order(4, order()), "dead order_reopened");
    assert_eq!(world.order(5, cancelled(order())), "applied already_cancelled");
}

#[test]
fn an_order_that_comes_back_before_it_was_placed_is_placed() {
    let mut world = World::new();
    world.order(1, cancelled(order()));
    assert_eq!(world.order(2, order()), "applied; place in erp-de");
}

#[test]
fn a_deleted_order_stays_in_the_books() {
    let mut world = World::new();
    world.order(1, order());
    assert_eq!(world.order_deleted(2, order()), "applied deleted_in_source");
    let mut world = World::new();
    assert_eq!(world.order_deleted(1, order()), "applied deleted_before_placed");
    assert!(world.commands.is_empty());
}

#[test]
fn the_target_stays_whatever_the_address_becomes() {
    let mut world = World::new();
    world.order(1, order());
    assert_eq!(world.order(2, bound_for(order(), "FR")), "applied; revise_order in erp-de");
    assert_eq!(world.order(3, cancelled(bound_for(order(), "FR"))), "applied; cancel_order in erp-de");
}

#[test]
fn an_order_that_no_route_takes_is_a_letter_and_is_placed_when_one_does() {
    let mut world = World::new();
    assert_eq!(world.order(1, bound_for(order(), "CH")), "dead no_route");
    assert_eq!(world.life, Life::new("shop".parse().unwrap(), "7"), "nothing of it is remembered");
    assert_eq!(world.order(2, bound_for(order(), "FR")), "applied; place in erp-fr");
}

#[test]
fn what_the_target_holds_is_revised_and_nothing_else_is() {
    type Edit = fn(&mut Order);
    let edits: [(&str, Edit, &str); 10] = [
        ("more of it", |it| it.lines[0] = line("l1", 3), "applied; revise_order in erp-de"),
        ("another line", |it| it.lines.push(line("l2", 1)), "applied; revise_order in erp-de"),
        ("one removed", |it| it.lines[0].current_quantity = Decimal::ONE, "applied; revise_order in erp-de"),
        ("another bill", |it| it.billing_address = Some(Address::default()), "applied; revise_order in erp-de"),
        ("a tip", |it| it.totals.tip = euros(1), "applied; revise_order in erp-de"),
        ("a PO number", |it| it.po_number = "PO-1".to_owned(), "applied; revise_order in erp-de"),
        ("a note", |it| it.note = "ring twice".to_owned(), "applied nothing_to_do"),
        ("a state", |it| it.fulfillment_state = FulfillmentState::Partial, "applied nothing_to_do"),
        ("a part of the money", |it| it.financial_state = FinancialState::PartiallyPaid, "applied nothing_to_do"),
        ("less to pay", |it| it.totals.current_total = euros(0), "applied nothing_to_do"),
    ];
    for (name, edit, expected) in edits {
        let mut world = World::new();
        world.order(1, order());
        let mut edited = order();
        edit(&mut edited);
        assert_eq!(world.order(2, edited), expected, "{name}");
    }
}

#[test]
fn the_order_of_lines_is_no_change() {
    let two = |first, second| Order { lines: vec![line(first, 1), line(second, 1)], ..order() };
    let mut world = World::new();
    world.order(1, two("l1", "l2"));
    assert_eq!(world.order(2, two("l2", "l1")), "applied nothing_to_do");
}

#[test]
fn a_change_that_is_paid_at_once_is_revised_before_it_is_confirmed() {
    let mut world = World::new();
    world.order(1, order());
    let edited = paid(Order { lines: vec![line("l1", 3)], ..order() });
    assert_eq!(world.order(2, edited), "applied; revise_order in erp-de; confirm_order in erp-de");
    assert_eq!(keys(&world)[1..], ["shop/order/7/revise/2", "shop/order/7/confirm"]);
}

/// What a quotation must come to when the payment is heard of: all that was not taken out before it.
#[test]
fn what_was_given_back_after_the_payment_is_confirmed_and_what_was_taken_out_before_it_is_not() {
    let left = |quantity: i64, current: i64, financial_state| {
        let mut order = Order { lines: vec![line("l1", quantity)], financial_state, ..order() };
        order.lines[0].current_quantity = current.into();
        order
    };
    let world = |before: &[Refund]| {
        let mut world = World::new();
        world.order(1, left(4, 4, FinancialState::Pending));
        before.iter().for_each(|it| drop(world.refund(1, it)));
        world
    };
    let (refunded, revised) = (FinancialState::PartiallyRefunded, "applied; revise_order in erp-de; confirm_order in erp-de");
    let (taken_out, given_back) = (refund("r1", 1), money_back(refund("r2", 1)));

    assert_eq!(world(&[]).order(2, left(5, 3, refunded)), revised, "one more, and two given back");
    assert_eq!(world(&[]).order(2, left(4, 3, refunded)), "applied; confirm_order in erp-de");
    assert_eq!(world(std::slice::from_ref(&taken_out)).order(2, left(4, 3, FinancialState::Paid)), revised);
    let both = [taken_out, given_back];
    let booked = format!("{revised}; book r2 in erp-de; #3 applied");
    assert_eq!(world(&both).order(2, left(4, 3, FinancialState::Paid)), booked, "a version from before the refund");

    // Which of the missing pieces were paid for, no version tells.
    assert_eq!(world(&both).order(2, left(4, 2, refunded)), "dead order_tangled");
    assert_eq!(world(&both[..1]).order(2, left(4, 2, refunded)), "dead order_tangled", "its refund comes later");
    // The refund came first of all, and the removal is told by a version before it is told by its own record.
    let mut first = world(&both[1..]);
    assert_eq!(first.order(2, left(4, 3, FinancialState::Pending)), "applied; revise_order in erp-de");
    first.refund(1, &both[0]);
    assert_eq!(first.order(3, left(4, 2, refunded)), "applied; confirm_order in erp-de; book r2 in erp-de; #2 applied");
    // It had been told when it was removed.
    let mut told = world(&both[..1]);
    assert_eq!(told.order(2, left(4, 3, FinancialState::Pending)), "applied; revise_order in erp-de");
    assert_eq!(told.order(3, left(4, 2, refunded)), "applied; confirm_order in erp-de");
}

/// Edited and paid before we heard of either: the record of the edit comes last.
#[test]
fn what_the_confirmed_order_lacks_is_not_taken_out_again() {
    let of = |lines: Vec<OrderLine>| Order { lines, ..order() };
    let left = |pieces: i64| {
        let mut left = of(vec![line("l1", 4)]);
        left.lines[0].current_quantity = pieces.into();
        left
    };
    let confirmed = |pieces| {
        let mut world = World::new();
        world.order(1, left(4));
        assert_eq!(world.order(2, paid(left(pieces))), "applied; revise_order in erp-de; confirm_order in erp-de");
        world
    };
    let mut world = confirmed(2);
    assert_eq!(world.refund(1, &refund("r1", 1)), "applied taken_out_before");
    assert_eq!(world.refund(2, &refund("r1", 1)), "applied taken_out_before", "once");
    assert_eq!(world.refund(1, &refund("r2", 1)), "applied taken_out_before", "the other piece");
    assert_eq!(world.refund(1, &refund("r3", 1)), "applied; book r3 in erp-de", "no other is missing");

    let mut world = confirmed(3);
    assert_eq!(world.refund(1, &refund("r1", 2)), "applied; book r1 in erp-de", "not both were missing");
    assert_eq!(world.refund(1, &money_back(refund("r2", 1))), "applied; book r2 in erp-de", "it was paid for");
    assert_eq!(world.refund(1, &refund("r3", 1)), "applied taken_out_before");
    assert_eq!(world.refund(2, &money_back(refund("r3", 1))), "applied; book r3 in erp-de", "it was paid for after all");

    // A record that says another number is judged anew, and takes nothing from the others.
    let mut world = confirmed(2);
    assert_eq!(world.refund(1, &refund("r1", 1)), "applied taken_out_before");
    assert_eq!(world.refund(2, &refund("r1", 3)), "applied; book r1 in erp-de");
    assert_eq!(world.refund(1, &refund("r2", 2)), "applied taken_out_before");
    assert_eq!(world.refund(1, &refund("r3", 0)), "applied; book r3 in erp-de", "it is about no pieces");

    // Its record came first.
    let mut world = World::new();
    world.order(1, left(4));
    world.refund(1, &refund("r1", 1));
    world.order(2, paid(left(3)));
    assert_eq!(world.refund(1, &refund("r2", 1)), "applied; book r2 in erp-de");

    // What a refund with money explains was confirmed.
    let mut world = World::new();
    world.order(1, left(4));
    world.refund(1, &money_back(refund("r1", 1)));
    assert_eq!(world.order(2, paid(left(3))), "applied; confirm_order in erp-de; book r1 in erp-de; #2 applied");
    assert_eq!(world.refund(1, &refund("r2", 1)), "applied; book r2 in erp-de");

    // The line came with the same edit.
    let mut removed = refund("r1", 1);
    removed.lines[0].order_line_id = "l2".to_owned();
    let mut world = World::new();
    world.order(1, of(vec![line("l1", 4)]));
    assert_eq!(world.refund(1, &removed), "waiting for its order");
    let mut edited = paid(of(vec![line("l1", 4), line("l2", 2)]));
    edited.lines[1].current_quantity = Decimal::ONE;
    assert_eq!(world.order(2, edited), "applied; revise_order in erp-de; confirm_order in erp-de; #2 applied taken_out_before");
}

/// The refund's own command takes the goods away.
#[test]
fn what_a_refund_takes_away_is_no_revision() {
    let less = |state| {
        let mut less = Order { financial_state: state, ..order() };
        less.lines[0].current_quantity = Decimal::ONE;
        less
    };
    let mut world = World::new();
    world.order(1, paid(order()));
    assert_eq!(world.order(2, less(FinancialState::PartiallyRefunded)), "applied nothing_to_do");
    assert_eq!(world.refund(1, &refund("r1", 1)), "applied; book r1 in erp-de");

    let mut world = World::new();
    world.order(1, paid(order()));
    world.refund(1, &refund("r1", 1));
    assert_eq!(world.order(2, less(FinancialState::Paid)), "applied nothing_to_do");

    let mut world = World::new();
    world.order(1, paid(order()));
    assert_eq!(world.order(2, less(FinancialState::Paid)), "applied; revise_order in erp-de", "an edit without any refund");
}

#[test]
fn refunds_wait_for_their_order_and_follow_it_in_their_order() {
    let mut world = World::new();
    assert_eq!(world.refund(1, &refund("r2", 1)), "waiting for its order");
    assert_eq!(world.refund(1, &refund("r1", 1)), "waiting for its order");
    assert_eq!(world.order(1, tagged(order(), "check")), "waiting fraud_check");
    assert_eq!(world.refund(1, &refund("r3", 1)), "waiting fraud_check", "with it");
    assert_eq!(
        world.order(2, paid(order())),
        "applied; place and confirm in erp-de; book r2 in erp-de; book r1 in erp-de; book r3 in erp-de; #3 superseded; #1 applied; #2 applied; #4 applied"
    );
    assert_eq!(world.commands[1].event, Uuid::from_u128(1), "a command answers the event that asked for it");
}

/// The payment's own webhook comes later, or never: a newer version overtook it.
#[test]
fn money_is_given_back_once_the_target_knows_that_it_came_or_that_nothing_comes_of_the_order() {
    let back = || money_back(refund("r1", 1));
    let waits = || {
        let mut world = World::new();
        world.order(1, order());
        assert_eq!(world.refund(1, &back()), "waiting for its order");
        assert_eq!(world.order(2, tagged(order(), "vip")), "applied nothing_to_do");
        world
    };
    assert_eq!(waits().order(3, paid(order())), "applied; confirm_order in erp-de; book r1 in erp-de; #2 applied");
    assert_eq!(waits().order(3, cancelled(paid(order()))), "applied; cancel_order in erp-de; book r1 in erp-de; #2 applied");
    assert_eq!(waits().order_deleted(3, order()), "applied deleted_in_source; book r1 in erp-de; #2 applied");

    let mut world = waits();
    assert_eq!(world.outcome(&outcome("place_order", Discarded, 1)), "applied; #2 discarded place_discarded");
    assert_eq!(world.refund(2, &back()), "discarded place_discarded");

    let mut world = World::new();
    world.refund(1, &back());
    assert_eq!(world.refund(1, &refund("r2", 1)), "waiting for its order");
    assert_eq!(world.order(1, order()), "applied; place in erp-de; book r2 in erp-de; #2 applied", "goods of an unpaid order");
    let mut less = paid(order());
    less.lines[0].current_quantity = Decimal::ONE;
    assert_eq!(world.order(2, less), "applied; revise_order in erp-de; confirm_order in erp-de; book r1 in erp-de; #1 applied");
}

/// Somebody edited the order, and the webhook that tells of the new line is late.
#[test]
fn a_refund_waits_for_the_version_that_has_its_lines() {
    let of_new_line = || {
        let mut it = refund("r1", 1);
        it.lines[0].order_line_id = "l2".to_owned();
        it
    };
    let edited = || Order { lines: vec![line("l1", 2), line("l2", 1)], ..order() };
    let waits = |first| {
        let mut world = World::new();
        world.order(1, first);
        assert_eq!(world.refund(1, &of_new_line()), "waiting for its order");
        assert_eq!(world.refund(1, &refund("r2", 1)), "applied; book r2 in erp-de", "another one is none of its business");
        world
    };
    assert_eq!(waits(order()).order(2, edited()), "applied; revise_order in erp-de; book r1 in erp-de; #2 applied");
    assert_eq!(waits(paid(order())).order(2, paid(edited())), "applied; revise_order in erp-de; book r1 in erp-de; #2 applied");
    assert_eq!(waits(order()).order(2, cancelled(edited())), "applied; cancel_order in erp-de; book r1 in erp-de; #2 applied");
    assert_eq!(waits(order()).order_deleted(2, order()), "applied deleted_in_source; book r1 in erp-de; #2 applied", "no version follows");

    let mut world = waits(order());
    assert_eq!(world.order(2, cancelled(order())), "applied; cancel_order in erp-de");
    assert_eq!(world.order(3, cancelled(edited())), "applied; book r1 in erp-de; #2 applied");
    assert_eq!(world.order(4, cancelled(edited())), "applied already_cancelled");

    let mut world = World::new();
    world.refund(1, &of_new_line());
    assert_eq!(world.order(1, order()), "applied; place in erp-de");
    assert_eq!(world.order(2, edited()), "applied; revise_order in erp-de; book r1 in erp-de; #1 applied");
}

#[test]
fn what_a_refund_has_taken_away_when_the_payment_is_heard_of_is_no_revision() {
    let mut less = Order { financial_state: FinancialState::PartiallyRefunded, ..order() };
    less.lines[0].current_quantity = Decimal::ONE;
    let mut world = World::new();
    world.order(1, order());
    world.refund(1, &money_back(refund("r1", 1)));
    assert_eq!(world.order(2, less), "applied; confirm_order in erp-de; book r1 in erp-de; #2 applied");
}

#[test]
fn a_refund_is_booked_once_by_its_newest_version() {
    let mut world = World::new();
    world.refund(1, &refund("r1", 1));
    assert_eq!(world.refund(2, &refund("r1", 2)), "waiting for its order; #1 superseded");
    assert_eq!(world.refund(1, &refund("r1", 1)), "superseded");
    world.order(1, paid(order()));
    let Operation::BookRefund { refund: booked, .. } = &world.commands[1].command.operation else { panic!("a refund is booked") };
    assert_eq!(booked.lines[0].quantity, Decimal::TWO);
    assert_eq!((world.commands[1].command.sequence, keys(&world)[1]), (2, "shop/refund/r1/book"));
}

#[test]
fn a_refund_that_changes_after_it_was_sent_is_for_a_person_unless_only_the_money_arrived() {
    let pending = |amounts: &[i64]| {
        let adjustment = |amount: &i64| RefundAdjustment {
            id: "a".to_owned(),
            kind: RefundAdjustmentKind::PendingDiscrepancy,
            reason: String::new(),
            amount: euros(*amount),
            tax: euros(0),
        };
        Refund { adjustments: amounts.iter().map(adjustment).collect(), ..refund("r1", 1) }
    };
    let mut world = World::new();
    world.order(1, paid(order()));
    assert_eq!(world.refund(1, &pending(&[-10])), "applied; book r1 in erp-de");
    assert_eq!(world.refund(2, &pending(&[-10, 10])), "applied already_booked");
    assert_eq!(world.refund(3, &refund("r1", 2)), "dead refund_changed");
    assert_eq!(world.refund(4, &refund("r1", 1)), "applied already_booked");
}

#[test]
fn outcomes_are_remembered_and_lead_to_nothing() {
    let mut world = World::new();
    world.order(1, order());
    assert_eq!(world.outcome(&outcome("place_order", Dead, 1)), "applied");
    assert_eq!(world.life.placed().unwrap().failure.as_deref(), Some("erp_unknown_item"));
    assert_eq!(world.outcome(&outcome("place_order", Replaying, 2)), "applied");
    assert_eq!(world.outcome(&outcome("place_order", Applied, 3)), "applied");
    assert_eq!(world.outcome(&outcome("place_order", Dead, 1)), "superseded");
    let placed = world.life.placed().unwrap();
    assert_eq!((placed.place.progress, placed.erp_number.as_deref(), placed.failure.as_deref()), (Progress::Applied, Some("S-31"), None));
    assert!(!placed.erp_confirmed);

    world.order(2, paid(order()));
    assert_eq!(world.outcome(&Outcome { confirmed: true, ..outcome("confirm_order", Applied, 4) }), "applied");
    assert!(world.life.placed().unwrap().erp_confirmed);
    assert_eq!(world.commands.len(), 2);
}

#[test]
fn the_outcome_of_a_refund_finds_its_refund() {
    let mut world = World::new();
    world.order(1, paid(order()));
    world.refund(1, &refund("r1", 1));
    let of = |id: &str| Outcome { operation_key: format!("shop/refund/{id}/book"), ..outcome("book_refund", Applied, 1) };
    assert_eq!(world.outcome(&of("r2")), "applied not_ours");
    assert_eq!(world.outcome(&of("r1")), "applied");
    assert!(matches!(world.life.refunds[0].state, RefundState::Sent(Sent { progress: Progress::Applied, .. })));
}

#[test]
fn an_outcome_of_an_older_revision_says_nothing_about_the_newest() {
    let mut world = World::new();
    world.order(1, order());
    world.order(2, bound_for(order(), "FR"));
    world.order(3, bound_for(order(), "IT"));
    assert_eq!(world.outcome(&Outcome { sequence: 2, ..outcome("revise_order", Dead, 1) }), "superseded");
    assert_eq!(world.outcome(&Outcome { sequence: 3, ..outcome("revise_order", Applied, 1) }), "applied");
}

#[test]
fn what_was_discarded_takes_the_rest_of_the_order_with_it() {
    let mut world = World::new();
    world.order(1, order());
    world.outcome(&outcome("place_order", Discarded, 1));
    assert_eq!(world.order(2, paid(order())), "discarded place_discarded");
    assert_eq!(world.refund(1, &refund("r1", 1)), "discarded place_discarded");
    assert_eq!(world.commands.len(), 1);
}

#[test]
fn an_outcome_of_nothing_that_is_known_is_not_ours() {
    let mut world = World::new();
    assert_eq!(world.outcome(&outcome("place_order", Applied, 1)), "applied not_ours");
    world.order(1, order());
    assert_eq!(
        world.outcome(&Outcome { target: Some("erp-fr".parse().unwrap()), ..outcome("place_order", Applied, 1) }),
        "applied not_ours"
    );
}

#[test]
fn a_customer_goes_to_every_target_that_wants_customers() {
    let customer = Customer { id: "9".to_owned(), ..Customer::default() };
    let version = |sequence| Version { event: Uuid::from_u128(1), sequence, is_deleted: false };
    let targets = ["erp-de", "erp-fr"].map(|it| it.parse().unwrap());
    let shop = "shop".parse().unwrap();
    let decide = |known, version, targets: &[domain::TargetId]| {
        let decision = customer::changed(known, version, &shop, &customer, &customer.encode(), targets);
        let keys: Vec<_> = decision.commands.iter().map(|it| format!("{} in {}", it.command.operation_key, it.command.target)).collect();
        format!("{}; {}", settled(decision.settled), keys.join("; "))
    };
    assert_eq!(decide(None, version(1), &targets), "applied; shop/customer/9/sync/1 in erp-de; shop/customer/9/sync/1 in erp-fr");
    assert_eq!(decide(Some(1), version(2), &targets[..1]), "applied; shop/customer/9/sync/2 in erp-de");
    assert_eq!(decide(Some(2), version(2), &targets), "superseded; ");
    assert_eq!(decide(None, version(1), &[]), "applied no_target_wants_customers; ");
    assert_eq!(decide(Some(1), Version { is_deleted: true, ..version(2) }, &targets), "applied deleted_in_source; ");
}

//! Whatever comes in whatever order, and however often: what must never happen, and what must be true in the end.

use proptest::prelude::*;

use super::*;

/// One event of a history that chance wrote.
#[derive(Debug, Clone)]
enum Told {
    Order(u64, Box<Order>),
    Refund(u64, Refund),
    Outcome(Outcome),
}

/// What one version of the order changes.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Pay,
    Tag,
    Check,
    Clear,
    Move,
    Leave,
    Edit,
    Cancel,
    Reopen,
}

fn turn() -> impl Strategy<Value = Turn> {
    use Turn::*;
    prop_oneof![
        3 => Just(Pay), 1 => Just(Tag), 2 => Just(Check), 3 => Just(Clear), 1 => Just(Move), 1 => Just(Leave), 2 => Just(Edit), 1 => Just(Cancel), 1 => Just(Reopen),
    ]
}

/// The versions of an order, each made of the one before.
fn versions() -> impl Strategy<Value = Vec<Order>> {
    proptest::collection::vec(turn(), 1..8).prop_map(|turns| {
        let mut now = order();
        let mut versions = vec![now.clone()];
        for turn in turns {
            now = match turn {
                Turn::Pay => paid(now),
                Turn::Tag => tagged(now, "vip"),
                Turn::Check => tagged(now, "check"),
                Turn::Clear => Order { tags: Vec::new(), ..bound_for(now, "DE") },
                Turn::Move => bound_for(now, "FR"),
                Turn::Leave => bound_for(now, "CH"),
                Turn::Edit => {
                    now.lines.push(line(&format!("l{}", now.lines.len() + 1), 1));
                    now
                }
                Turn::Cancel => cancelled(now),
                Turn::Reopen => Order { cancelled_at: None, ..now },
            };
            versions.push(now.clone());
        }
        versions
    })
}

fn reports() -> impl Strategy<Value = Vec<Outcome>> {
    let state = prop_oneof![
        Just(OutcomeState::Applied),
        Just(OutcomeState::Dead),
        Just(OutcomeState::Discarded),
        Just(OutcomeState::Replaying),
        Just(OutcomeState::Superseded)
    ];
    let operation = proptest::sample::select(&["place_order", "confirm_order", "cancel_order", "book_refund", "revise_order"][..]);
    let report = (operation, state, 0..5_i64).prop_map(|(operation, state, second)| outcome(operation, state, second));
    proptest::collection::vec(report, 0..4)
}

/// The second kind is about a line that only an edit brings.
fn of_the_edit(mut refund: Refund, kind: usize) -> Refund {
    refund.lines[0].order_line_id = format!("l{kind}");
    refund
}

/// All of it, some twice, shuffled.
fn history() -> impl Strategy<Value = Vec<Told>> {
    let refunds = proptest::collection::vec((0..3_usize, 1..3_i64), 0..5);
    let all = (versions(), refunds, reports()).prop_map(|(versions, refunds, outcomes)| {
        let mut sequences = BTreeMap::new();
        let mut told: Vec<Told> = versions.into_iter().zip(1..).map(|(order, sequence)| Told::Order(sequence, Box::new(order))).collect();
        for (id, quantity) in refunds {
            let sequence = sequences.entry(id).and_modify(|it| *it += 1).or_insert(1);
            let goods = refund(&format!("r{id}"), quantity);
            told.push(Told::Refund(*sequence, if id == 0 { money_back(goods) } else { of_the_edit(goods, id) }));
        }
        told.extend(outcomes.into_iter().map(Told::Outcome));
        told
    });
    all.prop_flat_map(|told| {
        let count = told.len();
        let twice = proptest::sample::subsequence(told.clone(), 0..=count);
        twice.prop_map(move |twice| [told.clone(), twice].concat()).prop_shuffle()
    })
}

fn tell(world: &mut World, told: &Told) -> String {
    match told {
        Told::Order(sequence, order) => world.order(*sequence, (**order).clone()),
        Told::Refund(sequence, refund) => world.refund(*sequence, refund),
        Told::Outcome(outcome) => world.outcome(outcome),
    }
}

fn is_place(command: &Command) -> bool {
    matches!(command.command.operation, Operation::PlaceOrder { .. })
}

/// What no history may lead to.
fn check_commands(commands: &[Command]) {
    let keys: BTreeSet<_> = commands.iter().map(|it| it.command.operation_key.as_str()).collect();
    assert_eq!(keys.len(), commands.len(), "the same effect is never asked for twice");
    let is_told = |it: &Command| it.command.operation_key.operation() == Some(it.command.operation.name());
    assert!(commands.iter().all(is_told), "a key alone says what is asked for");
    assert!(commands.iter().filter(|it| is_place(it)).count() <= 1);
    assert!(commands.first().is_none_or(is_place), "nothing comes before the placing");
    assert!(commands.iter().all(|it| it.command.target == commands[0].command.target), "the target stays");

    let cancel = commands.iter().position(|it| matches!(it.command.operation, Operation::CancelOrder { .. }));
    for late in cancel.map(|at| &commands[at + 1..]).unwrap_or_default() {
        assert!(matches!(late.command.operation, Operation::BookRefund { .. }), "only money follows a cancel");
    }
    let confirms = commands.iter().filter(|it| match &it.command.operation {
        Operation::PlaceOrder { confirm, .. } => *confirm,
        Operation::ConfirmOrder { .. } => true,
        _ => false,
    });
    assert!(confirms.count() <= 1);
    // In the target one command waits for the other only if it stands behind it.
    let knows = commands.iter().position(|it| match &it.command.operation {
        Operation::PlaceOrder { confirm, .. } => *confirm,
        Operation::ConfirmOrder { .. } | Operation::CancelOrder { .. } => true,
        _ => false,
    });
    for early in &commands[..knows.unwrap_or(commands.len())] {
        assert!(
            !matches!(&early.command.operation, Operation::BookRefund { refund, .. } if refund.moves_money()),
            "no money goes back before"
        );
    }
    for command in commands {
        if let Operation::BookRefund { refund, order } = &command.command.operation {
            assert!(refund.fits(order), "nothing is given back of what the target has not seen");
        }
    }
    let sequences: Vec<_> =
        commands.iter().filter(|it| !matches!(it.command.operation, Operation::BookRefund { .. })).map(|it| it.command.sequence).collect();
    assert!(sequences.is_sorted(), "an older version never follows a later one");
}

/// Pieces are taken out of an order, one removal after the other, then it is paid. Versions before the last may be lost.
fn removals() -> impl Strategy<Value = (i64, Vec<Told>)> {
    const PIECES: i64 = 9;
    let removals = proptest::collection::vec(1..3_i64, 0..4);
    removals.prop_flat_map(|removals| {
        let mut left = Order { lines: vec![line("l1", PIECES)], ..order() };
        let (mut versions, mut records) = (vec![left.clone()], Vec::new());
        for (index, pieces) in removals.iter().enumerate() {
            left.lines[0].current_quantity -= Decimal::from(*pieces);
            versions.push(left.clone());
            records.push(Told::Refund(1, refund(&format!("r{index}"), *pieces)));
        }
        let told: Vec<Told> = versions.into_iter().zip(1..).map(|(order, sequence)| Told::Order(sequence, Box::new(order))).collect();
        records.push(Told::Order(told.len() as u64 + 1, Box::new(paid(left))));
        let (count, left) = (told.len(), PIECES - removals.iter().sum::<i64>());
        let seen = proptest::sample::subsequence(told, 0..=count);
        seen.prop_map(move |seen| [seen, records.clone()].concat()).prop_shuffle().prop_map(move |told| (left, told))
    })
}

/// Pieces of the first line that a target sells that does as it is told: a quotation is what is left, an order that is confirmed at
/// once is all that was ordered, and before the confirm there is nothing to give back.
fn sold(commands: &[Command]) -> Decimal {
    let (mut pieces, mut is_confirmed) = (Decimal::ZERO, false);
    for command in commands {
        match &command.command.operation {
            Operation::PlaceOrder { order, confirm: true } => (pieces, is_confirmed) = (order.lines[0].quantity, true),
            Operation::PlaceOrder { order, .. } | Operation::ReviseOrder { order } => pieces = order.lines[0].current_quantity,
            Operation::ConfirmOrder { .. } => is_confirmed = true,
            Operation::BookRefund { refund, .. } if is_confirmed => pieces -= refund.lines[0].quantity,
            _ => {}
        }
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn an_order_is_placed_at_most_once_and_everything_else_follows_it(history in history()) {
        let mut world = World::new();
        let mut newest = 0;
        for told in &history {
            let (before, known) = (world.life.clone(), world.commands.len());
            let said = tell(&mut world, told);
            if said.starts_with("dead") {
                prop_assert_eq!(&world.life, &before, "of a letter nothing is remembered");
            }
            if matches!(told, Told::Outcome(_)) {
                prop_assert_eq!(world.commands.len(), known, "an outcome never leads to a command");
            }
            let sequence = world.life.order.as_ref().map_or(0, |it| it.sequence);
            prop_assert!(sequence >= newest, "what is known never gets older");
            newest = sequence;
        }
        check_commands(&world.commands);
        let is_held = matches!(world.life.order.as_ref().map(|it| &it.stage), Some(Stage::Held { .. }));
        let waiting = world.obligations.values().filter(|it| it.starts_with("waiting")).count();
        let refunds = world.life.refunds.iter().filter(|it| it.state == RefundState::Waiting).count();
        prop_assert_eq!(waiting, refunds + usize::from(is_held), "what waits is what is remembered as waiting");
        if let Some(placed) = world.life.placed() {
            let newest = world.life.order.as_ref().unwrap().decode().unwrap();
            for refund in world.life.refunds.iter().filter(|it| it.state == RefundState::Waiting) {
                let refund = refund.decode().unwrap();
                let has_ended = placed.confirm.is_some() || placed.cancel.is_some();
                prop_assert!(!refund.fits(&newest) || refund.moves_money() && !has_ended, "nothing waits that could go on");
            }
        }
    }

    #[test]
    fn what_was_taken_out_before_the_payment_is_taken_out_once((left, told) in removals()) {
        let mut world = World::new();
        told.iter().for_each(|it| drop(tell(&mut world, it)));
        prop_assert_eq!(sold(&world.commands), Decimal::from(left));
    }

    /// Versions may be lost on the way, never their effect: the newest one carries the whole order.
    #[test]
    fn once_its_newest_version_was_seen_an_order_stands_where_that_version_says(history in history()) {
        let mut world = World::new();
        let mut last = (0, order());
        for told in &history {
            if matches!(told, Told::Outcome(_)) {
                continue;
            }
            let said = tell(&mut world, told);
            match told {
                Told::Order(sequence, order) if *sequence > last.0 && !said.starts_with("dead") => last = (*sequence, (**order).clone()),
                _ => {}
            }
        }
        let (sequence, newest) = last;
        prop_assert_eq!(world.life.order.as_ref().map_or(0, |it| it.sequence), sequence);
        let has = |wanted: fn(&Operation) -> bool| world.commands.iter().any(|it| wanted(&it.command.operation));
        let was_placed = has(|it| matches!(it, Operation::PlaceOrder { .. }));
        if sequence > 0 && newest.is_cancelled() {
            prop_assert_eq!(has(|it| matches!(it, Operation::CancelOrder { .. })), was_placed);
        }
        if sequence > 0 && !newest.is_cancelled() && newest.financial_state.is_paid() && was_placed {
            let is_confirmed = has(|it| matches!(it, Operation::PlaceOrder { confirm: true, .. } | Operation::ConfirmOrder { .. }));
            prop_assert!(is_confirmed);
        }
        if was_placed {
            for refund in &world.life.refunds {
                let is_dropped = matches!(refund.state, RefundState::Dropped(_) | RefundState::Waiting);
                let key = format!("shop/refund/{}/book", refund.id);
                prop_assert!(is_dropped || world.commands.iter().any(|it| it.command.operation_key.as_str() == key), "{key}");
            }
        }
    }
}

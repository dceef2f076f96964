use contracts::headers::Headers;
use proptest::prelude::*;

use super::*;

fn record(partition: i32, offset: i64, key: &str) -> Record {
    Record {
        partition: Partition::new("t", partition),
        offset,
        timestamp_ms: 0,
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::from_static(b"12345678"),
        headers: Headers::default(),
        origin: Origin::Topic,
    }
}

fn dispatcher(bounds: Bounds) -> Dispatcher {
    let mut dispatcher = Dispatcher::new(bounds);
    dispatcher.assign([Partition::new("t", 0), Partition::new("t", 1)]);
    dispatcher
}

fn offsets(tickets: &[Ticket]) -> Vec<(i32, i64)> {
    tickets.iter().map(|it| (it.record.partition.number, it.record.offset)).collect()
}

#[test]
fn one_of_a_key_at_a_time_and_partitions_take_turns() {
    let mut dispatcher = dispatcher(Bounds::default());
    for (offset, key) in [(0, "a"), (1, "a"), (2, "b")] {
        dispatcher.deliver(record(0, offset, key));
    }
    dispatcher.deliver(record(1, 0, "c"));
    let taken = dispatcher.take(10);
    assert_eq!(offsets(&taken), [(0, 0), (1, 0), (0, 2)]);
    assert!(dispatcher.take(10).is_empty(), "the second of key a waits for the first");
    assert_eq!(dispatcher.settle(&taken[0]).offset, Some((Partition::new("t", 0), 1)));
    assert_eq!(offsets(&dispatcher.take(10)), [(0, 1)]);
}

#[test]
fn a_full_bound_pauses_its_partition_only_and_resumes_at_half() {
    let mut dispatcher = dispatcher(Bounds { partition_records_max: 4, ..Bounds::default() });
    let mut signals = Vec::new();
    for offset in 0..4 {
        signals.extend(dispatcher.deliver(record(0, offset, &offset.to_string())));
    }
    signals.extend(dispatcher.deliver(record(1, 0, "other")));
    assert_eq!(signals, [Signal::Pause(Partition::new("t", 0))]);
    let taken = dispatcher.take(10);
    let first: Vec<_> = taken.iter().filter(|it| it.record.partition.number == 0).collect();
    assert_eq!(dispatcher.settle(first[0]).signal, None);
    assert_eq!(dispatcher.settle(first[1]).signal, Some(Signal::Resume(Partition::new("t", 0))));
}

#[test]
fn partitions_share_the_bytes_and_one_that_holds_its_share_pauses() {
    let size = record(0, 0, "0").size();
    let mut dispatcher = dispatcher(Bounds { bytes_max: size * 8, ..Bounds::default() });
    let mut signals = Vec::new();
    for offset in 0..3 {
        signals.extend(dispatcher.deliver(record(0, offset, &offset.to_string())));
    }
    assert_eq!(signals, [], "three of the four that are its half");
    signals.extend(dispatcher.deliver(record(0, 3, "3")));
    assert_eq!(signals, [Signal::Pause(Partition::new("t", 0))]);
    let taken = dispatcher.take(2);
    assert_eq!(dispatcher.settle(&taken[0]).signal, None);
    assert_eq!(dispatcher.settle(&taken[1]).signal, Some(Signal::Resume(Partition::new("t", 0))));
}

#[test]
fn a_key_that_filled_its_partition_has_to_shrink_before_it_resumes() {
    let mut dispatcher = dispatcher(Bounds { key_records_max: 4, ..Bounds::default() });
    let mut signals = Vec::new();
    for offset in 0..4 {
        signals.extend(dispatcher.deliver(record(0, offset, "a")));
    }
    assert_eq!(signals, [Signal::Pause(Partition::new("t", 0))]);
    let mut settle_next = || {
        let taken = dispatcher.take(1);
        dispatcher.settle(&taken[0]).signal.is_some()
    };
    let resumed: Vec<_> = (0..4).map(|_| settle_next()).collect();
    assert_eq!(resumed, [false, true, false, false], "two of four still wait when it resumes");
}

/// Orders and outcomes of one order come from two topics.
#[test]
fn a_partition_resumes_although_another_ones_records_fill_the_key() {
    let mut dispatcher = dispatcher(Bounds { key_records_max: 4, ..Bounds::default() });
    let mut signals = Vec::new();
    for (partition, offset) in [(1, 0), (1, 1), (1, 2), (0, 0), (1, 3)] {
        signals.extend(dispatcher.deliver(record(partition, offset, "a")));
    }
    let (zero, one) = (Partition::new("t", 0), Partition::new("t", 1));
    assert_eq!(signals, [Signal::Pause(zero.clone()), Signal::Pause(one.clone())]);
    let settle = |dispatcher: &mut Dispatcher| {
        let taken = dispatcher.take(1).remove(0);
        dispatcher.settle(&taken).signal
    };
    assert_eq!([settle(&mut dispatcher), settle(&mut dispatcher)], [None, Some(Signal::Resume(one))]);
    for offset in 4..6 {
        dispatcher.deliver(record(1, offset, "a"));
    }
    assert_eq!(settle(&mut dispatcher), None);
    assert_eq!(settle(&mut dispatcher), Some(Signal::Resume(zero)), "its only one is settled, and three of the other wait");
}

#[test]
fn what_is_given_back_stays_outstanding_and_frees_its_key() {
    let mut dispatcher = dispatcher(Bounds::default());
    let zero = [Partition::new("t", 0)];
    dispatcher.deliver(record(0, 0, "a"));
    dispatcher.deliver(record(0, 1, "b"));
    let taken = dispatcher.take(2);
    dispatcher.freeze(&zero);
    assert!(!dispatcher.keeps(&taken[0]));
    dispatcher.settle(&taken[1]);
    dispatcher.give_back(&taken[0]);
    assert_eq!((dispatcher.out_of(&zero), dispatcher.in_hand()), (0, 0));
    assert_eq!(dispatcher.revoke(&zero), [(Partition::new("t", 0), 0)]);
    dispatcher.assign(zero);
    dispatcher.deliver(record(0, 0, "a"));
    assert_eq!(offsets(&dispatcher.take(1)), [(0, 0)]);
}

#[test]
fn a_completion_of_an_older_assignment_moves_no_offset() {
    let mut dispatcher = dispatcher(Bounds::default());
    dispatcher.deliver(record(0, 7, "a"));
    let taken = dispatcher.take(1);
    assert_eq!(dispatcher.revoke(&[Partition::new("t", 0)]), [(Partition::new("t", 0), 7)]);
    dispatcher.assign([Partition::new("t", 0)]);
    dispatcher.deliver(record(0, 7, "a"));
    assert!(dispatcher.take(1).is_empty(), "the first holder of the key is still at work");
    assert_eq!(dispatcher.settle(&taken[0]), Settled::default());
    assert_eq!(offsets(&dispatcher.take(1)), [(0, 7)]);
}

#[test]
fn a_frozen_partition_hands_nothing_out() {
    let mut dispatcher = dispatcher(Bounds::default());
    let zero = [Partition::new("t", 0)];
    dispatcher.deliver(record(0, 0, "a"));
    dispatcher.deliver(record(0, 1, "b"));
    let taken = dispatcher.take(1);
    dispatcher.freeze(&zero);
    assert!(dispatcher.take(5).is_empty());
    assert_eq!(dispatcher.out_of(&zero), 1);
    dispatcher.settle(&taken[0]);
    assert_eq!(dispatcher.out_of(&zero), 0);
}

#[test]
fn letters_run_beside_live_records_and_move_no_offset() {
    let mut dispatcher = dispatcher(Bounds::default());
    dispatcher.deliver(record(0, 3, "a"));
    let letter = Record { origin: Origin::Letter(uuid::Uuid::from_u128(1)), ..record(0, 1, "a") };
    dispatcher.deliver_letter(Drained { record: letter, delays: 0, deaths: 0 });
    let taken = dispatcher.take(5);
    assert_eq!((taken.len(), dispatcher.letters_in_hand()), (2, 1));
    let letter = taken.iter().find(|it| it.record.offset == 1).expect("the letter was taken");
    assert_eq!(dispatcher.settle(letter), Settled::default());
    assert_eq!(dispatcher.letters_in_hand(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Deliver { partition: i32, key: u8 },
    Take { max: usize },
    Settle { pick: prop::sample::Index },
    Rebalance { partition: i32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2, 0..5_u8).prop_map(|(partition, key)| Step::Deliver { partition, key }),
        2 => (1..6_usize).prop_map(|max| Step::Take { max }),
        4 => any::<prop::sample::Index>().prop_map(|pick| Step::Settle { pick }),
        1 => (0..2).prop_map(|partition| Step::Rebalance { partition }),
    ]
}

proptest! {
    /// Any interleaving: a key is never out twice, its records come in order, and no stored offset passes one that is not settled.
    #[test]
    fn order_per_key_and_no_offset_past_an_open_record(steps in prop::collection::vec(step(), 1..200)) {
        let mut dispatcher = dispatcher(Bounds { partition_records_max: 8, ..Bounds::default() });
        let mut next = [0_i64; 2];
        let mut settled: [std::collections::BTreeSet<i64>; 2] = Default::default();
        let mut stored = [0_i64; 2];
        let mut out: Vec<Ticket> = Vec::new();
        for step in steps {
            match step {
                Step::Deliver { partition, key } => {
                    let index = partition as usize;
                    // A key lives on one partition, as a partitioner would have it.
                    dispatcher.deliver(record(partition, next[index], &format!("{partition}/{key}")));
                    next[index] += 1;
                }
                Step::Take { max } => {
                    for ticket in dispatcher.take(max) {
                        prop_assert!(out.iter().all(|it| it.record.key != ticket.record.key), "two of one key are out");
                        let index = ticket.record.partition.number as usize;
                        let earlier_open = (0..ticket.record.offset).filter(|it| *it >= stored[index] && !settled[index].contains(it)).count();
                        prop_assert!(earlier_open <= next[index] as usize);
                        out.push(ticket);
                    }
                }
                Step::Settle { pick } => {
                    if out.is_empty() { continue }
                    let ticket = out.swap_remove(pick.index(out.len()));
                    let index = ticket.record.partition.number as usize;
                    settled[index].insert(ticket.record.offset);
                    if let Some((partition, offset)) = dispatcher.settle(&ticket).offset {
                        let index = partition.number as usize;
                        prop_assert!((0..offset).all(|it| settled[index].contains(&it)), "an offset below {offset} is open");
                        prop_assert!(offset >= stored[index], "the offset went backwards");
                        stored[index] = offset;
                    }
                }
                Step::Rebalance { partition } => {
                    let index = partition as usize;
                    let partition = Partition::new("t", partition);
                    for (_, offset) in dispatcher.revoke(std::slice::from_ref(&partition)) {
                        prop_assert!((0..offset).all(|it| settled[index].contains(&it)));
                        stored[index] = offset;
                    }
                    // The next owner starts at the stored offset: what is above it comes again.
                    next[index] = stored[index];
                    dispatcher.assign([partition]);
                }
            }
        }
        prop_assert_eq!(dispatcher.in_hand() >= out.len(), true);
    }
}

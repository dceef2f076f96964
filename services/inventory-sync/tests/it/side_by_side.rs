use std::sync::Arc;

use contracts::wire::OutcomeState::Applied;

use super::group::Group;
use super::world::{observed, ordered, outcome};

/// Orders, outcomes and levels of one SKU lie in partitions of their own, which two processes may be reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_miss_each_others_part_of_the_sum() {
    let first = Arc::new(Group::new().await);
    let second = Arc::new(Group::over(first.store.clone(), first.settings.clone()));
    first.settle(&observed(1, 1000, 0, &[])).await;
    for round in 0..30_u64 {
        let (one, other) = (format!("a{round}"), format!("b{round}"));
        let sequence = round + 2;
        let (order, level) = (ordered(&one, 1, 2), observed(sequence, 1000, 0, &[]));
        tokio::join!(first.settle(&order), second.settle(&level));
        let (order, told) = (ordered(&other, 1, 1), outcome(&other, "place_order", Applied, 1, 1_000_000));
        tokio::join!(second.settle(&order), first.settle(&told));
        assert_eq!(first.available().await, 1000 - 3 * (i64::try_from(round).unwrap() + 1));
    }
    let sequences = first.count("select sequence from stock.desired").await;
    assert_eq!(first.count("select count(*) from stock.output").await, sequences, "each event once, without a gap");
}

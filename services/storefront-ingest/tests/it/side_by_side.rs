use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::Next;

use super::group::{Group, at, changed, generator, new_order};

/// While partitions move, or a letter is drained, two processes may decide about a new entity at the same moment. One of them
/// finds that it had come too late and decides again; no sequence is given to two versions.
#[tokio::test]
async fn two_processes_never_give_one_sequence_to_two_versions() {
    let group = Arc::new(Group::new().await);
    let beside = Arc::new(group.beside());
    let mut generator = generator();
    for round in 0..40 {
        let first = new_order(&mut generator, round * 10);
        let mut second = first.clone();
        second.annotate("an update that overtook", at(round * 10 + 3));
        let (created, updated) = (group.order("orders/create", &first), beside.order("orders/updated", &second));
        let (one, two) = tokio::join!(group.arrives(&created), beside.arrives(&updated));
        let mut by_id = BTreeMap::new();
        for next in [&one, &two] {
            let Next::Act(outputs) = next else { continue };
            for it in outputs {
                let twin = by_id.insert(it.headers.event_id().unwrap(), changed(it));
                assert_eq!(twin, None, "round {round}");
            }
        }
        assert!(matches!(two, Next::Act(_)), "the newer version is never dropped");
    }
}

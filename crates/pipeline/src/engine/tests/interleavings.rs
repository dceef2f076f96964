//! Two processes of one group, a broker and a ledger, and whatever can befall them, in any order: what the account promises holds.

mod group;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use group::{Group, PARTITIONS};

/// What befalls the group.
#[derive(Debug, Clone)]
enum Fate {
    /// Records of a key; a bad one is refused until it is cured.
    Send {
        key: u8,
        bad: bool,
    },
    /// What was read is read again: librdkafka's rewinds, a broker that lost a commit.
    ReadAgain {
        partition: usize,
    },
    Wait {
        millis: u64,
    },
    /// SIGKILL; another process begins at once.
    Die {
        member: usize,
    },
    /// In good order, as at a rebalance.
    Move {
        partition: usize,
    },
    /// The broker gave it to somebody else without a word.
    Lose {
        partition: usize,
    },
    /// The next acts of a key fail.
    Fail {
        key: u8,
        times: u32,
    },
    Away {
        is_away: bool,
    },
    Replay,
    Discard,
}

fn fate() -> impl Strategy<Value = Fate> {
    let (key, partition, member) = (0..KEYS, 0..PARTITIONS, 0..2_usize);
    prop_oneof![
        8 => (key.clone(), prop::bool::weighted(0.15)).prop_map(|(key, bad)| Fate::Send { key, bad }),
        4 => (1..3_000_u64).prop_map(|millis| Fate::Wait { millis }),
        1 => partition.clone().prop_map(|partition| Fate::ReadAgain { partition }),
        2 => member.prop_map(|member| Fate::Die { member }),
        2 => partition.clone().prop_map(|partition| Fate::Move { partition }),
        1 => partition.prop_map(|partition| Fate::Lose { partition }),
        2 => (key, 1..9_u32).prop_map(|(key, times)| Fate::Fail { key, times }),
        1 => any::<bool>().prop_map(|is_away| Fate::Away { is_away }),
        2 => Just(Fate::Replay),
        1 => Just(Fate::Discard),
    ]
}

async fn befall(group: &mut Group, fate: &Fate) {
    match *fate {
        Fate::Send { key, bad } => group.send(key, bad),
        Fate::ReadAgain { partition } => group.read_again(partition),
        Fate::Wait { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
        Fate::Die { member } => group.die(member),
        Fate::Move { partition } => group.hand_over(partition).await,
        Fate::Lose { partition } => group.lose(partition),
        Fate::Fail { key, times } => group.world.fail(key, times),
        Fate::Away { is_away } => group.world.go_away(is_away),
        Fate::Replay => group.world.replay_one(),
        Fate::Discard => group.world.discard_one(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    /// All along: no offset is committed past what is neither settled nor durably a letter (I11), and none goes back (I12).
    /// At rest, after the repair and the replay of every letter: each record was applied once or discarded (I1 to I3, I6), those
    /// of a key in their order (I7, I8).
    #[test]
    fn nothing_is_lost_nothing_is_done_twice_nothing_overtakes(fates in prop::collection::vec(fate(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let wrong = runtime.block_on(async {
            let mut group = Group::start();
            for fate in &fates {
                befall(&mut group, fate).await;
            }
            group.mend();
            group.comes_to_rest().await;
            let world = Arc::clone(&group.world);
            drop(group);
            world.wrong()
        });
        prop_assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

const KEYS: u8 = 4;

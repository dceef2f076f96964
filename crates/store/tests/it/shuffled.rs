//! Whatever befalls the letters of a key, over the real tables: each record is decided or discarded, and those of a key are decided
//! in their order. Where the latest wins, a later one may stand for it instead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use contracts::topics::Parking;
use pipeline::{Ledger as _, Next, Origin, Position, Record, Turn, Verdict};
use proptest::prelude::*;
use store::letters::{self, DiscardScope, Filter, Letter, LetterState};

use super::group::{Group, record};

#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Bad ones fail until they are mended.
    Send {
        key: u8,
        is_bad: bool,
    },
    /// The first in hand of a key is taken as far as it goes.
    Settle {
        key: u8,
    },
    /// It is decided, and the process dies before anybody produces that.
    Die {
        key: u8,
    },
    /// In good order; another process begins.
    Stop,
    Drain {
        max: usize,
    },
    /// From now on, what fails is put off instead of given up.
    PutOff {
        is_on: bool,
    },
    WaitIsOver,
    Mend {
        is_on: bool,
    },
    Replay {
        nth: usize,
    },
    Discard {
        nth: usize,
        scope: DiscardScope,
    },
}

fn fate() -> impl Strategy<Value = Fate> {
    let scope = prop::sample::select(vec![DiscardScope::Release, DiscardScope::Chain]);
    prop_oneof![
        6 => (0..KEYS, prop::bool::weighted(0.4)).prop_map(|(key, is_bad)| Fate::Send { key, is_bad }),
        10 => (0..KEYS).prop_map(|key| Fate::Settle { key }),
        1 => (0..KEYS).prop_map(|key| Fate::Die { key }),
        1 => Just(Fate::Stop),
        4 => (1..9_usize).prop_map(|max| Fate::Drain { max }),
        1 => any::<bool>().prop_map(|is_on| Fate::PutOff { is_on }),
        1 => Just(Fate::WaitIsOver),
        1 => any::<bool>().prop_map(|is_on| Fate::Mend { is_on }),
        3 => (0..9_usize).prop_map(|nth| Fate::Replay { nth }),
        3 => (0..9_usize, scope).prop_map(|(nth, scope)| Fate::Discard { nth, scope }),
    ]
}

/// One process after the other, which holds the records of a key in one queue, as the engine does.
struct Shuffled {
    group: Group,
    topic: Vec<Record>,
    settled: BTreeSet<i64>,
    in_hand: BTreeMap<Vec<u8>, VecDeque<Record>>,
    /// Key and offset of each that was decided, as it was; more than once where nobody knows whether it was produced.
    decided: Vec<(Vec<u8>, i64)>,
    puts_off: bool,
}

impl Shuffled {
    async fn new(policy: Parking) -> Self {
        Self {
            group: Group::new(policy).await,
            topic: Vec::new(),
            settled: BTreeSet::new(),
            in_hand: BTreeMap::new(),
            decided: Vec::new(),
            puts_off: false,
        }
    }

    async fn befall(&mut self, fate: Fate) {
        match fate {
            Fate::Send { key, is_bad } => self.send(key, is_bad),
            Fate::Settle { key } => self.settle(&key_of(key)).await,
            Fate::Die { key } => self.die(&key_of(key)).await,
            Fate::Stop => {
                self.group.ledger.give_letters_back().await.unwrap();
                self.begin();
            }
            Fate::Drain { max } => self.drain(max).await,
            Fate::PutOff { is_on } => self.puts_off = is_on,
            Fate::WaitIsOver => self.group.wait_is_over().await,
            Fate::Mend { is_on } => self.group.script.repaired.store(is_on, Ordering::Relaxed),
            Fate::Replay { nth } => self.replay(nth).await,
            Fate::Discard { nth, scope } => self.discard(nth, scope).await,
        }
    }

    fn send(&mut self, key: u8, is_bad: bool) {
        let id = self.topic.len() + 1;
        let value = format!("{} {id}", if is_bad { "bad" } else { "good" });
        let record = record(&key.to_string(), u128::try_from(id).unwrap(), &value);
        self.topic.push(record.clone());
        self.take(record);
    }

    fn take(&mut self, record: Record) {
        self.in_hand.entry(record.key.to_vec()).or_default().push_back(record);
    }

    async fn settle(&mut self, key: &[u8]) {
        let Some(record) = self.in_hand.get_mut(key).and_then(VecDeque::pop_front) else { return };
        let ended = match self.group.arrives(&record).await {
            Next::Done | Next::Lettered => None,
            Next::Act(outputs) => {
                self.decided.push((key.to_vec(), record.offset));
                Some(Turn::Acted(outputs.iter().map(|it| Position::of(it, 0, record.offset)).collect()))
            }
            Next::Fail(fault) => {
                let verdict = if self.puts_off { Verdict::PutOff(Duration::from_secs(3_600)) } else { Verdict::Letter };
                Some(Turn::Failed { fault: Arc::new(fault), verdict, attempts: 1, report: None })
            }
            Next::Later(_) => panic!("no key has so many letters"),
        };
        if let Some(turn) = ended {
            assert!(matches!(self.group.turn(&record, turn).await, Next::Done));
        }
        if record.origin == Origin::Topic {
            self.settled.insert(record.offset);
        }
    }

    async fn die(&mut self, key: &[u8]) {
        if let Some(record) = self.in_hand.get(key).and_then(VecDeque::front)
            && let Next::Act(_) = self.group.arrives(record).await
        {
            self.decided.push((key.to_vec(), record.offset));
        }
        let sql = "update letters.parked set claimed_until = now() - interval '1 second' where claimed_until is not null";
        sqlx::query(sql).execute(self.group.store.pool()).await.unwrap();
        self.begin();
    }

    /// The next process reads from the first record on that is not settled.
    fn begin(&mut self) {
        self.group.ledger = self.group.restarted();
        self.in_hand.clear();
        let unsettled = self.topic.iter().position(|it| !self.settled.contains(&it.offset)).unwrap_or(self.topic.len());
        let again = self.topic[unsettled..].to_vec();
        again.into_iter().for_each(|record| self.take(record));
    }

    async fn drain(&mut self, max: usize) {
        for drained in self.group.ledger.drain(max).await.unwrap() {
            self.take(drained.record);
        }
    }

    /// Dead or waiting.
    async fn open(&self) -> Vec<Letter> {
        let filter = Filter { states: vec![LetterState::Dead, LetterState::Waiting], ..Filter::default() };
        letters::list(&self.group.store, &filter, None, 100).await.unwrap().letters
    }

    async fn nth_open(&self, nth: usize) -> Option<Letter> {
        let open = self.open().await;
        open.get(nth % open.len().max(1)).cloned()
    }

    async fn replay(&self, nth: usize) {
        if let Some(letter) = self.nth_open(nth).await {
            letters::replay(&self.group.store, letter.id, "ada", "mended", None, Arc::new(|_| None)).await.unwrap();
        }
    }

    async fn discard(&self, nth: usize, scope: DiscardScope) {
        if let Some(letter) = self.nth_open(nth).await {
            letters::discard(&self.group.store, letter.id, "ada", "no order", scope, None, Arc::new(|_| None)).await.unwrap();
        }
    }

    /// Everything is mended, and every letter is replayed.
    async fn comes_to_rest(&mut self) {
        self.group.script.repaired.store(true, Ordering::Relaxed);
        for _ in 0..1_000 {
            let keys: Vec<_> = self.in_hand.iter().filter(|(_, queue)| !queue.is_empty()).map(|(key, _)| key.clone()).collect();
            for key in &keys {
                self.settle(key).await;
            }
            self.drain(100).await;
            if keys.is_empty() && self.in_hand.values().all(VecDeque::is_empty) {
                match self.open().await.is_empty() {
                    true => return,
                    false => self.replay(0).await,
                }
            }
        }
        panic!("it does not come to rest");
    }

    async fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let (discarded, superseded) = (self.ended("discarded").await, self.ended("superseded").await);
        for record in &self.topic {
            let of_key = self.decided.iter().filter(|(key, _)| *key == record.key).map(|it| it.1);
            let is_decided = of_key.clone().any(|it| it == record.offset);
            let is_outdone = superseded.contains(&record.offset) && of_key.max() > Some(record.offset);
            match (is_decided, discarded.contains(&record.offset)) {
                (true, true) => wrong.push(format!("{} is decided and discarded", record.offset)),
                (false, false) if !is_outdone => wrong.push(format!("{} is lost", record.offset)),
                _ => {}
            }
        }
        if self.group.policy == Parking::Park {
            wrong.extend(self.overtaken());
        }
        let parked = self.group.count("select count(*) from letters.parked").await;
        if parked > 0 {
            wrong.push(format!("{parked} keys are parked behind nothing"));
        }
        wrong
    }

    /// Offsets of letters that ended so.
    async fn ended(&self, state: &str) -> BTreeSet<i64> {
        let sql = "select origin_offset from letters.letter where state = $1";
        sqlx::query_scalar(sql).bind(state).fetch_all(self.group.store.pool()).await.unwrap().into_iter().collect()
    }

    fn overtaken(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut last: BTreeMap<&[u8], i64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (key, offset) in self.decided.iter().filter(|it| seen.insert(it.1)) {
            let before = last.insert(key, *offset).unwrap_or_default();
            if before > *offset {
                wrong.push(format!("{before} overtook {offset}"));
            }
        }
        wrong
    }
}

fn key_of(key: u8) -> Vec<u8> {
    record(&key.to_string(), 0, "").key.to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_overtakes_whatever_befalls_the_letters(
        policy in prop::sample::select(vec![Parking::Park, Parking::LatestWins, Parking::Independent]),
        fates in prop::collection::vec(fate(), 20..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let wrong = runtime.block_on(async {
            let mut shuffled = Shuffled::new(policy).await;
            for fate in &fates {
                shuffled.befall(*fate).await;
            }
            shuffled.comes_to_rest().await;
            shuffled.wrong().await
        });
        prop_assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

const KEYS: u8 = 2;

//! Whether a program has come anywhere since it last died. One that dies again before it did is in a crash loop, and reads with
//! care from then on: that is another matter, with tests of its own (`pipeline::care`), and takes its time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contracts::topics::groups;
use e2e::{ERP, Installation, Program};
use store::account::Progress;
use tokio::time::sleep;

type Offsets = BTreeMap<(String, i32), i64>;

/// How far the groups were when their programs last died.
#[derive(Default)]
pub(super) struct Calm(BTreeMap<Program, Offsets>);

impl Calm {
    pub(super) async fn died(&mut self, it: &Installation, program: Program) {
        let places = places(it, program).await;
        self.0.insert(program, places.into_iter().map(|it| ((it.topic.clone(), it.partition), it.next())).collect());
    }

    /// Waits until each of its partitions has moved, or has nothing that could move.
    pub(super) async fn is_back(&self, it: &Installation, program: Program) {
        let Some(before) = self.0.get(&program) else { return };
        let stands = |now: &Progress| now.is_behind() && before.get(&(now.topic.clone(), now.partition)).is_none_or(|it| now.next() <= *it);
        let begun = Instant::now();
        while begun.elapsed() < CALM_MAX && places(it, program).await.iter().any(stands) {
            sleep(Duration::from_millis(250)).await;
        }
    }
}

/// Nothing, where Kafka does not answer right now.
async fn places(it: &Installation, program: Program) -> Vec<Progress> {
    let group = match program {
        Program::Ingest => groups::MAPPER.to_owned(),
        Program::Router => groups::ROUTER.to_owned(),
        Program::Adapter => groups::erp(&ERP.parse().expect("it is the name of a target")),
        Program::Stock => groups::STOCK.to_owned(),
        Program::Replayer => return Vec::new(),
    };
    let progress = it.scope().await.map(|it| it.progress).unwrap_or_default();
    progress.into_iter().filter(|it| it.group == group).collect()
}

/// Then it dies all the same.
const CALM_MAX: Duration = Duration::from_secs(45);

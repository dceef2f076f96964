//! An adapter of one target: real ledger and engine, commands from a list, outcomes into a list.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contracts::headers::{self, Headers};
use contracts::wire::{Outcome, OutcomeState, Wire as _};
use domain::{AggregateKey, Buyer, ErpCommand, Operation, OperationKey, Order};
use erp_adapter::act::{Act, Report};
use erp_adapter::actor::EffectActor;
use erp_adapter::claims::Claims;
use erp_adapter::core::step::LookWaits;
use erp_adapter::ledger::{EffectLedger, LedgerSettings, Signals};
use erp_adapter::outcome::Outcomes;
use fault::Fault;
use pipeline::engine::Stopped;
use pipeline::seam::ActError;
use pipeline::{
    Actor, Batch, CommitError, Drained, Engine, EngineSettings, LaneSpec, Ledger, Next, Origin, OutRecord, Partition, Position, Record,
    Source, SourceControl, SourceEvent,
};
use store::{Store, StoreSettings};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::erp::FakeErp;

pub(crate) const TARGET: &str = "erp-main";
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What outlives a process: the database, the ERP, the topics.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) erp: Arc<FakeErp>,
    pub(crate) published: Arc<Mutex<Vec<OutRecord>>>,
    /// The first wait of a command that is put off.
    pub(crate) delay: Duration,
    pub(crate) records: Mutex<Vec<Record>>,
    pub(crate) settings: LedgerSettings,
    pub(crate) slots: usize,
    target: String,
}

impl World {
    pub(crate) async fn new(erp: FakeErp) -> Self {
        Self::at(Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap(), TARGET, erp)
    }

    pub(crate) fn at(store: Store, target: &str, erp: FakeErp) -> Self {
        Self {
            store,
            erp: Arc::new(erp),
            published: Arc::default(),
            records: Mutex::default(),
            settings: LedgerSettings {
                lease: Duration::from_secs(10),
                look_waits: LookWaits { first: Duration::from_millis(40), next: Duration::from_millis(40) },
            },
            slots: 4,
            delay: Duration::from_secs(3600),
            target: target.to_owned(),
        }
    }

    pub(crate) fn group(&self) -> String {
        format!("erp-adapter-{}", self.target)
    }

    /// Appends a command to the topic.
    pub(crate) fn send(&self, order: &Order, operation: &str, sequence: u64) -> Uuid {
        let id = Uuid::new_v4();
        self.send_as(id, order, operation, sequence);
        id
    }

    pub(crate) fn send_as(&self, id: Uuid, order: &Order, operation: &str, sequence: u64) {
        let connection: domain::ConnectionId = "shop".parse().unwrap();
        let aggregate = AggregateKey::order(&connection, &order.id);
        let boxed = Box::new(order.clone());
        let (operation, key) = match operation {
            "place" => (Operation::PlaceOrder { order: boxed, confirm: true }, format!("{aggregate}/place_order")),
            "revise" => (Operation::ReviseOrder { order: boxed }, format!("{aggregate}/revise_order/{sequence}")),
            _ => (Operation::CancelOrder { order: boxed }, format!("{aggregate}/cancel_order")),
        };
        let command = ErpCommand {
            target: self.target.parse().unwrap(),
            connection,
            aggregate: aggregate.clone(),
            operation_key: OperationKey::from_wire(key).unwrap(),
            sequence,
            operation,
        };
        self.send_bytes(id, aggregate.as_str(), command.encode());
    }

    pub(crate) fn send_bytes(&self, id: Uuid, key: &str, value: bytes::Bytes) {
        let mut records = self.records.lock().unwrap();
        let mut out = Headers::default();
        out.push(headers::CE_ID, id.to_string());
        out.push(headers::CE_TYPE, ErpCommand::NAME);
        out.push(headers::CE_SUBJECT, key.to_owned());
        let offset = i64::try_from(records.len()).unwrap();
        records.push(Record {
            partition: Partition::new("commands", 0),
            offset,
            timestamp_ms: 0,
            key: key.to_owned().into(),
            value,
            headers: out,
            origin: Origin::Topic,
        });
    }

    /// Starts a process that reads the topic from its beginning: every redelivery that can be.
    pub(crate) fn start(&self) -> Process {
        self.start_with(Fuse::default())
    }

    pub(crate) fn start_with(&self, fuse: Fuse) -> Process {
        let outcomes = Outcomes { topic: "outcomes".to_owned(), target: self.target.parse().unwrap(), group: self.group() };
        let ledger = EffectLedger::new(
            self.store.clone(),
            Arc::clone(&self.erp) as _,
            outcomes,
            self.settings,
            Arc::default(),
            Arc::<Signals>::default(),
        );
        let claims: Arc<Claims> = ledger.claims();
        let publisher = Publisher(Arc::clone(&self.published));
        let actor =
            EffectActor::new(Arc::clone(&self.erp) as _, self.target.parse().unwrap(), self.slots, ledger.call_max(), claims, publisher);
        let ledger = Arc::new(ledger);
        let control = Arc::new(Control::default());
        let mut settings = EngineSettings::new(self.group());
        settings.drain_interval = Duration::from_millis(30);
        settings.retry.backoff_first = Duration::from_millis(5);
        settings.retry.backoff_cap = Duration::from_millis(50);
        settings.retry.dependency_first = Duration::from_millis(5);
        settings.retry.in_place_max = Duration::from_millis(10);
        settings.retry.delay_first = self.delay;
        let (events, receiver) = mpsc::unbounded_channel();
        let engine = Engine::new(
            settings,
            Arc::new(Fused { inner: Arc::clone(&ledger), fuse: fuse.clone() }),
            Arc::new(FusedActor { inner: actor, fuse }),
            Arc::clone(&control) as Arc<dyn SourceControl>,
        );
        let stop = CancellationToken::new();
        let run = tokio::spawn({
            let stop = stop.clone();
            async move { engine.run(Channel(receiver), stop).await.unwrap() }
        });
        events.send(SourceEvent::Assigned(vec![Partition::new("commands", 0)])).unwrap();
        let process = Process { ledger, control, events, stop, run };
        process.deliver(&self.records.lock().unwrap());
        process
    }

    /// Outcomes that a reader sees, twins dropped, in the order of their first copies.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        let mut seen = std::collections::HashSet::new();
        let published = self.published.lock().unwrap();
        let fresh = published.iter().filter(|it| seen.insert(it.headers.event_id()));
        fresh.map(|it| Outcome::decode(&it.value).unwrap()).collect()
    }

    pub(crate) fn applied(&self) -> usize {
        self.outcomes().iter().filter(|it| it.state == OutcomeState::Applied).count()
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }

    pub(crate) async fn letters(&self) -> Vec<(String, Option<String>)> {
        let sql = "select state, code from letters.letter where grp = $1 order by ordinal";
        sqlx::query_as(sql).bind(self.group()).fetch_all(self.store.pool()).await.unwrap()
    }

    pub(crate) async fn letter_ids(&self) -> Vec<Uuid> {
        let sql = "select id from letters.letter where grp = $1 order by ordinal";
        sqlx::query_scalar(sql).bind(self.group()).fetch_all(self.store.pool()).await.unwrap()
    }

    pub(crate) async fn until_applied(&self, count: usize) {
        testkit::eventually(SOON, async || {
            let applied = self.applied();
            if applied == count { Ok(()) } else { Err(format!("{applied} of {count} applied, {:?}", self.letters().await)) }
        })
        .await;
    }

    pub(crate) async fn until_letters(&self, expected: &[&str]) {
        testkit::eventually_eq(SOON, expected.join(" "), async || {
            self.letters().await.into_iter().map(|(state, _)| state).collect::<Vec<_>>().join(" ")
        })
        .await;
    }
}

/// One life of an adapter.
pub(crate) struct Process {
    pub(crate) ledger: Arc<EffectLedger>,
    pub(crate) control: Arc<Control>,
    events: mpsc::UnboundedSender<SourceEvent>,
    pub(crate) stop: CancellationToken,
    run: JoinHandle<Stopped>,
}

impl Process {
    pub(crate) fn deliver(&self, records: &[Record]) {
        for record in records {
            self.events.send(SourceEvent::Record(record.clone())).unwrap();
        }
    }

    /// The partition goes and comes back: everything is delivered again.
    pub(crate) async fn reassign(&self, records: &[Record]) {
        let partitions = vec![Partition::new("commands", 0)];
        self.events.send(SourceEvent::Lost(partitions.clone())).unwrap();
        self.events.send(SourceEvent::Assigned(partitions)).unwrap();
        self.deliver(records);
    }

    pub(crate) async fn until_settled(&self, offset: i64) {
        testkit::eventually_eq(SOON, Some(offset), async || self.control.stored.lock().unwrap().get(&0).copied()).await;
    }

    /// No goodbye: what is out stays out.
    pub(crate) async fn kill(self) {
        self.run.abort();
        let _aborted = self.run.await;
    }

    pub(crate) async fn stop(self) -> Stopped {
        self.stop.cancel();
        let stopped = self.run.await.unwrap();
        self.ledger.give_back().await.unwrap();
        stopped
    }
}

/// Dies at the n-th boundary: from then on nothing of the process goes on.
#[derive(Clone)]
pub(crate) struct Fuse {
    left: Arc<Mutex<Option<usize>>>,
    pub(crate) dead: Arc<Notify>,
    revived: Arc<Notify>,
}

impl Default for Fuse {
    fn default() -> Self {
        Self { left: Arc::new(Mutex::new(None)), dead: Arc::new(Notify::new()), revived: Arc::new(Notify::new()) }
    }
}

impl Fuse {
    pub(crate) fn after(boundaries: usize) -> Self {
        Self { left: Arc::new(Mutex::new(Some(boundaries))), ..Self::default() }
    }

    async fn cross(&self) {
        let is_dead = match &mut *self.left.lock().unwrap() {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                *left == 0
            }
        };
        if is_dead {
            self.dead.notify_one();
            self.revived.notified().await;
        }
    }

    /// It only stood still, and goes on.
    pub(crate) fn revive(&self) {
        *self.left.lock().unwrap() = None;
        self.revived.notify_one();
    }
}

struct Fused {
    inner: Arc<EffectLedger>,
    fuse: Fuse,
}

#[async_trait]
impl Ledger for Fused {
    type Act = Act;
    type Report = Report;

    async fn commit(&self, batch: Batch<Report>) -> Result<Vec<Next<Act>>, CommitError> {
        self.fuse.cross().await;
        let nexts = self.inner.commit(batch).await;
        self.fuse.cross().await;
        nexts
    }

    async fn drain(&self, max: usize) -> Result<Vec<Drained>, Fault> {
        self.inner.drain(max).await
    }

    fn deaths(&self) -> Arc<dyn pipeline::Deaths> {
        self.inner.deaths()
    }
}

struct FusedActor {
    inner: EffectActor<Publisher>,
    fuse: Fuse,
}

#[async_trait]
impl Actor<Act, Report> for FusedActor {
    fn lanes(&self) -> Vec<LaneSpec> {
        self.inner.lanes()
    }

    fn lane(&self, act: &Act) -> usize {
        self.inner.lane(act)
    }

    fn family(&self, act: &Act) -> usize {
        self.inner.family(act)
    }

    async fn act(&self, record: &Record, act: Act) -> Result<Report, ActError<Report>> {
        self.fuse.cross().await;
        let done = self.inner.act(record, act).await;
        self.fuse.cross().await;
        done
    }

    fn did(&self, report: &Report) -> bool {
        self.inner.did(report)
    }

    async fn probe(&self, lane: usize) -> Result<(), Fault> {
        self.inner.probe(lane).await
    }
}

struct Publisher(Arc<Mutex<Vec<OutRecord>>>);

#[async_trait]
impl Actor<Vec<OutRecord>, Vec<Position>> for Publisher {
    fn lanes(&self) -> Vec<LaneSpec> {
        vec![LaneSpec { name: "kafka", slots: 64, families: &["publish"], is_ours: true }]
    }

    fn lane(&self, _: &Vec<OutRecord>) -> usize {
        0
    }

    async fn act(&self, _: &Record, act: Vec<OutRecord>) -> Result<Vec<Position>, ActError<Vec<Position>>> {
        let mut published = self.0.lock().unwrap();
        let first = published.len();
        published.extend(act.clone());
        Ok((0..act.len()).map(|n| Position::of(&act[n], 0, i64::try_from(first + n).unwrap())).collect())
    }

    async fn probe(&self, _: usize) -> Result<(), Fault> {
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Control {
    pub(crate) stored: Mutex<HashMap<i32, i64>>,
}

impl SourceControl for Control {
    fn pause(&self, _: &[Partition]) {}

    fn resume(&self, _: &[Partition]) {}

    fn store(&self, offsets: &[(Partition, i64)]) {
        self.stored.lock().unwrap().extend(offsets.iter().map(|(partition, offset)| (partition.number, *offset)));
    }
}

struct Channel(mpsc::UnboundedReceiver<SourceEvent>);

#[async_trait]
impl Source for Channel {
    async fn next(&mut self) -> Option<SourceEvent> {
        self.0.recv().await
    }
}

pub(crate) fn order(id: &str) -> Order {
    order_of(id, "ada@example.com")
}

pub(crate) fn order_of(id: &str, email: &str) -> Order {
    order_by(id, "", email)
}

/// `customer`: the buyer's account, empty for guests.
pub(crate) fn order_by(id: &str, customer: &str, email: &str) -> Order {
    let buyer = Buyer { customer_id: customer.to_owned(), email: email.to_owned(), ..Buyer::default() };
    Order { buyer: Some(buyer), ..testkit::order(id) }
}

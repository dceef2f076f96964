use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{BusSettings, Consumer, ConsumerHandle, Producer, Role};
use contracts::topics::{Topic, Visibility};
use pipeline::{OutRecord, Partition, Position, Record, Source as _, SourceControl as _, SourceEvent};

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const GROUP: &str = "readers";

/// A broker with one topic.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) settings: BusSettings,
    pub(crate) topic: Arc<str>,
}

pub(crate) fn table(name: &str, partitions: i32) -> Topic {
    Topic {
        name: name.to_owned(),
        key: "order",
        partitions,
        retention: Duration::from_secs(14 * 24 * 3600),
        message_bytes_max: 1 << 20,
        visibility: Visibility::Internal,
    }
}

impl Stage {
    /// On the shared Kafka.
    pub(crate) async fn with_partitions(partitions: i32) -> Option<Self> {
        Some(Self::on(testkit::kafka().await?, partitions).await)
    }

    pub(crate) async fn on(brokers: String, partitions: i32) -> Self {
        let settings = BusSettings::local(brokers).with_prefix(testkit::prefix());
        bus::topics::apply(&settings, &[table("orders", partitions)], 1, 1).await.unwrap();
        let topic = Arc::from(settings.topic("orders"));
        Self { settings, topic }
    }

    pub(crate) async fn producer(&self) -> Producer {
        let producer = Producer::new(&self.settings, "test", Role::Relay).unwrap();
        producer.warm_up(&self.topic, SOON).await.unwrap();
        producer
    }

    pub(crate) fn record(&self, key: &str, value: &str) -> OutRecord {
        OutRecord {
            topic: self.topic.clone(),
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            headers: contracts::headers::Headers::default(),
            timestamp_ms: 1_700_000_000_000,
        }
    }

    /// Values `0`, `1`, … under as many keys.
    pub(crate) async fn filled(&self, records: usize) -> Vec<Position> {
        let records: Vec<_> = (0..records).map(|it| self.record(&format!("key-{it}"), &it.to_string())).collect();
        bus::Publisher::new(self.producer().await).publish(&records).await.unwrap()
    }

    pub(crate) fn reader(&self) -> Reader {
        log_to_test_output();
        let (consumer, handle) = Consumer::start(&self.settings, "test", GROUP, &[&self.topic]).unwrap();
        Reader { consumer, handle, assigned: Vec::new(), next: BTreeMap::new() }
    }

    pub(crate) async fn committed(&self, partition: i32) -> Option<i64> {
        let offsets = bus::Offsets::of_group(&self.settings, GROUP).unwrap();
        offsets.read(&self.topic, SOON).await.unwrap()[&partition].committed
    }

    pub(crate) fn partition(&self, number: i32) -> Partition {
        Partition { topic: self.topic.clone(), number }
    }
}

/// A failed test shows what the clients said.
fn log_to_test_output() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| tracing_subscriber::fmt().with_test_writer().with_max_level(tracing::Level::DEBUG).init());
}

/// Reads as an engine does: settles each record at once, and answers revocations with what it settled.
pub(crate) struct Reader {
    consumer: Consumer,
    pub(crate) handle: Arc<ConsumerHandle>,
    pub(crate) assigned: Vec<Partition>,
    next: BTreeMap<Partition, i64>,
}

impl Reader {
    /// The next record; does what other events ask for meanwhile. What is assigned is known before the record is.
    pub(crate) async fn record(&mut self) -> Record {
        loop {
            if let Some(record) = self.event().await {
                return record;
            }
        }
    }

    pub(crate) async fn record_within(&mut self, deadline: Duration) -> Option<Record> {
        tokio::time::timeout(deadline, self.record()).await.ok()
    }

    /// Until the source ends by itself. Partitions that it gives up are not settled.
    pub(crate) async fn ended(&mut self) {
        while self.consumer.next().await.is_some() {}
    }

    pub(crate) async fn event(&mut self) -> Option<Record> {
        match self.consumer.next().await.expect("the source goes on") {
            SourceEvent::Record(record) => {
                assert!(self.assigned.contains(&record.partition), "a record of a partition that is not ours");
                return Some(record);
            }
            SourceEvent::Assigned(partitions) => self.assigned.extend(partitions),
            SourceEvent::Revoked { partitions, answer } => {
                let settled = partitions.iter().filter_map(|it| Some((it.clone(), self.next.remove(it)?))).collect();
                answer.send(settled).unwrap();
                self.assigned.retain(|it| !partitions.contains(it));
            }
            SourceEvent::Lost(partitions) => self.assigned.retain(|it| !partitions.contains(it)),
        }
        None
    }

    /// Settled; the offset is handed over some other time.
    pub(crate) fn note(&mut self, record: &Record) {
        self.next.insert(record.partition.clone(), record.offset + 1);
    }

    pub(crate) fn settle(&mut self, record: &Record) {
        self.note(record);
        self.handle.store(&[(record.partition.clone(), record.offset + 1)]);
    }

    pub(crate) async fn close(self) {
        assert!(self.close_within(SOON).await, "closing takes too long");
    }

    pub(crate) async fn close_within(self, deadline: Duration) -> bool {
        drop(self.consumer);
        self.handle.close(deadline).await
    }
}

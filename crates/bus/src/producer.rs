//! Producers. Every failure to produce is *unknown*: the broker may have the record, and safe Rust can't ask. Whoever produces
//! sends the same bytes under the same id again, and readers drop the twin.

use std::future::Future;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use fault::{Class, Classify};
use pipeline::{OutRecord, Partition, Position};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use crate::fullness::{Fullness, OnTheWay};
use crate::log::Logged;
use crate::lonely::Lonely;
use crate::{BusSettings, Error, headers};

/// What a producer is for: its lingering and its patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Somebody waits at the door: no lingering, a budget for the ack, a small queue.
    Door { budget: Duration },
    /// Between topics: what waits batches itself.
    Relay,
}

#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    #[error("Kafka did not confirm {topic} in time; it may have the record")]
    Unconfirmed {
        topic: Arc<str>,
        #[source]
        source: KafkaError,
    },
    #[error("the producer's queue is full: Kafka is away or too slow")]
    QueueFull,
    /// Only the embedded broker is ever full.
    #[error("a partition of {topic} is full of unread records")]
    PartitionFull { topic: Arc<str> },
    /// The same bytes will be refused again.
    #[error("Kafka refuses this record for {topic} for good")]
    Refused {
        topic: Arc<str>,
        #[source]
        source: KafkaError,
    },
}

impl Classify for ProduceError {
    fn class(&self) -> Class {
        match self {
            Self::Unconfirmed { .. } | Self::QueueFull | Self::PartitionFull { .. } => Class::Outage,
            Self::Refused { .. } => Class::Validation,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unconfirmed { .. } => "kafka_unconfirmed",
            Self::QueueFull => "kafka_queue_full",
            Self::PartitionFull { .. } => "kafka_partition_full",
            Self::Refused { .. } => "kafka_record_refused",
        }
    }
}

impl ProduceError {
    fn new(topic: Arc<str>, source: KafkaError) -> Self {
        match source.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Self::QueueFull,
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord | RDKafkaErrorCode::InvalidMessage) => {
                Self::Refused { topic, source }
            }
            _ => Self::Unconfirmed { topic, source },
        }
    }
}

/// Cheap to clone; the client underneath is shared and has threads of its own. Any number of records may be in flight.
#[derive(Clone)]
pub struct Producer {
    client: Arc<RwLock<Client>>,
    config: Arc<ClientConfig>,
    brokers: Arc<str>,
    patience: Duration,
    fullness: Option<Arc<Fullness>>,
}

#[derive(Clone)]
struct Client {
    inner: FutureProducer<Logged>,
    lonely: Arc<Lonely>,
    since: Instant,
}

impl Client {
    fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        let context = Logged::default();
        let lonely = Arc::clone(&context.lonely);
        Ok(Self { inner: config.create_with_context(context)?, lonely, since: Instant::now() })
    }

    /// Why it will never produce again, whatever the broker does. A client that lacks a right breaks at once and again: one that
    /// is young is kept, and refuses all the same.
    fn lost(&self) -> Option<String> {
        let why = match self.inner.client().fatal_error() {
            Some((_, why)) => why,
            None if self.lonely.is_for_good() => "it has lost all its brokers".to_owned(),
            None => return None,
        };
        (self.since.elapsed() >= KEPT).then_some(why)
    }
}

impl Producer {
    pub fn new(settings: &BusSettings, client_id: &str, role: Role) -> Result<Self, Error> {
        settings.check()?;
        let mut config = settings.producer(client_id);
        let (linger_ms, queue_kbytes, patience) = match role {
            Role::Door { budget } => ("0", "16384", budget),
            Role::Relay => ("1", "65536", RELAY_PATIENCE),
        };
        config
            .set("linger.ms", linger_ms)
            .set("queue.buffering.max.kbytes", queue_kbytes)
            .set("message.timeout.ms", patience.as_millis().to_string())
            // Whether it has brokers is in them.
            .set("statistics.interval.ms", "5000");
        let client = Arc::new(RwLock::new(Client::new(&config).map_err(Error::Client)?));
        Ok(Self {
            client,
            config: Arc::new(config),
            brokers: Arc::from(settings.brokers.as_str()),
            patience,
            fullness: settings.fullness.clone(),
        })
    }

    /// For records that must not overtake one another: another client may take its place at any time.
    pub(crate) fn inner(&self) -> FutureProducer<Logged> {
        let client = self.client.read().expect("nobody panics with it").clone();
        if client.lost().is_some() { self.replaced() } else { client.inner }
    }

    /// What is queued in the old one will not be confirmed, and is produced again by whoever stored it.
    fn replaced(&self) -> FutureProducer<Logged> {
        let mut client = self.client.write().expect("nobody panics with it");
        // Somebody else may have been faster.
        if let Some(why) = client.lost() {
            tracing::error!(why, "the Kafka client is broken for good: another one takes its place");
            match Client::new(&self.config) {
                Ok(anew) => {
                    let old = std::mem::replace(&mut *client, anew);
                    // It ends its threads, which takes a moment.
                    std::thread::spawn(move || drop(old));
                }
                Err(error) => tracing::warn!(%error, "no other producer could be made"),
            }
        }
        client.inner.clone()
    }

    /// Fetches metadata before the first record: an idempotent producer that produces at once acks its first record half a
    /// second later than one that knows its brokers.
    pub async fn warm_up(&self, topic: &str, deadline: Duration) -> Result<(), Error> {
        self.metadata(Some(topic.to_owned()), deadline).await
    }

    /// Whether a broker answers at all.
    pub async fn probe(&self, deadline: Duration) -> Result<(), Error> {
        self.metadata(None, deadline).await
    }

    async fn metadata(&self, topic: Option<String>, deadline: Duration) -> Result<(), Error> {
        let inner = self.inner();
        let fetched = tokio::task::spawn_blocking(move || inner.client().fetch_metadata(topic.as_deref(), deadline).map(drop));
        let fetched = fetched.await.expect("fetching metadata does not panic");
        fetched.map_err(|source| Error::Unreachable { brokers: self.brokers.to_string(), source })
    }

    /// Returns when the broker has confirmed the record, or when the role's patience is over: the client itself looks only once
    /// a second which of its records are too old.
    pub async fn produce(&self, record: &OutRecord) -> Result<Position, ProduceError> {
        let confirmation = self.enqueue(record)?;
        tokio::time::timeout(self.patience, confirmation).await.unwrap_or_else(|_| {
            let source = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
            Err(ProduceError::Unconfirmed { topic: record.topic.clone(), source })
        })
    }

    /// Queues the record at once, so that records go out in the order of these calls; the future is its confirmation. Dropping
    /// that does not unsend the record.
    pub fn enqueue(&self, record: &OutRecord) -> Result<impl Future<Output = Result<Position, ProduceError>> + Send + use<>, ProduceError> {
        self.enqueue_in(&self.inner(), record)
    }

    pub(crate) fn enqueue_in(
        &self,
        inner: &FutureProducer<Logged>,
        record: &OutRecord,
    ) -> Result<impl Future<Output = Result<Position, ProduceError>> + Send + use<>, ProduceError> {
        let (topic, event_id) = (record.topic.clone(), record.headers.event_id());
        let on_the_way = self.room_for(record)?;
        let message = FutureRecord::to(&record.topic)
            .key(record.key.as_ref())
            .payload(record.value.as_ref())
            .timestamp(record.timestamp_ms)
            .headers(headers::to_kafka(&record.headers));
        let confirmed = inner.send_result(message).map_err(|(source, _)| ProduceError::new(topic.clone(), source))?;
        Ok(async move {
            let delivery = match confirmed.await {
                Ok(Ok(delivery)) => delivery,
                Ok(Err((source, _))) => return Err(ProduceError::new(topic, source)),
                Err(_) => return Err(ProduceError::Unconfirmed { topic, source: KafkaError::Canceled }),
            };
            let partition = Partition { topic, number: delivery.partition };
            let position = Position { partition, offset: delivery.offset, event_id };
            if let Some(on_the_way) = on_the_way {
                on_the_way.confirmed(&position.partition, position.offset);
            }
            Ok(position)
        })
    }

    /// Only the embedded broker lacks room.
    fn room_for(&self, record: &OutRecord) -> Result<Option<OnTheWay>, ProduceError> {
        let Some(fullness) = &self.fullness else { return Ok(None) };
        let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let bytes = (record.key.len() + record.value.len() + headers + 32) as u64;
        match fullness.send(&record.topic, bytes) {
            Some(on_the_way) => Ok(Some(on_the_way)),
            None => Err(ProduceError::PartitionFull { topic: record.topic.clone() }),
        }
    }

    /// Unread bytes of the embedded broker's fullest partition; 0 on every other broker.
    pub fn fullest_partition_bytes(&self) -> u64 {
        self.fullness.as_ref().map_or(0, |it| it.fullest_partition_bytes())
    }

    /// Waits for what is queued. What is not confirmed by then is produced again by whoever stored it.
    pub async fn flush(&self, deadline: Duration) -> bool {
        let inner = self.inner();
        tokio::task::spawn_blocking(move || inner.flush(deadline).is_ok()).await.unwrap_or(false)
    }
}

/// Between two clients of one producer.
const KEPT: Duration = Duration::from_secs(1);
/// How long a record waits in the queue before whoever stored it hears of it.
const RELAY_PATIENCE: Duration = Duration::from_secs(30);

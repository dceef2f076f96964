//! Limits of groups: the least that a record costs when nothing is looked up, guarded, ordered or traced.
//!
//! [`batches`] consumes, maps with the same functions, writes the rows that must be written with one UNNEST per table in
//! batches of the measured size, four transactions at once, and produces. [`raw_copy`] only consumes and produces.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use chrono::Utc;
use connector::storefront::{self, Delivery, Mapped, MappedEntity};
use contracts::headers;
use contracts::wire::{Change, ChangeKind, Changed, Entity, Wire as _, entity_hash};
use contracts::{ids, topics};
use domain::{ErpCommand, Operation, OperationKey};
use futures_util::future::try_join_all;
use pipeline::OutRecord;
use pipeline::outgoing::Event;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use store::{Store, StoreSettings};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::groups::{GroupOrders, TARGET};
use super::meter::Meter;
use super::{Ready, Stage};
use crate::{kafka, orders};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FloorOrders {
    pub(crate) group: GroupOrders,
    pub(crate) job: Job,
    pub(crate) batch: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Job {
    Mapper,
    Router,
}

/// A record of the input.
struct Arrived {
    id: Uuid,
    partition: i32,
    offset: i64,
    type_name: String,
    value: Bytes,
}

/// What was made of one.
struct Made {
    arrived: Arrived,
    entity: Entity,
    encoded: Bytes,
    hash: [u8; 32],
    output: OutRecord,
}

pub(crate) async fn batches(mut stage: Stage, orders: FloorOrders) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let maker = Maker {
        job: orders.job,
        mapper: orders::connection(dir.path())?.mapper,
        output: orders.group.output.clone(),
        input: orders.group.input.clone(),
    };
    let store = Store::open(&StoreSettings::new(&orders.group.database)).await?;
    let producer: FutureProducer = kafka::raw_producer(&orders.group.brokers, 1).create()?;
    producer.client().fetch_metadata(Some(&orders.group.output), kafka::WAIT)?;
    stage.say(&Ready {})?;
    if !stage.go().await {
        return Ok(());
    }
    let meter = Meter::new(orders.group.records);
    let (sender, mut arrived) = mpsc::channel(8);
    let reader = std::thread::spawn({
        let (meter, topic, batch) = (Arc::clone(&meter), orders.group.input.clone(), orders.batch);
        let consumer: BaseConsumer = kafka::raw_consumer(&orders.group.brokers).create()?;
        move || read(&consumer, &topic, batch, &meter, &sender)
    });
    let (maker, permits, mut tasks) = (Arc::new(maker), Arc::new(Semaphore::new(4)), JoinSet::new());
    while let Some(batch) = arrived.recv().await {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let (maker, pool, producer, meter) = (Arc::clone(&maker), (*store.pool()).clone(), producer.clone(), Arc::clone(&meter));
        tasks.spawn(async move {
            let count = batch.len() as u64;
            maker.batch(batch, &pool, &producer).await?;
            meter.batch(count);
            meter.settled(count);
            drop(permit);
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a batch panicked")??;
    }
    reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    stage.say(&meter.work().context("not all of it was there")?)
}

/// On a thread of its own, as the product's.
fn read(consumer: &BaseConsumer, topic: &str, batch: usize, meter: &Meter, to: &mpsc::Sender<Vec<Arrived>>) -> anyhow::Result<()> {
    let records = kafka::assign_all(consumer, topic)?;
    let (mut seen, mut some, mut keys) = (0, Vec::with_capacity(batch), HashSet::new());
    while seen < records {
        let message = consumer.poll(kafka::WAIT).context("the topic ended early")??;
        meter.begin();
        let header = |name: &str| message.headers().and_then(|all| all.iter().find(|it| it.key == name)?.value);
        let text = |name| header(name).and_then(|it| std::str::from_utf8(it).ok()).unwrap_or_default();
        // At most one record of a key in a batch: one statement can't write a row twice.
        if !keys.insert(message.key().unwrap_or_default().to_vec()) {
            to.blocking_send(std::mem::take(&mut some)).context("nobody takes batches any more")?;
            keys = HashSet::from([message.key().unwrap_or_default().to_vec()]);
        }
        some.push(Arrived {
            id: text(headers::CE_ID).parse()?,
            partition: message.partition(),
            offset: message.offset(),
            type_name: text(headers::CE_TYPE).to_owned(),
            value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
        });
        seen += 1;
        if some.len() == batch || seen == records {
            to.blocking_send(std::mem::replace(&mut some, Vec::with_capacity(batch))).context("nobody takes batches any more")?;
            keys.clear();
        }
    }
    Ok(())
}

struct Maker {
    job: Job,
    mapper: Arc<dyn storefront::Mapper>,
    input: String,
    output: String,
}

impl Maker {
    #[expect(clippy::disallowed_methods, reason = "a floor is without the product's care, and nothing cancels it")]
    async fn batch(&self, arrived: Vec<Arrived>, pool: &PgPool, producer: &FutureProducer) -> anyhow::Result<()> {
        let mut made = Vec::with_capacity(arrived.len());
        for it in arrived {
            made.push(if self.job == Job::Mapper { self.map(it)? } else { self.route(it)? });
        }
        let mut tx = pool.begin().await?;
        if self.job == Job::Mapper {
            insert_seen(&mut tx, &made).await?;
            insert_entities(&mut tx, &made).await?;
        } else {
            insert_lives(&mut tx, &made).await?;
        }
        insert_decisions(&mut tx, self.schema(), &self.input, &made).await?;
        tx.commit().await?;
        let confirmed = made.iter().map(|it| {
            let record = FutureRecord::to(&it.output.topic).key(it.output.key.as_ref()).payload(it.output.value.as_ref());
            producer.send_result(record.headers(to_kafka(&it.output.headers))).map_err(|(error, _)| error)
        });
        let confirmed = try_join_all(confirmed.collect::<Result<Vec<_>, _>>()?).await?;
        let places = confirmed.into_iter().map(|it| it.map_err(|(error, _)| error)).collect::<Result<Vec<_>, _>>()?;
        let places: Vec<(i32, i64)> = places.into_iter().map(|it| (it.partition, it.offset)).collect();
        insert_outputs(pool, self.schema(), &made, &places).await
    }

    fn schema(&self) -> &'static str {
        if self.job == Job::Mapper { "ingest" } else { "router" }
    }

    fn map(&self, arrived: Arrived) -> anyhow::Result<Made> {
        let delivery = Delivery {
            connection: orders::shop(),
            topic: orders::CREATED.to_owned(),
            identity: String::new(),
            triggered_at: None,
            received_at: Utc::now(),
            read_at: None,
            body: arrived.value.clone(),
        };
        let mapped = self.mapper.map(&delivery).map_err(|fault| anyhow::anyhow!("{fault}"))?;
        let Mapped::Entities(entities) = mapped else { anyhow::bail!("an order was not mapped") };
        let MappedEntity { entity: named, aggregate, updated_at, channel, body, .. } = entities.into_iter().next().context("an entity")?;
        let entity = match body {
            storefront::Entity::Order(it) => Entity::Order(it),
            _ => anyhow::bail!("only orders are in the backlog"),
        };
        let encoded = entity.encode();
        let change = Change {
            kind: ChangeKind::Created,
            sequence: 1,
            source: named.connection.to_string(),
            source_version: updated_at.to_rfc3339(),
            source_time: Some(updated_at),
            channel,
            changed_paths: Vec::new(),
        };
        let changed = Changed { change, entity };
        let event = Event {
            topic: &self.output,
            id: ids::change(&named, 1),
            key: aggregate.as_str(),
            type_name: changed.type_name(),
            source: orders::SHOP,
            subject: &named.to_string(),
            sequence: Some(1),
            idempotency_key: None,
            value: changed.encode(),
        };
        let output = event.into_record();
        Ok(Made { arrived, hash: entity_hash(&encoded), encoded, entity: changed.entity, output })
    }

    fn route(&self, arrived: Arrived) -> anyhow::Result<Made> {
        let Changed { change, entity } = Changed::decode(&arrived.type_name, &arrived.value)?;
        let Entity::Order(order) = &entity else { anyhow::bail!("only orders are in the backlog") };
        let aggregate = entity.aggregate(&orders::shop());
        let command = ErpCommand {
            target: TARGET.parse()?,
            connection: orders::shop(),
            aggregate: aggregate.clone(),
            operation_key: OperationKey::from_wire(format!("{aggregate}/place_order"))?,
            sequence: change.sequence,
            operation: Operation::PlaceOrder { order: order.clone(), confirm: true },
        };
        let event = Event {
            topic: &self.output,
            id: ids::derived(arrived.id, topics::groups::ROUTER, 0),
            key: aggregate.as_str(),
            type_name: ErpCommand::NAME,
            source: topics::groups::ROUTER,
            subject: aggregate.as_str(),
            sequence: Some(change.sequence),
            idempotency_key: Some(command.operation_key.as_str()),
            value: command.encode(),
        };
        let output = event.into_record();
        let encoded = entity.encode();
        Ok(Made { arrived, hash: [0; 32], encoded, entity, output })
    }
}

type Tx = sqlx::PgConnection;

fn column<'a, T>(made: &'a [Made], of: impl Fn(&'a Made) -> T) -> Vec<T> {
    made.iter().map(of).collect()
}

async fn insert_seen(tx: &mut Tx, made: &[Made]) -> anyhow::Result<()> {
    let sql = "insert into ingest.raw_record (partition, \"offset\", ce_id, source)
               select *, 'shop-eu' from unnest($1::int[], $2::bigint[], $3::uuid[]) on conflict do nothing";
    let query = sqlx::query(sql).bind(column(made, |it| it.arrived.partition)).bind(column(made, |it| it.arrived.offset));
    query.bind(column(made, |it| it.arrived.id)).execute(tx).await?;
    Ok(())
}

async fn insert_entities(tx: &mut Tx, made: &[Made]) -> anyhow::Result<()> {
    let sql = "insert into ingest.entity (source, kind, id, seq, source_version, updated_at, hash, body)
               select 'shop-eu', 'order', id, 1, 'v', now(), hash, body from unnest($1::text[], $2::bytea[], $3::bytea[]) as i (id, hash, body)
               on conflict (source, kind, id) do update set hash = excluded.hash, body = excluded.body, seq = 2";
    let query = sqlx::query(sql).bind(column(made, |it| it.entity.subject(&orders::shop()).id)).bind(column(made, |it| it.hash.to_vec()));
    query.bind(column(made, |it| it.encoded.to_vec())).execute(tx).await?;
    Ok(())
}

async fn insert_lives(tx: &mut Tx, made: &[Made]) -> anyhow::Result<()> {
    let sql =
        "insert into router.life (aggregate, sequence, order_value, display_number, customer_id, skus, stage, target, rule, place_state)
               select aggregate, 1, value, number, customer, string_to_array(skus, chr(31)), 'placed', 'erp-main', 'europe', 'sent'
               from unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[]) as i (aggregate, value, number, customer, skus)
               on conflict (aggregate) do update set order_value = excluded.order_value, sequence = 2, updated_at = now()";
    let order = |it: &'_ Made| if let Entity::Order(order) = &it.entity { Some(order.clone()) } else { None };
    let orders: Vec<_> = made.iter().filter_map(order).collect();
    let skus = |order: &domain::Order| order.lines.iter().map(|it| it.sku.clone()).collect::<Vec<_>>().join("\u{1f}");
    sqlx::query(sql)
        .bind(column(made, |it| String::from_utf8_lossy(&it.output.key).into_owned()))
        .bind(column(made, |it| it.encoded.to_vec()))
        .bind(orders.iter().map(|it| it.display_number.clone()).collect::<Vec<_>>())
        .bind(orders.iter().map(|it| it.buyer.as_ref().map(|it| it.customer_id.clone()).unwrap_or_default()).collect::<Vec<_>>())
        .bind(orders.iter().map(|it| skus(it)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

async fn insert_decisions(tx: &mut Tx, schema: &str, topic: &str, made: &[Made]) -> anyhow::Result<()> {
    let sql = format!(
        "insert into {schema}.decision (grp, ce_id, source, kind, aggregate, state, hash, outputs, topic, partition, \"offset\")
         select 'floor', ce_id, 'shop-eu', 'order', aggregate, 'applied', hash, outputs, $6, partition, \"offset\"
         from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::int[], $7::bigint[]) as i (ce_id, aggregate, hash, outputs, partition, \"offset\")
         on conflict (grp, ce_id) do nothing"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(column(made, |it| it.arrived.id))
        .bind(column(made, |it| String::from_utf8_lossy(&it.output.key).into_owned()))
        .bind(column(made, |it| it.hash.to_vec()))
        .bind(column(made, |it| stored(&it.output)))
        .bind(column(made, |it| it.arrived.partition))
        .bind(topic)
        .bind(column(made, |it| it.arrived.offset))
        .execute(tx)
        .await?;
    Ok(())
}

async fn insert_outputs(pool: &PgPool, schema: &str, made: &[Made], places: &[(i32, i64)]) -> anyhow::Result<()> {
    let sql = format!(
        "insert into {schema}.output (out_id, ce_id, grp, topic, partition, \"offset\")
         select out_id, ce_id, 'floor', $5, partition, \"offset\"
         from unnest($1::uuid[], $2::uuid[], $3::int[], $4::bigint[]) as i (out_id, ce_id, partition, \"offset\") on conflict (out_id) do nothing"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(column(made, |it| it.output.headers.event_id().unwrap_or(it.arrived.id)))
        .bind(column(made, |it| it.arrived.id))
        .bind(places.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(places.iter().map(|it| it.1).collect::<Vec<_>>())
        .bind(&*made[0].output.topic)
        .execute(pool)
        .await?;
    Ok(())
}

/// The bytes of an output as they must be kept until it is produced: about as many as the product keeps.
fn stored(record: &OutRecord) -> Vec<u8> {
    let mut bytes = record.value.to_vec();
    for (name, value) in record.headers.iter() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

fn to_kafka(headers: &contracts::headers::Headers) -> rdkafka::message::OwnedHeaders {
    headers.iter().fold(rdkafka::message::OwnedHeaders::new_with_capacity(headers.len()), |kafka, (key, value)| {
        kafka.insert(rdkafka::message::Header { key, value: Some(value.as_ref()) })
    })
}

/// Bytes, key and headers from one topic to the other, by librdkafka alone and in bulk.
pub(crate) async fn raw_copy(mut stage: Stage, orders: GroupOrders) -> anyhow::Result<()> {
    let producer: BaseProducer = kafka::raw_producer(&orders.brokers, 1).create()?;
    producer.client().fetch_metadata(Some(&orders.output), kafka::WAIT)?;
    let consumer: BaseConsumer = kafka::raw_consumer(&orders.brokers).create()?;
    stage.say(&Ready {})?;
    if !stage.go().await {
        return Ok(());
    }
    let copied = tokio::task::spawn_blocking(move || {
        let meter = Meter::new(orders.records);
        let records = kafka::assign_all(&consumer, &orders.input)?;
        ensure!(records == orders.records, "{records} records are in the topic, not {}", orders.records);
        for _ in 0..records {
            let message = consumer.poll(kafka::WAIT).context("the topic ended early")??;
            meter.begin();
            let headers = message.headers().map(rdkafka::message::BorrowedHeaders::detach).unwrap_or_default();
            let mut record = BaseRecord::to(&orders.output).key(message.key().unwrap_or_default()).headers(headers);
            record = record.payload(message.payload().unwrap_or_default());
            while let Err((error, again)) = producer.send(record) {
                ensure!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
                record = again;
                producer.poll(Duration::from_millis(1));
            }
            producer.poll(Duration::ZERO);
        }
        producer.flush(kafka::WAIT)?;
        meter.settled(records);
        meter.work().context("it is over")
    });
    stage.say(&copied.await.context("the copy panicked")??)
}

//! The mapper: deliveries become versions of entities, and change events.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bus::BusSettings;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use connector::storefront::{self, Delivery, Mapped, MappedEntity};
use contracts::topics::groups;
use contracts::wire::{Change, ChangeKind, Changed, Entity, Wire as _, WireError, changed_paths, entity_hash};
use contracts::{ids, topics};
use domain::{ConnectionId, Customer, EntityKind, EntityRef, Order, Refund};
use fault::{Class, Fault};
use pipeline::outgoing::Event;
use pipeline::{OutRecord, Record};
use store::decisions::{self, Decide, Decided, Input, State};
use store::letters::Subject;
use store::{Error, Owner, Tx};
use uuid::Uuid;

use crate::core::guard::{Known, TOMBSTONE, Verdict, Version, judge};
use crate::core::raw::{self, Raw};
use crate::core::sweep::FoundBy;
use crate::metrics::Metrics;
use crate::shell::entities::{self, Entities, Stored};
use crate::shell::reread::TOLD_GONE;

/// The rules of the mapper's group.
pub struct Mapper {
    pub connections: HashMap<ConnectionId, Arc<dyn storefront::Mapper>>,
    pub bus: BusSettings,
    pub metrics: Metrics,
}

/// A raw record, understood.
enum Understood {
    /// `as_of`: the time whose state they show, as far as anybody says.
    Entities {
        candidates: Vec<Candidate>,
        as_of: Option<DateTime<Utc>>,
    },
    ReRead(EntityRef),
    ToldGone(EntityRef),
    /// `told`: the source has said so, too.
    Gone {
        entity: EntityRef,
        read_at: DateTime<Utc>,
        told: bool,
    },
    Unmapped,
}

/// One entity of a delivery, before the guard.
struct Candidate {
    entity: EntityRef,
    version: Version,
    channel: String,
    body: Entity,
    encoded: Bytes,
    hash: [u8; 32],
}

/// What a batch changes.
#[derive(Default)]
struct Batch {
    entities: Entities,
    /// To read again: two bodies claim one version.
    disputed: BTreeSet<EntityRef>,
    /// To read again: the delivery told a part only.
    deltas: BTreeSet<EntityRef>,
    /// To read again: the source says that they are gone.
    told_gone: BTreeSet<EntityRef>,
    /// Aggregates that were shown whole, and the time whose state that was.
    shown: BTreeMap<String, DateTime<Utc>>,
    /// Versions that nobody had told of before we found them.
    found: Vec<(EntityRef, FoundBy)>,
}

/// Why a delta is in flight: until the entity that it is about has been read whole.
const AWAITS_REREAD: &str = "reread";

#[async_trait]
impl Decide for Mapper {
    async fn decide(&self, tx: &mut Tx, inputs: &[Input<'_>]) -> Result<Vec<Decided>, Error> {
        let understood: Vec<Result<Understood, Fault>> = inputs.iter().map(|input| self.understand(input.record)).collect();
        let entities = Entities::lock(tx, &named(&understood)).await?;
        let mut batch = Batch { entities, ..Batch::default() };
        let mut decided = Vec::with_capacity(inputs.len());
        for (input, understood) in inputs.iter().zip(understood) {
            // Events carry the trace of their delivery.
            let _entered = input.span.enter();
            decided.push(understood.map_or_else(Decided::Fail, |it| self.settle(input.record, it, &mut batch)));
        }
        batch.entities.save(tx).await?;
        entities::request_rereads(tx, &batch.disputed, "two bodies claim one version").await?;
        entities::request_rereads(tx, &batch.deltas, "the delivery was a delta").await?;
        entities::request_rereads(tx, &batch.told_gone, TOLD_GONE).await?;
        let answered = answered_deltas(tx, &batch.shown).await?;
        decisions::release(tx, Owner::Ingest, groups::MAPPER, &answered).await?;
        for (entity, finder) in &batch.found {
            self.metrics.first_seen(entity.connection.as_str(), entity.kind, *finder);
        }
        Ok(decided)
    }

    async fn seen(&self, tx: &mut Tx, batch: &[Input<'_>]) -> Result<(), Error> {
        let sql = "insert into ingest.raw_record (partition, \"offset\", ce_id, source)
                   select * from unnest($1::int[], $2::bigint[], $3::uuid[], $4::text[]) on conflict do nothing";
        let source = |record: &Record| record.headers.text(contracts::headers::CONNECTION).unwrap_or("unknown").to_owned();
        sqlx::query(sql)
            .bind(batch.iter().map(|it| it.record.partition.number).collect::<Vec<_>>())
            .bind(batch.iter().map(|it| it.record.offset).collect::<Vec<_>>())
            .bind(batch.iter().map(|it| it.id).collect::<Vec<_>>())
            .bind(batch.iter().map(|it| source(it.record)).collect::<Vec<_>>())
            .execute(tx)
            .await?;
        Ok(())
    }

    fn subject(&self, record: &Record) -> Option<Subject> {
        Some(Subject { name: raw::subject(record)?, version: raw::version(record)? })
    }

    fn ids_come_from_outside(&self) -> bool {
        true
    }
}

impl Mapper {
    fn understand(&self, record: &Record) -> Result<Understood, Fault> {
        let delivery = match raw::read(record)? {
            Raw::Gone { entity, read_at, told } => return Ok(Understood::Gone { entity, read_at, told }),
            Raw::Delivery(delivery) => delivery,
        };
        let mapper = self.connections.get(&delivery.connection).ok_or_else(|| {
            let message = format!("connection {} is not configured here; add it, then replay", delivery.connection);
            Fault::new(Class::Validation, "unknown_connection", message)
        })?;
        Ok(match mapper.map(&delivery)? {
            Mapped::Unmapped => Understood::Unmapped,
            Mapped::ReRead(entity) => Understood::ReRead(entity),
            Mapped::Gone(entity) => Understood::ToldGone(entity),
            Mapped::Entities(entities) => {
                let candidates = entities.into_iter().map(|it| Candidate::new(it, &delivery)).collect();
                Understood::Entities { candidates, as_of: delivery.read_at.or(delivery.triggered_at) }
            }
        })
    }

    fn settle(&self, record: &Record, understood: Understood, batch: &mut Batch) -> Decided {
        match understood {
            Understood::Unmapped => Decided::Settled { state: State::Discarded, reason: Some("unmapped"), outputs: Vec::new() },
            Understood::ReRead(entity) => {
                batch.deltas.insert(entity);
                Decided::Waiting { reason: AWAITS_REREAD }
            }
            Understood::ToldGone(entity) => {
                batch.told_gone.insert(entity);
                Decided::Waiting { reason: AWAITS_REREAD }
            }
            Understood::Entities { candidates, as_of } => {
                if let Some(as_of) = as_of.filter(|_| candidates.iter().any(|it| it.read_with() == it.entity)) {
                    batch.shown.insert(record.key_text(), as_of);
                }
                self.accept(candidates, raw::finder(record), batch)
            }
            Understood::Gone { entity, read_at, told } => {
                let decided = self.bury(entity, (read_at, told), raw::finder(record), batch).unwrap_or_else(Decided::Fail);
                if !matches!(decided, Decided::Fail(_)) {
                    batch.shown.insert(record.key_text(), read_at);
                }
                decided
            }
        }
    }

    /// Through the guard, one after the other: an order and its refunds stand or fall each for itself.
    fn accept(&self, candidates: Vec<Candidate>, finder: Option<FoundBy>, batch: &mut Batch) -> Decided {
        let (mut outputs, mut is_old) = (Vec::new(), true);
        for it in candidates {
            let before = batch.entities.get(&it.entity);
            let verdict = judge(before.map(|it| &it.known), it.version, &it.hash);
            is_old &= verdict == Verdict::Superseded;
            let sequence = match verdict {
                Verdict::Superseded | Verdict::Repeat => continue,
                Verdict::Unchanged => before.map_or(1, |it| it.known.sequence),
                Verdict::Accept { sequence, reread } => {
                    if reread {
                        batch.disputed.insert(it.read_with());
                    }
                    outputs.push(raw::found_by(self.event(&it, sequence, before), finder));
                    batch.found.extend(finder.map(|by| (it.entity.clone(), by)));
                    sequence
                }
            };
            let known = Known { sequence, version: it.version.to_text(), hash: it.hash };
            batch.entities.put(it.entity, Stored { known, updated_at: it.version.updated_at, body: it.encoded });
        }
        match (outputs.is_empty(), is_old) {
            (false, _) => Decided::applied(outputs),
            (true, true) => Decided::superseded(),
            (true, false) => applied_because("no_change"),
        }
    }

    /// The source has it no more. What is stored of it goes out once again, as deleted; what happened before we looked and
    /// arrives later stays out: of what was never known only if the source said that it is gone.
    fn bury(
        &self,
        entity: EntityRef,
        (read_at, told): (DateTime<Utc>, bool),
        finder: Option<FoundBy>,
        batch: &mut Batch,
    ) -> Result<Decided, Fault> {
        let version = Version { updated_at: read_at, seen_at: read_at };
        let Some(before) = batch.entities.get(&entity) else {
            // What nobody said to be gone may be too new to be shown, or too old: its first delivery must find no grave.
            if told {
                let known = Known { sequence: 0, version: version.to_text(), hash: TOMBSTONE };
                batch.entities.put(entity, Stored { known, updated_at: read_at, body: Bytes::new() });
            }
            return Ok(applied_because("not_known"));
        };
        if before.known.is_tombstone() {
            return Ok(applied_because("no_change"));
        }
        let body = stored_entity(entity.kind, &before.body)?;
        let channel = match &body {
            Entity::Order(order) if !told && self.may_hide(&entity.connection, order, read_at) => {
                return Ok(applied_because("may_be_hidden"));
            }
            Entity::Order(order) => order.channel.clone(),
            _ => String::new(),
        };
        Ok(self.accept(vec![Candidate { entity, version, channel, body, encoded: before.body.clone(), hash: TOMBSTONE }], finder, batch))
    }

    fn may_hide(&self, connection: &ConnectionId, order: &Order, at: DateTime<Utc>) -> bool {
        self.connections.get(connection).is_some_and(|it| it.may_hide(order, at))
    }

    fn event(&self, it: &Candidate, sequence: u64, before: Option<&Stored>) -> OutRecord {
        let before = before.filter(|it| !it.known.is_tombstone());
        let kind = match before {
            _ if it.hash == TOMBSTONE => ChangeKind::Deleted,
            None => ChangeKind::Created,
            Some(_) => ChangeKind::Updated,
        };
        let changed = Changed {
            change: Change {
                kind,
                sequence,
                source: it.entity.connection.to_string(),
                source_version: it.version.to_text(),
                source_time: Some(it.version.updated_at),
                channel: it.channel.clone(),
                changed_paths: before.map(|before| changed_paths(it.entity.kind, &before.body, &it.encoded)).unwrap_or_default(),
            },
            entity: it.body.clone(),
        };
        let key = it.body.aggregate(&it.entity.connection);
        let event = Event {
            topic: &self.bus.topic(topics::changes(it.entity.kind)),
            id: ids::change(&it.entity, sequence),
            key: key.as_str(),
            type_name: changed.type_name(),
            source: it.entity.connection.as_str(),
            subject: &it.entity.to_string(),
            sequence: Some(sequence),
            idempotency_key: None,
            value: changed.encode(),
        };
        event.into_record()
    }
}

impl Candidate {
    fn new(mapped: MappedEntity, delivery: &Delivery) -> Self {
        let body = match mapped.body {
            storefront::Entity::Order(it) => Entity::Order(it),
            storefront::Entity::Customer(it) => Entity::Customer(it),
            storefront::Entity::Refund(it) => Entity::Refund(it),
        };
        let encoded = body.encode();
        let seen_at = delivery.read_at.or(delivery.triggered_at).unwrap_or(delivery.received_at);
        Self {
            hash: if mapped.deleted { TOMBSTONE } else { entity_hash(&encoded) },
            encoded,
            version: Version { updated_at: mapped.updated_at, seen_at },
            channel: mapped.channel,
            entity: mapped.entity,
            body,
        }
    }

    /// What has to be read to learn about it: a refund comes with its order.
    fn read_with(&self) -> EntityRef {
        match &self.body {
            Entity::Refund(it) => EntityRef::new(self.entity.connection.clone(), EntityKind::Order, it.order_id.clone()),
            _ => self.entity.clone(),
        }
    }
}

fn applied_because(reason: &'static str) -> Decided {
    Decided::Settled { state: State::Applied, reason: Some(reason), outputs: Vec::new() }
}

fn stored_entity(kind: EntityKind, body: &[u8]) -> Result<Entity, Fault> {
    let boxed = match kind {
        EntityKind::Order => Order::decode(body).map(|it| Entity::Order(Box::new(it))),
        EntityKind::Customer => Customer::decode(body).map(|it| Entity::Customer(Box::new(it))),
        EntityKind::Refund => Refund::decode(body).map(|it| Entity::Refund(Box::new(it))),
        other => Err(WireError::Unknown { message: "stored entity", field: "kind", value: other.to_string() }),
    };
    boxed.map_err(Fault::from)
}

/// The entities of a batch.
fn named(understood: &[Result<Understood, Fault>]) -> BTreeSet<EntityRef> {
    let mut named = BTreeSet::new();
    for it in understood {
        match it {
            Ok(Understood::Entities { candidates, .. }) => named.extend(candidates.iter().map(|it| it.entity.clone())),
            Ok(Understood::Gone { entity, .. }) => drop(named.insert(entity.clone())),
            Ok(Understood::ReRead(_) | Understood::ToldGone(_) | Understood::Unmapped) | Err(_) => {}
        }
    }
    named
}

/// Deltas that had arrived before the time that a whole aggregate was shown of: it shows what they told of. As a rule that is
/// the re-read that they asked for; where its answer became a letter, a later webhook.
async fn answered_deltas(tx: &mut Tx, shown: &BTreeMap<String, DateTime<Utc>>) -> Result<Vec<(Uuid, State, Option<&'static str>)>, Error> {
    if shown.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "select d.ce_id from ingest.decision d join unnest($1::text[], $2::timestamptz[]) as i (aggregate, as_of) using (aggregate)
               where d.grp = $3 and d.state = 'in_flight' and d.reason = $4 and d.decided_at <= i.as_of";
    let answered: Vec<Uuid> = sqlx::query_scalar(sql)
        .bind(shown.keys().map(String::as_str).collect::<Vec<_>>())
        .bind(shown.values().copied().collect::<Vec<_>>())
        .bind(groups::MAPPER)
        .bind(AWAITS_REREAD)
        .fetch_all(tx)
        .await?;
    Ok(answered.into_iter().map(|id| (id, State::Applied, Some(AWAITS_REREAD))).collect())
}

//! The mapper: deliveries become versions of entities, and change events.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bus::BusSettings;
use connector::storefront::{self, Delivery, Mapped, MappedEntity};
use contracts::wire::{Change, ChangeKind, Changed, Entity, changed_paths, entity_hash};
use contracts::{ids, topics};
use domain::{ConnectionId, EntityRef};
use fault::{Class, Fault};
use pipeline::outgoing::Event;
use pipeline::{OutRecord, Record};
use store::decisions::{Decide, Decided, Input, State};
use store::{Error, Tx};

use crate::core::guard::{Known, Verdict, Version, judge};
use crate::core::raw;
use crate::shell::entities::{self, Accepted, Stored};

/// The rules of the mapper's group.
pub struct Mapper {
    pub connections: HashMap<ConnectionId, Arc<dyn storefront::Mapper>>,
    pub bus: BusSettings,
}

/// A delivery, understood.
enum Understood {
    Entities(Vec<Candidate>),
    ReRead(EntityRef),
    Unmapped,
}

/// One entity of a delivery, before the guard.
struct Candidate {
    entity: EntityRef,
    key: String,
    version: Version,
    channel: String,
    deleted: bool,
    body: Entity,
    encoded: bytes::Bytes,
    hash: [u8; 32],
}

#[async_trait]
impl Decide for Mapper {
    async fn decide(&self, tx: &mut Tx, batch: &[Input<'_>]) -> Result<Vec<Decided>, Error> {
        let understood: Vec<Result<Understood, Fault>> = batch.iter().map(|input| self.understand(input.record)).collect();
        let mut stored = entities::lock(tx, &named(&understood)).await?;
        let (mut decided, mut accepted, mut rereads, mut deltas) = (Vec::new(), HashMap::new(), Vec::new(), Vec::new());
        for (input, understood) in batch.iter().zip(understood) {
            decided.push(match understood {
                Err(fault) => Decided::Fail(fault),
                Ok(Understood::Unmapped) => Decided::Settled { state: State::Discarded, reason: Some("unmapped"), outputs: Vec::new() },
                Ok(Understood::ReRead(entity)) => {
                    deltas.push(entity);
                    Decided::Settled { state: State::Applied, reason: Some("reread_requested"), outputs: Vec::new() }
                }
                Ok(Understood::Entities(candidates)) => {
                    let _entered = input.span.enter();
                    self.accept(candidates, &mut stored, &mut accepted, &mut rereads)
                }
            });
        }
        entities::save(tx, &accepted.into_values().collect::<Vec<_>>()).await?;
        entities::request_rereads(tx, &rereads, "two bodies claim one version").await?;
        entities::request_rereads(tx, &deltas, "the delivery was a delta").await?;
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

    fn subject(&self, record: &Record) -> Option<String> {
        raw::subject(record)
    }

    fn ids_come_from_outside(&self) -> bool {
        true
    }
}

impl Mapper {
    fn understand(&self, record: &Record) -> Result<Understood, Fault> {
        let delivery = raw::to_delivery(record)?;
        let mapper = self.connections.get(&delivery.connection).ok_or_else(|| {
            let message = format!("connection {} is not configured here; add it, then replay", delivery.connection);
            Fault::new(Class::Validation, "unknown_connection", message)
        })?;
        Ok(match mapper.map(&delivery)? {
            Mapped::Unmapped => Understood::Unmapped,
            Mapped::ReRead(entity) => Understood::ReRead(entity),
            Mapped::Entities(entities) => Understood::Entities(entities.into_iter().map(|it| candidate(it, &delivery)).collect()),
        })
    }

    /// Through the guard, one after the other: an order and its refunds stand or fall each for itself.
    fn accept(
        &self,
        candidates: Vec<Candidate>,
        stored: &mut HashMap<EntityRef, Stored>,
        accepted: &mut HashMap<EntityRef, Accepted>,
        rereads: &mut Vec<EntityRef>,
    ) -> Decided {
        let (mut outputs, mut is_news, mut is_old) = (Vec::new(), false, true);
        for it in candidates {
            let before = stored.get(&it.entity);
            let verdict = judge(before.map(|it| &it.known), it.version, &it.hash);
            is_old &= verdict == Verdict::Superseded;
            let sequence = match verdict {
                Verdict::Superseded | Verdict::Repeat => continue,
                Verdict::Unchanged => before.map_or(1, |it| it.known.sequence),
                Verdict::Accept { sequence, reread } => {
                    if reread {
                        rereads.push(it.entity.clone());
                    }
                    is_news = true;
                    outputs.push(self.event(&it, sequence, before));
                    sequence
                }
            };
            let known = Known { sequence, version: it.version.to_text(), hash: it.hash };
            stored.insert(it.entity.clone(), Stored { known: known.clone(), body: it.encoded.to_vec() });
            let row = Accepted {
                entity: it.entity.clone(),
                known,
                updated_at: it.version.updated_at,
                body: it.encoded.to_vec(),
                deleted: it.deleted,
            };
            accepted.insert(it.entity, row);
        }
        match (is_news, is_old) {
            (true, _) => Decided::applied(outputs),
            (false, true) => Decided::superseded(),
            (false, false) => Decided::Settled { state: State::Applied, reason: Some("no_change"), outputs },
        }
    }

    fn event(&self, it: &Candidate, sequence: u64, before: Option<&Stored>) -> OutRecord {
        let kind = match (it.deleted, before) {
            (true, _) => ChangeKind::Deleted,
            (false, None) => ChangeKind::Created,
            (false, Some(_)) => ChangeKind::Updated,
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
        let event = Event {
            topic: &self.bus.topic(topics::changes(it.entity.kind)),
            id: ids::change(&it.entity, sequence),
            key: &it.key,
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

fn candidate(mapped: MappedEntity, delivery: &Delivery) -> Candidate {
    let body = match mapped.body {
        storefront::Entity::Order(it) => Entity::Order(it),
        storefront::Entity::Customer(it) => Entity::Customer(it),
        storefront::Entity::Refund(it) => Entity::Refund(it),
    };
    let encoded = body.encode();
    let seen_at = delivery.read_at.or(delivery.triggered_at).unwrap_or(delivery.received_at);
    Candidate {
        hash: entity_hash(&encoded),
        encoded,
        key: mapped.aggregate.to_string(),
        version: Version { updated_at: mapped.updated_at, seen_at },
        channel: mapped.channel,
        deleted: mapped.deleted,
        entity: mapped.entity,
        body,
    }
}

/// The entities of a batch, each once, sorted.
fn named(understood: &[Result<Understood, Fault>]) -> Vec<EntityRef> {
    let mut named = BTreeSet::new();
    for it in understood {
        if let Ok(Understood::Entities(candidates)) = it {
            named.extend(candidates.iter().map(|it| it.entity.clone()));
        }
    }
    named.into_iter().collect()
}

//! Dead letters and parked keys.
//!
//! A letter is the record, byte for byte, with what went wrong. One that is tried again by itself waits, one that is not is dead.
//! Where a stream parks, later records of its key become letters too (held) and follow in order once the head has gone.
//! `letters.parked` has a row per key with open letters; every change of
//! a key's letters happens under that row's lock, so that nothing can slip in between the last held one and the first live one.

mod admin;
mod drain;

use std::collections::HashMap;
use std::time::Duration;

use contracts::ids;
use contracts::topics::Parking;
use domain::AggregateKey;
use fault::Fault;
use kill_point::{Point, reach};
use pipeline::{Batch, Entry, Origin, Record, Turn};
use uuid::Uuid;

use crate::decisions::State;
use crate::stored::encode_headers;
use crate::{Error, Tx};

pub use admin::{
    AuditEntry, DiscardScope, Filter, Letter, LetterError, LetterState, Original, OutcomeOf, Page, StoredLetter, dead_since, discard, get,
    list, mark_published, replay, unpublished, verify_audit,
};
pub use drain::Drainer;

/// What a group owes for one record: the account's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    /// The record's `ce_id`, else derived from where it lies.
    pub id: Uuid,
    /// The connection or target that it came from.
    pub source: String,
    /// The kind of entity, `raw` where nothing is known.
    pub kind: String,
    pub aggregate: String,
    /// Only where the policy is latest-wins.
    pub subject: Option<Subject>,
}

/// What a record tells of, where the latest wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub name: String,
    /// Text that sorts, byte by byte, as the versions do.
    pub version: String,
}

impl Obligation {
    pub fn of(record: &Record) -> Self {
        let aggregate = record.key_text();
        let position = || ids::of_position(&record.partition.topic, record.partition.number, record.offset);
        let id = record.headers.event_id().unwrap_or_else(position);
        let key: Option<AggregateKey> = aggregate.parse().ok();
        let subject = record.headers.text(contracts::headers::CE_SUBJECT).and_then(|it| it.parse::<AggregateKey>().ok());
        let source = key.as_ref().map_or_else(|| "unknown".to_owned(), |it| it.source().to_owned());
        let kind = subject.or(key).map_or_else(|| "raw".to_owned(), |it| it.kind().to_owned());
        Self { id, source, kind, aggregate, subject: None }
    }
}

/// A key with open letters, its row locked.
#[derive(Debug, Clone)]
pub struct ParkedKey {
    pub head: Uuid,
}

/// Open letters of one key. Nothing that is well has as many: an order is changed a few times.
pub const KEY_LETTERS_MAX: i64 = 1_000;

/// Locks those of the keys that are parked. `aggregates` sorted: two batches must not wait for each other.
pub async fn lock_parked(tx: &mut Tx, group: &str, aggregates: &[&str]) -> Result<HashMap<String, ParkedKey>, Error> {
    let sql = "select aggregate, head from letters.parked where grp = $1 and aggregate = any($2) order by aggregate for update";
    let rows: Vec<(String, Uuid)> = sqlx::query_as(sql).bind(group).bind(aggregates).fetch_all(tx).await?;
    Ok(rows.into_iter().map(|(aggregate, head)| (aggregate, ParkedKey { head })).collect())
}

/// The first thing that a batch does which letters or failures are among: it locks all its keys, before anything is audited. So two
/// batches never wait for each other, one for a key and one for the audit.
pub async fn lock_keys_of<R>(tx: &mut Tx, group: &str, batch: &Batch<R>) -> Result<(), Error> {
    let has_letter = |it: &Entry<R>| matches!(it.record.origin, Origin::Letter(_)) || matches!(it.turn, Turn::Failed { .. });
    if batch.iter().any(|it| has_letter(it)) {
        let mut keys: Vec<_> = batch.iter().map(|it| it.record.key_text()).collect();
        keys.sort_unstable();
        keys.dedup();
        lock_parked(tx, group, &keys.iter().map(|it| &**it).collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// How many letters of these keys are open. Their parked rows are locked.
pub async fn count_open(tx: &mut Tx, group: &str, aggregates: &[&str]) -> Result<HashMap<String, i64>, Error> {
    let sql = "select aggregate, count(*) from letters.letter
               where grp = $1 and aggregate = any($2) and state in ('dead', 'held', 'replaying') group by aggregate";
    let counts: Vec<(String, i64)> = sqlx::query_as(sql).bind(group).bind(aggregates).fetch_all(tx).await?;
    Ok(counts.into_iter().collect())
}

/// Puts a live record behind the letters of its key. The parked row is locked. Also where the key is being drained: older ones may
/// still be held, and follow only when the letter at its head has ended.
pub async fn hold(tx: &mut Tx, group: &str, obligation: &Obligation, record: &Record, parked: &ParkedKey) -> Result<(), Error> {
    insert(tx, group, obligation, record, "held", Some(parked.head), None).await?;
    audit(tx, "system", "letter.held", Some(ids::letter(group, obligation.id)), "a record of its key is dead or waits", None).await?;
    reach(Point::LetterHeld);
    Ok(())
}

/// How a record failed.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    pub fault: &'a Fault,
    pub attempts: u32,
    /// Until it is tried again, unless what it misses has [`appeared`] before. `None`: it is given up.
    pub wait: Option<Duration>,
}

impl Failure<'_> {
    fn state(&self) -> &'static str {
        if self.wait.is_some() { "waiting" } else { "dead" }
    }

    fn attempts(&self) -> i32 {
        i32::try_from(self.attempts).unwrap_or(i32::MAX)
    }
}

/// Writes the letter of a record that is given up or put off, or the new failure of one that was tried again, and parks its key.
/// False: nothing was written, because the letter is there already, or has ended or waits by now: somebody else was faster, or an
/// earlier commit of the same was carried out although its answer was lost. Nothing else may follow from the failure then.
pub async fn write(
    tx: &mut Tx,
    group: &str,
    obligation: &Obligation,
    record: &Record,
    failure: Failure<'_>,
    policy: Parking,
) -> Result<bool, Error> {
    // First of all: what is seen of the key's letters afterwards stays so.
    lock_parked(tx, group, &[&obligation.aggregate]).await?;
    let (id, is_written) = match record.origin {
        Origin::Letter(id) => (id, fail_again(tx, id, failure).await?),
        Origin::Topic => {
            let is_written = insert(tx, group, obligation, record, failure.state(), None, Some(failure)).await?;
            (ids::letter(group, obligation.id), is_written)
        }
    };
    if !is_written {
        return Ok(false);
    }
    match policy {
        Parking::Park => park(tx, group, &obligation.aggregate, id).await?,
        Parking::LatestWins | Parking::Independent => unpark_if_idle(tx, group, &obligation.aggregate).await?,
    }
    let (verb, fault) = (format!("letter.{}", failure.state()), failure.fault);
    audit(tx, "system", &verb, Some(id), &printable(&fault.to_string()), None).await?;
    reach(Point::LetterWritten);
    Ok(true)
}

/// What these waiting letters wait for is there now (`item:MUG-RED`): they are tried at once.
pub async fn appeared(tx: &mut Tx, group: &str, what: &[String]) -> Result<u64, Error> {
    if what.is_empty() {
        return Ok(0);
    }
    let sql = "update letters.letter set retry_at = now() where grp = $1 and missing = any($2) and state = 'waiting' and retry_at > now()";
    Ok(sqlx::query(sql).bind(group).bind(what).execute(tx).await?.rows_affected())
}

/// Hands waiting letters (id, key) to the drain, if they still wait and are due.
async fn wake(tx: &mut Tx, group: &str, due: &[(Uuid, String)]) -> Result<(), Error> {
    let mut keys: Vec<&str> = due.iter().map(|it| it.1.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    lock_parked(tx, group, &keys).await?;
    let sql = "with woken as (
                 update letters.letter set state = 'replaying', retry_at = null, blocked_by = null
                 where id = any($2) and state = 'waiting' and retry_at <= now() returning id, aggregate, ordinal)
               insert into letters.parked (grp, aggregate, head, draining)
               select distinct on (aggregate) $1, aggregate, id, true from woken order by aggregate, ordinal
               on conflict (grp, aggregate) do update set head = excluded.head, draining = true";
    let ids: Vec<Uuid> = due.iter().map(|it| it.0).collect();
    sqlx::query(sql).bind(group).bind(&ids).execute(tx).await?;
    Ok(())
}

/// Everything of the key that is still open waits behind this letter.
async fn park(tx: &mut Tx, group: &str, aggregate: &str, head: Uuid) -> Result<(), Error> {
    let sql = "insert into letters.parked (grp, aggregate, head) values ($1, $2, $3)
               on conflict (grp, aggregate) do update set head = $3, draining = false, claimed_by = null, claimed_until = null";
    sqlx::query(sql).bind(group).bind(aggregate).bind(head).execute(&mut *tx).await?;
    let sql = "update letters.letter set state = 'held', blocked_by = $3 where grp = $1 and aggregate = $2 and state in ('replaying', 'held') and id <> $3";
    sqlx::query(sql).bind(group).bind(aggregate).bind(head).execute(tx).await?;
    reach(Point::LetterParked);
    Ok(())
}

async fn unpark(tx: &mut Tx, group: &str, aggregate: &str) -> Result<(), Error> {
    sqlx::query("delete from letters.parked where grp = $1 and aggregate = $2").bind(group).bind(aggregate).execute(tx).await?;
    Ok(())
}

/// Where nothing waits behind a letter, what was claimed to drain its key is given back: unless another one is on its way.
async fn unpark_if_idle(tx: &mut Tx, group: &str, aggregate: &str) -> Result<(), Error> {
    let sql = "delete from letters.parked p where grp = $1 and aggregate = $2 and not exists (
                 select from letters.letter l where l.grp = p.grp and l.aggregate = p.aggregate and l.state = 'replaying')";
    sqlx::query(sql).bind(group).bind(aggregate).execute(tx).await?;
    Ok(())
}

/// A drained letter has ended; those behind it follow, or the key is free.
pub async fn settle(tx: &mut Tx, group: &str, aggregate: &str, letter: Uuid, state: State) -> Result<(), Error> {
    lock_parked(tx, group, &[aggregate]).await?;
    let sql = "update letters.letter set state = $2, settled_at = now(), blocked_by = null where id = $1 and state = 'replaying'";
    let settled = sqlx::query(sql).bind(letter).bind(state.as_str()).execute(&mut *tx).await?;
    if settled.rows_affected() == 0 {
        return Ok(());
    }
    audit(tx, "system", &format!("letter.{}", state.as_str()), Some(letter), "", None).await?;
    free_if_empty(tx, group, aggregate).await
}

/// The parked row is locked. Held letters become due; without any, the key is free.
pub(crate) async fn free_if_empty(tx: &mut Tx, group: &str, aggregate: &str) -> Result<(), Error> {
    let sql = "update letters.letter set state = 'replaying', blocked_by = null where grp = $1 and aggregate = $2 and state = 'held'";
    sqlx::query(sql).bind(group).bind(aggregate).execute(&mut *tx).await?;
    let sql = "select id, bool_or(state = 'replaying') over () from letters.letter
               where grp = $1 and aggregate = $2 and state in ('dead', 'held', 'waiting', 'replaying') order by ordinal limit 1";
    let next: Option<(Uuid, bool)> = sqlx::query_as(sql).bind(group).bind(aggregate).fetch_optional(&mut *tx).await?;
    match next {
        None => {
            unpark(tx, group, aggregate).await?;
            reach(Point::LetterFreed);
            Ok(())
        }
        Some((head, draining)) => {
            let sql = "update letters.parked set head = $3, draining = $4 where grp = $1 and aggregate = $2";
            sqlx::query(sql).bind(group).bind(aggregate).bind(head).bind(draining).execute(tx).await?;
            Ok(())
        }
    }
}

/// These versions are good: dead and waiting letters about older ones have been overtaken. One about a later version stays.
pub async fn supersede(tx: &mut Tx, group: &str, good: &[Subject]) -> Result<(), Error> {
    if good.is_empty() {
        return Ok(());
    }
    let sql = "update letters.letter l set state = 'superseded', settled_at = now(), retry_at = null
               from unnest($2::text[], $3::text[]) as good (subject, version)
               where l.grp = $1 and l.subject = good.subject and l.version <= good.version collate \"C\" and l.state in ('dead', 'waiting')
               returning l.id, l.aggregate";
    let (names, versions): (Vec<_>, Vec<_>) = good.iter().map(|it| (printable(&it.name), it.version.as_str())).unzip();
    let ended: Vec<(Uuid, String)> = sqlx::query_as(sql).bind(group).bind(&names).bind(&versions).fetch_all(&mut *tx).await?;
    if ended.is_empty() {
        return Ok(());
    }
    let (ids, aggregates): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
    // Keys without letters are parked behind nothing. Who holds such a row frees it by itself.
    let sql = "delete from letters.parked p using (
                 select aggregate from letters.parked where grp = $1 and aggregate = any($2) for update skip locked) idle
               where p.grp = $1 and p.aggregate = idle.aggregate and not exists (
                 select from letters.letter l
                 where l.grp = p.grp and l.aggregate = p.aggregate and l.state in ('dead', 'held', 'waiting', 'replaying'))";
    sqlx::query(sql).bind(group).bind(&aggregates).execute(&mut *tx).await?;
    for id in ids {
        audit(tx, "system", "letter.superseded", Some(id), "a later version was applied", None).await?;
    }
    Ok(())
}

/// `request_id`: whoever carries it out has looked under the letter's lock whether it was before; the unique index is the last resort.
pub async fn audit(
    tx: &mut Tx,
    actor: &str,
    verb: &str,
    letter: Option<Uuid>,
    detail: &str,
    request_id: Option<&str>,
) -> Result<(), Error> {
    let sql = "select letters.append_audit($1, $2, $3, $4, $5)";
    sqlx::query(sql).bind(actor).bind(verb).bind(letter).bind(detail).bind(request_id).execute(tx).await?;
    Ok(())
}

async fn insert(
    tx: &mut Tx,
    group: &str,
    obligation: &Obligation,
    record: &Record,
    state: &str,
    blocked_by: Option<Uuid>,
    failure: Option<Failure<'_>>,
) -> Result<bool, Error> {
    let fault = failure.map(|it| it.fault);
    let wait = failure.and_then(|it| it.wait);
    let sql =
        "insert into letters.letter (id, grp, ce_id, source, kind, aggregate, subject, state, blocked_by, origin_topic, origin_partition,
                 origin_offset, origin_time_ms, key, value, headers, class, code, message, causes, fingerprint, missing, attempts, retry_at, delays, version)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, now() + $24, $25, $26)
               on conflict on constraint letter_once do nothing";
    let inserted = sqlx::query(sql)
        .bind(ids::letter(group, obligation.id))
        .bind(group)
        .bind(obligation.id)
        .bind(&obligation.source)
        .bind(&obligation.kind)
        .bind(&obligation.aggregate)
        .bind(obligation.subject.as_ref().map(|it| printable(&it.name)))
        .bind(state)
        .bind(blocked_by)
        .bind(record.partition.topic.as_ref())
        .bind(record.partition.number)
        .bind(record.offset)
        .bind(record.timestamp_ms)
        .bind(record.key.as_ref())
        .bind(record.value.as_ref())
        .bind(encode_headers(&record.headers))
        .bind(fault.map(|it| it.class.as_str()))
        .bind(fault.map(|it| it.code))
        .bind(fault.map(|it| printable(&it.message)))
        .bind(fault.map(causes).unwrap_or_default())
        .bind(fault.map(Fault::fingerprint))
        .bind(fault.and_then(|it| it.missing.as_deref()).map(printable))
        .bind(failure.map_or(0, |it| it.attempts()))
        .bind(wait)
        .bind(i32::from(wait.is_some()))
        .bind(obligation.subject.as_ref().map(|it| it.version.as_str()))
        .execute(tx)
        .await?;
    Ok(inserted.rows_affected() > 0)
}

/// What somebody said may have a NUL in it, which PostgreSQL's text has not: a failure that can't be stored would hold its partition.
fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn causes(fault: &Fault) -> Vec<String> {
    fault.causes().iter().map(|it| printable(it)).collect()
}

/// The letter shows its last failure; the audit has all of them. False: it is not being tried any more.
async fn fail_again(tx: &mut Tx, id: Uuid, failure: Failure<'_>) -> Result<bool, Error> {
    let fault = failure.fault;
    let sql = "update letters.letter set state = $9, blocked_by = null, class = $2, code = $3, message = $4, causes = $5, fingerprint = $6,
                 missing = $7, attempts = attempts + $8, last_failed_at = now(), published_at = null,
                 retry_at = now() + $10, delays = delays + $11
               where id = $1 and state = 'replaying'";
    let failed = sqlx::query(sql)
        .bind(id)
        .bind(fault.class.as_str())
        .bind(fault.code)
        .bind(printable(&fault.message))
        .bind(causes(fault))
        .bind(fault.fingerprint())
        .bind(fault.missing.as_deref().map(printable))
        .bind(failure.attempts())
        .bind(failure.state())
        .bind(failure.wait)
        .bind(i32::from(failure.wait.is_some()))
        .execute(tx)
        .await?;
    Ok(failed.rows_affected() > 0)
}

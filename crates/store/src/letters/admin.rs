//! What people do with letters: list, show, replay, discard. Every change is one transaction under the key's lock, with its row
//! in the audit trail.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::headers::Headers;
use kill_point::{Point, reach};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{audit, free_if_empty, lock_parked};
use crate::stored::{decode_headers, encode_record};
use crate::{Error, Store, Tx};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LetterState {
    Dead,
    Held,
    /// It is tried again by itself.
    Waiting,
    Replaying,
    Applied,
    Superseded,
    Discarded,
}

impl LetterState {
    pub const ALL: [Self; 7] = [Self::Dead, Self::Held, Self::Waiting, Self::Replaying, Self::Applied, Self::Superseded, Self::Discarded];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Replaying => "replaying",
            Self::Applied => "applied",
            Self::Superseded => "superseded",
            Self::Discarded => "discarded",
        }
    }
}

/// One letter, without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    pub id: Uuid,
    pub group: String,
    pub event_id: Uuid,
    pub aggregate: String,
    pub kind: String,
    pub state: LetterState,
    pub blocked_by: Option<Uuid>,
    pub class: Option<String>,
    pub code: Option<String>,
    pub message: Option<String>,
    pub fingerprint: Option<String>,
    pub attempts: i32,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub first_failed_at: DateTime<Utc>,
    pub last_failed_at: DateTime<Utc>,
    /// Of a waiting one: when it is tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// Records held behind it.
    pub held: i64,
}

/// A letter with everything known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLetter {
    pub letter: Letter,
    pub causes: Vec<String>,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub headers: Headers,
    pub audit: Vec<AuditEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: DateTime<Utc>,
    pub actor: String,
    pub verb: String,
    pub detail: String,
}

/// `None` everywhere: dead, waiting and held letters of all groups.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub states: Vec<LetterState>,
    pub group: Option<String>,
    pub code: Option<String>,
    pub aggregate: Option<String>,
}

/// A page of letters, last failure first.
#[derive(Debug, Clone)]
pub struct Page {
    pub letters: Vec<Letter>,
    /// Where the next page begins.
    pub next: Option<(DateTime<Utc>, Uuid)>,
}

/// What becomes of the records held behind a discarded letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardScope {
    /// They follow in order.
    Release,
    /// They are discarded as well.
    Chain,
}

/// Why a letter did not change.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    #[error("there is no letter {0}")]
    NotFound(Uuid),
    #[error("letter {id} is {is}, only a dead or waiting letter can be {verb}; see `tradewind dlq show {id}`")]
    State { id: Uuid, is: &'static str, verb: &'static str },
    #[error("a reason is needed: it is kept with the letter")]
    NoReason,
    #[error(transparent)]
    Store(#[from] Error),
}

const COLUMNS: &str = "l.id, l.grp, l.ce_id, l.aggregate, l.kind, l.state, l.blocked_by, l.class, l.code, l.message, l.fingerprint, l.attempts,
    l.origin_topic, l.origin_partition, l.origin_offset, l.first_failed_at, l.last_failed_at, l.retry_at,
    (select count(*) from letters.letter h where h.grp = l.grp and h.aggregate = l.aggregate and h.state = 'held' and l.state in ('dead', 'waiting')) as held";

/// `after`: [`Page::next`] of the page before.
pub async fn list(store: &Store, filter: &Filter, after: Option<(DateTime<Utc>, Uuid)>, limit: u32) -> Result<Page, Error> {
    let states =
        if filter.states.is_empty() { vec![LetterState::Dead, LetterState::Waiting, LetterState::Held] } else { filter.states.clone() };
    let sql = format!(
        "select {COLUMNS} from letters.letter l
         where l.state = any($1) and ($2::text is null or l.grp = $2) and ($3::text is null or l.code = $3)
           and ($4::text is null or l.aggregate = $4) and ($5::timestamptz is null or (l.last_failed_at, l.id) < ($5, $6))
         order by l.last_failed_at desc, l.id desc limit $7"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(states.iter().map(|it| it.as_str()).collect::<Vec<_>>())
        .bind(&filter.group)
        .bind(&filter.code)
        .bind(&filter.aggregate)
        .bind(after.map(|it| it.0))
        .bind(after.map(|it| it.1))
        .bind(i64::from(limit) + 1)
        .fetch_all(store.pool())
        .await?;
    let mut letters = rows.iter().map(letter).collect::<Result<Vec<_>, _>>()?;
    let has_more = letters.len() > limit as usize;
    letters.truncate(limit as usize);
    let next = letters.last().filter(|_| has_more).map(|it| (it.last_failed_at, it.id));
    Ok(Page { letters, next })
}

pub async fn get(store: &Store, id: Uuid) -> Result<StoredLetter, LetterError> {
    let sql = format!("select {COLUMNS}, l.causes, l.key, l.value, l.headers from letters.letter l where l.id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(store.pool()).await.map_err(Error::from)?;
    let row = row.ok_or(LetterError::NotFound(id))?;
    let audit = sqlx::query_as::<_, (DateTime<Utc>, String, String, String)>(
        "select at, actor, verb, detail from letters.audit where letter = $1 order by n",
    )
    .bind(id)
    .fetch_all(store.pool())
    .await
    .map_err(Error::from)?;
    let audit = audit.into_iter().map(|(at, actor, verb, detail)| AuditEntry { at, actor, verb, detail }).collect();
    Ok(stored(&row, audit)?)
}

fn stored(row: &PgRow, audit: Vec<AuditEntry>) -> Result<StoredLetter, Error> {
    Ok(StoredLetter {
        letter: letter(row)?,
        causes: row.try_get("causes")?,
        key: row.try_get("key")?,
        value: row.try_get("value")?,
        headers: decode_headers(row.try_get("headers")?)?,
        audit,
    })
}

/// Dead letters whose copy is not published yet, oldest first.
pub async fn unpublished(store: &Store, limit: i64) -> Result<Vec<StoredLetter>, Error> {
    let sql = format!(
        "select {COLUMNS}, l.causes, l.key, l.value, l.headers from letters.letter l where l.published_at is null and l.state = 'dead' order by l.ordinal limit $1"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit).fetch_all(store.pool()).await?;
    rows.iter().map(|row| stored(row, Vec::new())).collect()
}

/// The copy of this failure is out. Of one that came meanwhile, nobody has been told yet.
pub async fn mark_published(store: &Store, letter: &Letter) -> Result<(), Error> {
    let sql = "update letters.letter set published_at = now() where id = $1 and last_failed_at = $2";
    sqlx::query(sql).bind(letter.id).bind(letter.last_failed_at).execute(store.pool()).await?;
    Ok(())
}

/// What is published about a letter that a person changed, for those who count it as dead. `None`: nobody does.
pub type OutcomeOf = Arc<dyn Fn(&Original) -> Option<pipeline::OutRecord> + Send + Sync>;

/// The record of a letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Original {
    pub group: String,
    /// What it failed with, or what it was held behind did.
    pub code: Option<String>,
    pub event_id: Uuid,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub headers: Headers,
}

/// Another try in the group that failed, at once. Later records of its key follow in order when it succeeds. `request_id`: the same
/// request again changes nothing.
pub async fn replay(
    store: &Store,
    id: Uuid,
    actor: &str,
    reason: &str,
    request_id: Option<&str>,
    outcome: OutcomeOf,
) -> Result<Letter, LetterError> {
    let request = Request::new(id, actor, reason, request_id, outcome)?;
    let changed = store
        .transaction(move |tx| {
            Box::pin(async move {
                let Some(head) = request.begin(tx, "letter.replay").await? else { return Ok(None) };
                if !head.is_open() {
                    return Ok(Some(head.state));
                }
                // A waiting one did not die: nobody was told that it did, and nobody is told that it lives.
                let was_dead = head.state == "dead";
                let sql =
                    "update letters.letter set state = 'replaying', replays = replays + $2, delays = 0, deaths = 0, tries = 0, retry_at = null, blocked_by = null
                           where id = $1";
                sqlx::query(sql).bind(request.id).bind(i32::from(was_dead)).execute(&mut *tx).await?;
                let sql = "insert into letters.parked (grp, aggregate, head, draining) values ($1, $2, $3, true)
                           on conflict (grp, aggregate) do update set head = $3, draining = true, claimed_by = null, claimed_until = null";
                sqlx::query(sql).bind(&head.group).bind(&head.aggregate).bind(request.id).execute(&mut *tx).await?;
                let told = if was_dead { vec![request.id] } else { Vec::new() };
                request.finish(tx, "letter.replay", &head, &told).await?;
                reach(Point::ReplayWritten);
                Ok(None)
            })
        })
        .await?;
    refused(store, id, changed, "replayed").await
}

/// Gives a letter up. Returns it, and how many were discarded, this one counted.
pub async fn discard(
    store: &Store,
    id: Uuid,
    actor: &str,
    reason: &str,
    scope: DiscardScope,
    request_id: Option<&str>,
    outcome: OutcomeOf,
) -> Result<(Letter, u64), LetterError> {
    let request = Request::new(id, actor, reason, request_id, outcome)?;
    let (refusal, discarded) = store
        .transaction(move |tx| {
            Box::pin(async move {
                let Some(head) = request.begin(tx, "letter.discard").await? else { return Ok((None, 0)) };
                if !head.is_open() {
                    return Ok((Some(head.state), 0));
                }
                let sql = "update letters.letter set state = 'discarded', settled_at = now(), blocked_by = null, retry_at = null
                           where grp = $1 and (id = $2 or ($3 and aggregate = $4 and state = 'held')) returning id";
                let ended: Vec<Uuid> = sqlx::query_scalar(sql)
                    .bind(&head.group)
                    .bind(request.id)
                    .bind(scope == DiscardScope::Chain)
                    .bind(&head.aggregate)
                    .fetch_all(&mut *tx)
                    .await?;
                for letter in ended.iter().filter(|it| **it != request.id) {
                    audit(tx, &request.actor, "letter.discard", Some(*letter), &format!("behind {}: {}", request.id, request.reason), None)
                        .await?;
                }
                free_if_empty(tx, &head.group, &head.aggregate).await?;
                request.finish(tx, "letter.discard", &head, &ended).await?;
                Ok((None, ended.len() as u64))
            })
        })
        .await?;
    Ok((refused(store, id, refusal, "discarded").await?, discarded))
}

struct Request {
    id: Uuid,
    actor: String,
    reason: String,
    request_id: Option<String>,
    outcome: OutcomeOf,
}

struct Head {
    group: String,
    aggregate: String,
    state: String,
    code: Option<String>,
}

impl Head {
    fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "dead" | "waiting")
    }
}

impl Request {
    fn new(id: Uuid, actor: &str, reason: &str, request_id: Option<&str>, outcome: OutcomeOf) -> Result<Self, LetterError> {
        if reason.trim().is_empty() {
            return Err(LetterError::NoReason);
        }
        let request_id = request_id.filter(|it| !it.is_empty()).map(ToOwned::to_owned);
        Ok(Self { id, actor: actor.to_owned(), reason: reason.trim().to_owned(), request_id, outcome })
    }

    /// The letter, its key locked. `None`: this request was carried out before, or there is no such letter.
    async fn begin(&self, tx: &mut Tx, verb: &str) -> Result<Option<Head>, Error> {
        let sql = "select grp, aggregate from letters.letter where id = $1";
        let Some((group, aggregate)) = sqlx::query_as::<_, (String, String)>(sql).bind(self.id).fetch_optional(&mut *tx).await? else {
            return Ok(None);
        };
        lock_parked(tx, &group, &[&aggregate]).await?;
        let sql = "select state, code from letters.letter where id = $1 for update";
        let (state, code) = sqlx::query_as(sql).bind(self.id).fetch_one(&mut *tx).await?;
        // Under the lock: the same request may have been carried out while we waited for it.
        let sql = "select exists (select from letters.audit where letter = $1 and verb = $2 and request_id = $3)";
        let is_repeat: bool = sqlx::query_scalar(sql).bind(self.id).bind(verb).bind(&self.request_id).fetch_one(&mut *tx).await?;
        Ok((!is_repeat).then_some(Head { group, aggregate, state, code }))
    }

    /// `letters`: those that changed, whose outcomes go out with the change.
    async fn finish(&self, tx: &mut Tx, verb: &str, head: &Head, letters: &[Uuid]) -> Result<(), Error> {
        let sql = "select grp, ce_id, key, value, headers from letters.letter where id = any($1) order by ordinal";
        for row in sqlx::query(sql).bind(letters).fetch_all(&mut *tx).await? {
            let original = Original {
                group: row.try_get("grp")?,
                code: head.code.clone(),
                event_id: row.try_get("ce_id")?,
                key: row.try_get("key")?,
                value: row.try_get("value")?,
                headers: decode_headers(row.try_get("headers")?)?,
            };
            if let Some(outcome) = (self.outcome)(&original) {
                sqlx::query("insert into letters.outbox (record) values ($1)").bind(encode_record(&outcome)).execute(&mut *tx).await?;
            }
        }
        audit(tx, &self.actor, verb, Some(self.id), &self.reason, self.request_id.as_deref()).await
    }
}

async fn refused(store: &Store, id: Uuid, state: Option<String>, verb: &'static str) -> Result<Letter, LetterError> {
    match state {
        Some(state) => Err(LetterError::State { id, is: state_of(&state)?.as_str(), verb }),
        None => get(store, id).await.map(|it| it.letter),
    }
}

/// For how many seconds the oldest dead letter of each group that has one has been waiting for somebody.
pub async fn dead_since(store: &Store) -> Result<Vec<(String, f64)>, Error> {
    let sql = "select grp, greatest(extract(epoch from now() - min(last_failed_at)), 0)::float8 from letters.letter
               where state = 'dead' group by grp order by grp";
    Ok(sqlx::query_as(sql).fetch_all(store.pool()).await?)
}

/// The number of the first audit row whose hash does not follow from the one before; `None`: the chain holds.
pub async fn verify_audit(store: &Store) -> Result<Option<i64>, Error> {
    let sql = "select n from (
                 select n, hash, prev, lag(hash, 1, '\\x'::bytea) over (order by n) as before,
                        letters.audit_hash(prev, at, actor, verb, letter, detail) as computed from letters.audit) chain
               where hash <> computed or prev <> before order by n limit 1";
    Ok(sqlx::query_scalar(sql).fetch_optional(store.pool_of_the_patient()).await?)
}

fn letter(row: &PgRow) -> Result<Letter, Error> {
    Ok(Letter {
        id: row.try_get("id")?,
        group: row.try_get("grp")?,
        event_id: row.try_get("ce_id")?,
        aggregate: row.try_get("aggregate")?,
        kind: row.try_get("kind")?,
        state: state_of(row.try_get("state")?)?,
        blocked_by: row.try_get("blocked_by")?,
        class: row.try_get("class")?,
        code: row.try_get("code")?,
        message: row.try_get("message")?,
        fingerprint: row.try_get("fingerprint")?,
        attempts: row.try_get("attempts")?,
        topic: row.try_get("origin_topic")?,
        partition: row.try_get("origin_partition")?,
        offset: row.try_get("origin_offset")?,
        first_failed_at: row.try_get("first_failed_at")?,
        last_failed_at: row.try_get("last_failed_at")?,
        retry_at: row.try_get("retry_at")?,
        held: row.try_get("held")?,
    })
}

fn state_of(state: &str) -> Result<LetterState, Error> {
    LetterState::ALL.into_iter().find(|it| it.as_str() == state).ok_or_else(|| Error::corrupt("a letter's state", state.to_owned()))
}

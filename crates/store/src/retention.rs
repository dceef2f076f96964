//! Deletes what was settled long ago, in batches, without the account noticing.
//!
//! A row goes only when nothing can depend on it any more: its obligation is settled, everything that followed from it is
//! produced and answered, and it has no letter. What waits, is held, dead, unpublished or unanswered stays, however old it is.
//! What a deleted row counted for in the account is added to `retention.carried` and `retention.raw` by the same statement.
//!
//! Some rows stay for ever: `effects.effect` and `effects.identity` (a create is done once per key, and no age changes that),
//! letters (of settled ones only the record goes), the audit trail, and one row per entity, order, refund and shelf.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use crate::{Error, Owner, Store, Tx};

/// How long settled rows stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// Of deliveries: after that the same delivery is a new one to us. Longer than the raw topic keeps its records.
    pub deliveries: Duration,
    /// Of everything else: longer than any topic keeps its records, or a record that is read again is decided again.
    pub settled: Duration,
    /// Of the records in settled letters.
    pub letters: Duration,
}

/// A topic of ours by its full name, and the groups that must answer for its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub topic: String,
    pub groups: Vec<String>,
}

/// What one statement deletes, at most a batch of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sweep {
    /// Where a schema's outputs to one topic lie, when all consumers have answered.
    Outputs(Owner, Answered),
    /// The same of outcomes of what people did.
    Told(Answered),
    /// Raw records of deliveries, with the mapper's decisions: by them a repeat is told.
    Deliveries,
    /// Decisions of the other groups.
    Decisions(Owner),
    /// Steps of applied operations. The operation stays, with all that they learned.
    Steps,
    /// Captures and outcomes that are produced.
    Captures,
    /// Outcomes of what people did that are produced.
    Outcomes,
    /// The records in settled letters.
    LetterBodies,
}

impl Sweep {
    /// All of them, in an order in which one makes way for the next. Outputs to topics that are not named stay, because nobody
    /// can say who has to answer for them.
    pub fn all(topics: &[Answered]) -> Vec<Self> {
        let outputs = topics.iter().flat_map(|topic| Owner::ALL.map(|owner| Self::Outputs(owner, topic.clone())));
        let told = topics.iter().cloned().map(Self::Told);
        let decisions = Owner::ALL.into_iter().filter(|it| *it != Owner::Ingest).map(Self::Decisions);
        outputs
            .chain(told)
            .chain([Self::Deliveries])
            .chain(decisions)
            .chain([Self::Steps, Self::Captures, Self::Outcomes, Self::LetterBodies])
            .collect()
    }

    /// A short, closed set of names.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Outputs(..) | Self::Told(_) => "outputs",
            Self::Deliveries => "deliveries",
            Self::Decisions(_) => "decisions",
            Self::Steps => "steps",
            Self::Captures => "captures",
            Self::Outcomes => "outcomes",
            Self::LetterBodies => "letter_bodies",
        }
    }

    fn age(&self, ages: &Ages) -> Duration {
        match self {
            Self::Deliveries | Self::Outputs(Owner::Ingest, _) => ages.deliveries,
            Self::LetterBodies => ages.letters,
            Self::Outputs(..) | Self::Told(_) | Self::Decisions(_) | Self::Steps | Self::Captures | Self::Outcomes => ages.settled,
        }
    }

    async fn run(&self, tx: &mut Tx, age: Duration, limit: i64) -> Result<u64, Error> {
        // To compile these statements takes longer than to run one batch of them.
        sqlx::query("set local jit = off").execute(&mut *tx).await?;
        if *self == Self::Deliveries {
            // The mapper would find the decision of a repeat that comes in this very moment, and leave its raw record without one.
            // Whoever waits for us waits for one batch; we don't let anybody wait for us who wait ourselves.
            sqlx::query("set local lock_timeout = '1s'").execute(&mut *tx).await?;
            sqlx::query("lock table ingest.raw_record in share row exclusive mode").execute(&mut *tx).await?;
        }
        let query = sqlx::query_scalar(self.sql()).bind(age).bind(limit);
        let query = match self {
            Self::Outputs(_, answered) | Self::Told(answered) => query.bind(&answered.topic).bind(&answered.groups),
            _ => query,
        };
        let gone: i64 = query.fetch_one(tx).await?;
        Ok(gone.unsigned_abs())
    }

    fn sql(&self) -> AssertSqlSafe<String> {
        match self {
            Self::Outputs(owner, _) => owner.sql(OUTPUTS),
            Self::Told(_) => AssertSqlSafe(OUTPUTS.replace("{schema}", "letters")),
            Self::Decisions(owner) => owner.sql(DECISIONS),
            Self::Deliveries => AssertSqlSafe(DELIVERIES.to_owned()),
            Self::Steps => AssertSqlSafe(STEPS.to_owned()),
            Self::Captures => AssertSqlSafe(CAPTURES.to_owned()),
            Self::Outcomes => AssertSqlSafe(OUTCOMES.to_owned()),
            Self::LetterBodies => AssertSqlSafe(LETTER_BODIES.to_owned()),
        }
    }
}

/// Deletes at most `limit` rows (deliveries: with all their raw records) and returns how many. Fewer than `limit` means that
/// nothing is left. One process at a time, see [`Sole`](crate::effects::Sole): two would wait for each other.
pub async fn sweep(store: &Store, sweep: &Sweep, ages: &Ages, limit: u32) -> Result<u64, Error> {
    let (sweep, age) = (sweep.clone(), sweep.age(ages));
    store.transaction(move |tx| Box::pin(async move { sweep.run(tx, age, i64::from(limit)).await })).await
}

/// Every obligation that hangs on an output is settled without a letter, or the output stays. Of a topic that nobody has to
/// answer for, age is enough.
const OUTPUTS: &str = "
    with old as (
      select o.out_id from {schema}.output o
      where o.topic = $3 and o.published_at < now() - $1
        and cardinality($4) = (
          select count(*) from account.decision d
          where d.grp = any($4::text[]) and d.ce_id = o.out_id and d.decided_at < now() - $1
            and d.state in ('applied', 'superseded', 'discarded') and not d.unpublished)
        and not exists (select from letters.letter l where l.grp = any($4) and l.ce_id = o.out_id)
      limit $2),
    gone as (delete from {schema}.output o using old where o.out_id = old.out_id returning o.out_id),
    carried as (
      insert into retention.carried as c (grp, source, kind, state, reason, count)
      select d.grp, d.source, d.kind, d.state, coalesce(d.reason, ''), count(*)
      from gone join account.decision d on d.grp = any($4) and d.ce_id = gone.out_id
      group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
      on conflict (grp, source, kind, state, reason) do update set count = c.count + excluded.count)
    select count(*) from gone";

/// The obligation of a consumer is its producer's output row: without that the decision counts for nothing, and with it the
/// decision must stay. It must also stay while an output of its own has to be answered.
const DECISIONS: &str = "
    with old as (
      select d.grp, d.ce_id from {schema}.decision d
      where d.decided_at < now() - $1 and coalesce(d.published_at, d.decided_at) < now() - $1
        and d.state in ('applied', 'superseded', 'discarded') and d.outputs is null
        and not exists (select from account.output o where o.out_id = d.ce_id)
        and not exists (select from {schema}.output o where o.ce_id = d.ce_id and o.grp = d.grp)
        and not exists (select from letters.letter l where l.grp = d.grp and l.ce_id = d.ce_id)
      limit $2),
    gone as (
      delete from {schema}.decision d using old
      where d.grp = old.grp and d.ce_id = old.ce_id and d.state in ('applied', 'superseded', 'discarded') and d.outputs is null
      returning d.ce_id)
    select count(*) from gone";

/// A delivery is an obligation by itself: its decision and all of its raw records go together, or none of them.
const DELIVERIES: &str = "
    with old as (
      select d.grp, d.ce_id from ingest.decision d
      where d.decided_at < now() - $1 and coalesce(d.published_at, d.decided_at) < now() - $1
        and d.state in ('applied', 'superseded', 'discarded') and d.outputs is null
        and not exists (select from ingest.raw_record r where r.ce_id = d.ce_id and r.seen_at >= now() - $1)
        and not exists (select from ingest.output o where o.ce_id = d.ce_id and o.grp = d.grp)
        and not exists (select from letters.letter l where l.grp = d.grp and l.ce_id = d.ce_id)
      limit $2),
    gone as (
      delete from ingest.decision d using old
      where d.grp = old.grp and d.ce_id = old.ce_id and d.state in ('applied', 'superseded', 'discarded') and d.outputs is null
      returning d.grp, d.ce_id, d.source, d.kind, d.state, d.reason),
    records as (delete from ingest.raw_record r using gone where r.ce_id = gone.ce_id returning r.partition, r.\"offset\", r.ce_id),
    numbered as (select *, row_number() over (partition by ce_id order by partition, \"offset\") as n from records),
    carried as (
      insert into retention.carried as c (grp, source, kind, state, reason, count)
      select grp, source, kind, state, coalesce(reason, ''), count(*) from gone group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
      on conflict (grp, source, kind, state, reason) do update set count = c.count + excluded.count),
    raw as (
      insert into retention.raw as c (partition, first, next, count, repeats)
      select partition, min(\"offset\"), max(\"offset\") + 1, count(*), count(*) filter (where n > 1) from numbered group by 1 order by 1
      on conflict (partition) do update set first = least(c.first, excluded.first), next = greatest(c.next, excluded.next),
        count = c.count + excluded.count, repeats = c.repeats + excluded.repeats)
    select count(*) from gone";

/// Of rejected operations they stay: somebody may have them replayed, and a confirmed step must not be done again.
const STEPS: &str = "
    with old as (
      select s.target, s.op_key, s.step from effects.effect_step s join effects.effect e using (target, op_key)
      where e.state = 'applied' and e.settled_at < now() - $1 and s.state = 'confirmed' and s.updated_at < now() - $1 and s.lease_until < now()
      limit $2),
    gone as (
      delete from effects.effect_step s using old
      where s.target = old.target and s.op_key = old.op_key and s.step = old.step and s.state = 'confirmed'
      returning s.step)
    select count(*) from gone";

const CAPTURES: &str = "
    with gone as (
      delete from effects.outbox where id in (select id from effects.outbox where published_at < now() - $1 order by id limit $2)
      returning id)
    select count(*) from gone";

const OUTCOMES: &str = "
    with gone as (
      delete from letters.outbox where id in (select id from letters.outbox where published_at < now() - $1 order by id limit $2)
      returning id)
    select count(*) from gone";

/// Who failed and why, and what people did about it, stays.
const LETTER_BODIES: &str = "
    with gone as (
      update letters.letter set value = '', headers = '', causes = '{}', body_dropped_at = now()
      where state in ('applied', 'superseded', 'discarded') and id in (
        select id from letters.letter
        where state in ('applied', 'superseded', 'discarded') and settled_at < now() - $1 and settled_at is not null and body_dropped_at is null
        limit $2)
      returning id)
    select count(*) from gone";

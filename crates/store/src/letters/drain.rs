//! Letters whose turn has come, key by key: one process drains a key, in order.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use kill_point::{Point, reach};
use pipeline::{Batch, Drained, Next, Origin, Partition, Record};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::stored::decode_headers;
use crate::{Error, Store};

/// Long enough for a slow request, short enough that a dead process's keys go on soon.
const CLAIM: Duration = Duration::from_secs(60);

/// Claims keys for one process and hands their letters out once.
pub struct Drainer {
    store: Store,
    group: String,
    me: Uuid,
    in_hand: Mutex<HashSet<Uuid>>,
}

impl Drainer {
    pub fn new(store: Store, group: &str) -> Self {
        Self { store, group: group.to_owned(), me: Uuid::new_v4(), in_hand: Mutex::default() }
    }

    /// Letters in the order of their keys, at most `max` that are not out already. Claims are renewed on the way, also when there is
    /// no room for more: what is out while its target is away stays ours.
    pub async fn drain(&self, max: usize) -> Result<Vec<Drained>, Error> {
        self.renew().await?;
        if max == 0 {
            return Ok(Vec::new());
        }
        self.wake(max).await?;
        let keys = self.claim(max).await?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let letters = self.due(&keys, max).await?;
        let ids = letters.iter().filter_map(|it| match it.record.origin {
            Origin::Letter(id) => Some(id),
            Origin::Topic => None,
        });
        self.in_hand.lock().expect("nobody panics with it").extend(ids);
        if !letters.is_empty() {
            reach(Point::LetterDrained);
        }
        Ok(letters)
    }

    /// Keys that are drained by this process now: those that it has, and up to `max` more. What another one had claimed was not given
    /// back: it died, and the key's next letter may have killed it.
    async fn claim(&self, max: usize) -> Result<Vec<String>, Error> {
        let sql = "with due as (
                     select aggregate, claimed_by from letters.parked
                     where grp = $1 and draining and claimed_by is distinct from $2 and (claimed_until is null or claimed_until < now())
                     order by since limit $4 for update skip locked),
                   claimed as (
                     update letters.parked p set claimed_by = $2, claimed_until = now() + $3 from due d
                     where p.grp = $1 and p.aggregate = d.aggregate returning p.aggregate, d.claimed_by <> $2 as taken_over),
                   blamed as (
                     update letters.letter set deaths = deaths + 1 where id in (
                       select distinct on (l.aggregate) l.id from letters.letter l join claimed c using (aggregate)
                       where c.taken_over and l.grp = $1 and l.state = 'replaying' order by l.aggregate, l.ordinal))
                   select aggregate from claimed
                   union all select aggregate from letters.parked where grp = $1 and draining and claimed_by = $2";
        let query = sqlx::query_scalar(sql).bind(&self.group).bind(self.me).bind(CLAIM).bind(i64::try_from(max).unwrap_or(i64::MAX));
        Ok(query.fetch_all(self.store.pool()).await?)
    }

    async fn due(&self, keys: &[String], max: usize) -> Result<Vec<Drained>, Error> {
        let out: Vec<Uuid> = self.in_hand.lock().expect("nobody panics with it").iter().copied().collect();
        let sql =
            "select id, origin_topic, origin_partition, origin_offset, origin_time_ms, key, value, headers, delays, deaths from letters.letter
                   where grp = $1 and aggregate = any($2) and state = 'replaying' and id <> all($3) order by ordinal limit $4";
        let query = sqlx::query(sql).bind(&self.group).bind(keys).bind(&out).bind(i64::try_from(max).unwrap_or(i64::MAX));
        query.fetch_all(self.store.pool()).await?.iter().map(drained).collect()
    }

    async fn renew(&self) -> Result<(), Error> {
        let sql =
            "update letters.parked set claimed_until = now() + $3 where grp = $1 and claimed_by = $2 and claimed_until < now() + $3 / 2";
        sqlx::query(sql).bind(&self.group).bind(self.me).bind(CLAIM).execute(self.store.pool()).await?;
        Ok(())
    }

    /// Letters whose wait is over, or who miss nothing any more. Whoever looks first wakes them; who drains them is another matter.
    async fn wake(&self, max: usize) -> Result<(), Error> {
        let sql = "select id, aggregate from letters.letter where grp = $1 and state = 'waiting' and retry_at <= now() order by retry_at limit $2";
        let due: Vec<(Uuid, String)> =
            sqlx::query_as(sql).bind(&self.group).bind(i64::try_from(max).unwrap_or(i64::MAX)).fetch_all(self.store.pool()).await?;
        if due.is_empty() {
            return Ok(());
        }
        let group = self.group.clone();
        self.store.transaction(move |tx| Box::pin(async move { super::wake(tx, &group, &due).await })).await
    }

    /// The claims of a process that ends in good order: others go on at once, and no letter is blamed.
    pub async fn give_back(&self) -> Result<(), Error> {
        let sql = "update letters.parked set claimed_by = null, claimed_until = null where grp = $1 and claimed_by = $2";
        sqlx::query(sql).bind(&self.group).bind(self.me).execute(self.store.pool()).await?;
        Ok(())
    }

    /// After a commit: settled letters may come out again, should somebody replay them.
    pub fn forget_settled<R, A>(&self, batch: &Batch<R>, nexts: &[Next<A>]) {
        let settled = batch.iter().zip(nexts).filter_map(|(entry, next)| match (entry.record.origin, next) {
            (Origin::Letter(id), Next::Done) => Some(id),
            _ => None,
        });
        let mut in_hand = self.in_hand.lock().expect("nobody panics with it");
        for id in settled {
            in_hand.remove(&id);
        }
    }
}

fn drained(row: &PgRow) -> Result<Drained, Error> {
    let topic: String = row.try_get("origin_topic")?;
    let record = Record {
        partition: Partition::new(topic, row.try_get("origin_partition")?),
        offset: row.try_get("origin_offset")?,
        timestamp_ms: row.try_get("origin_time_ms")?,
        key: row.try_get::<Vec<u8>, _>("key")?.into(),
        value: row.try_get::<Vec<u8>, _>("value")?.into(),
        headers: decode_headers(row.try_get("headers")?)?,
        origin: Origin::Letter(row.try_get("id")?),
    };
    let count = |column| row.try_get::<i32, _>(column).map(|it| u32::try_from(it).unwrap_or(0));
    Ok(Drained { record, delays: count("delays")?, deaths: count("deaths")? })
}

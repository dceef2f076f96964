//! What outlives the process that died: where its group began to read, and which record it had in hand alone.
//!
//! Each call is one statement of its own, committed before the record is touched. None of it is on the way of a record as long as
//! no partition is read with care (`pipeline::care`).

use async_trait::async_trait;
use fault::Fault;
use pipeline::{Origin, Partition, Record};
use uuid::Uuid;

use crate::{Error, Store};

/// Of one group.
#[derive(Debug, Clone)]
pub struct Deaths {
    store: Store,
    group: String,
}

impl Deaths {
    pub fn new(store: Store, group: impl Into<String>) -> Self {
        Self { store, group: group.into() }
    }
}

#[async_trait]
impl pipeline::Deaths for Deaths {
    /// Notes where a partition begins. Returns how often in a row it began there, this time counted; a beginning among the records
    /// that were read with care counts as the same.
    async fn begin(&self, partition: &Partition, offset: i64) -> Result<u32, Fault> {
        let sql = "insert into letters.beginning as b (grp, topic, partition, \"offset\") values ($1, $2, $3, $4)
               on conflict (grp, topic, partition) do update set
                 begun = case when $4 between b.\"offset\" and coalesce(b.reached + 1, b.\"offset\") then b.begun + 1 else 1 end,
                 reached = case when $4 between b.\"offset\" and coalesce(b.reached + 1, b.\"offset\") then b.reached end,
                 \"offset\" = $4, at = now()
               returning begun";
        let begun: i32 = sqlx::query_scalar(sql)
            .bind(&self.group)
            .bind(&*partition.topic)
            .bind(partition.number)
            .bind(offset)
            .fetch_one(self.store.pool())
            .await
            .map_err(Error::from)?;
        Ok(u32::try_from(begun).unwrap_or(u32::MAX))
    }

    /// Counts a record that is about to be tried alone. Returns its tries that nobody outlived, this one counted.
    async fn attempt(&self, record: &Record) -> Result<u32, Fault> {
        let attempts = match record.origin {
            Origin::Topic => self.attempt_record(record).await,
            Origin::Letter(id) => self.attempt_letter(id).await,
        };
        Ok(u32::try_from(attempts.map_err(Error::from)?).unwrap_or(u32::MAX))
    }

    /// The process lives, and the record is settled or waits for something.
    async fn outlived(&self, record: &Record) -> Result<(), Fault> {
        let query = match record.origin {
            Origin::Letter(id) => sqlx::query("update letters.letter set tries = 0 where id = $1 and tries > 0").bind(id),
            Origin::Topic => {
                sqlx::query("delete from letters.attempt where grp = $1 and topic = $2 and partition = $3 and \"offset\" = $4")
                    .bind(&self.group)
                    .bind(&*record.partition.topic)
                    .bind(record.partition.number)
                    .bind(record.offset)
            }
        };
        query.execute(self.store.pool()).await.map_err(Error::from)?;
        Ok(())
    }

    /// Nobody died on these partitions: what was noted of them goes.
    async fn forget(&self, partitions: &[Partition]) -> Result<(), Fault> {
        if partitions.is_empty() {
            return Ok(());
        }
        let sql = "with gone as (select * from unnest($2::text[], $3::int[]) as t (topic, partition)),
                    attempts as (delete from letters.attempt a using gone g where a.grp = $1 and a.topic = g.topic and a.partition = g.partition)
               delete from letters.beginning b using gone g where b.grp = $1 and b.topic = g.topic and b.partition = g.partition";
        sqlx::query(sql)
            .bind(&self.group)
            .bind(partitions.iter().map(|it| &*it.topic).collect::<Vec<_>>())
            .bind(partitions.iter().map(|it| it.number).collect::<Vec<_>>())
            .execute(self.store.pool())
            .await
            .map_err(Error::from)?;
        Ok(())
    }
}

impl Deaths {
    async fn attempt_record(&self, record: &Record) -> Result<i32, sqlx::Error> {
        let sql = "with reached as (
                 update letters.beginning set reached = greatest(coalesce(reached, $4), $4)
                 where grp = $1 and topic = $2 and partition = $3)
               insert into letters.attempt as a (grp, topic, partition, \"offset\") values ($1, $2, $3, $4)
               on conflict (grp, topic, partition, \"offset\") do update set attempts = a.attempts + 1, at = now()
               returning attempts";
        sqlx::query_scalar(sql)
            .bind(&self.group)
            .bind(&*record.partition.topic)
            .bind(record.partition.number)
            .bind(record.offset)
            .fetch_one(self.store.pool())
            .await
    }

    async fn attempt_letter(&self, id: Uuid) -> Result<i32, sqlx::Error> {
        let sql = "update letters.letter set tries = tries + 1 where id = $1 returning tries";
        sqlx::query_scalar(sql).bind(id).fetch_one(self.store.pool()).await
    }
}

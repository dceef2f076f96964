//! Records that wait inside a group for something that is no failure, and letters that nobody tries although they are due: no lag
//! and no dead letter tells of them.

use crate::{Error, Store};

#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    pub group: String,
    /// As in the account; `overdue` of letters.
    pub reason: String,
    pub records: i64,
    pub oldest_seconds: f64,
}

pub async fn waiting(store: &Store) -> Result<Vec<Waiting>, Error> {
    let sql = "select grp, reason, count(*), greatest(extract(epoch from now() - min(since)), 0)::float8 from (
                 select grp, coalesce(reason, '') as reason, decided_at as since from account.decision where state = 'in_flight'
                 union all
                 select grp, 'overdue', retry_at from letters.letter where state = 'waiting' and retry_at <= now()) w
               group by grp, reason order by grp, reason";
    let rows: Vec<(String, String, i64, f64)> = sqlx::query_as(sql).fetch_all(store.pool_of_the_patient()).await?;
    let of = |(group, reason, records, oldest_seconds)| Waiting { group, reason, records, oldest_seconds };
    Ok(rows.into_iter().map(of).collect())
}

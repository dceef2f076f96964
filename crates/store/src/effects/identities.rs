//! Records of a target that many commands share: one caller finds or creates, the others wait for what it learns. That serves for
//! a while; whoever comes later looks again, because people change such records.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::types::Json;

use super::Findings;
use crate::{Error, Tx};

/// Longer than any wait between two tries of its holder. And a holder whose request is on the wire or in doubt keeps it anyway.
const CLAIM: Duration = Duration::from_secs(600);
/// Longer than a target needs to show what it has created, so that nobody creates it again.
const KNOWN: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub kind: &'a str,
    pub match_key: &'a str,
    /// Who wants it.
    pub op_key: &'a str,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// Find or create it.
    Ours,
    /// Somebody did.
    Known(Findings),
    /// Somebody is at it.
    Taken,
}

/// One answer per wish, in order. Of several who want one identity its holder asks, else the first: were it always the first,
/// a holder that comes again behind another one would be told to wait for itself. A holder whose request is in doubt keeps its
/// claim as long as somebody may still look into it, which nobody does about a dead or discarded letter. What is known is read
/// only: an insert would lock its row, and everybody who needs it would wait for the whole batch of whoever came first.
pub async fn claim(tx: &mut Tx, target: &str, wanted: &[Wanted<'_>]) -> Result<Vec<Claimed>, Error> {
    let sql = "with wanted as (
                 select w.* from unnest($2::text[], $3::text[], $4::text[]) with ordinality as w (kind, match_key, op_key, n)),
               known as (
                 select * from effects.identity
                 where target = $1 and (kind, match_key) in (select kind, match_key from wanted)
                   and findings is not null and found_at > now() - $6),
               asking as (
                 select distinct on (w.kind, w.match_key) w.* from wanted w
                 left join effects.identity i on i.target = $1 and i.kind = w.kind and i.match_key = w.match_key
                 where not exists (select 1 from known k where k.kind = w.kind and k.match_key = w.match_key)
                 order by w.kind, w.match_key, coalesce(i.claimed_by = w.op_key, false) desc, w.n),
               claimed as (
                 insert into effects.identity as i (target, kind, match_key, claimed_by, claimed_until)
                 select $1, kind, match_key, op_key, now() + $5 from asking order by kind, match_key
                 on conflict (target, kind, match_key) do update
                   set claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until, findings = null, found_at = null
                   where case
                     when i.findings is not null then coalesce(i.found_at, '-infinity') <= now() - $6
                     else i.claimed_by = excluded.claimed_by or (i.claimed_until < now() and not exists (
                       select 1 from effects.effect_step s join effects.effect e using (target, op_key)
                       where s.target = i.target and s.op_key = i.claimed_by and s.state in ('in_flight', 'unknown')
                         and not exists (
                           select 1 from letters.letter l where l.ce_id = e.ce_id and l.state in ('dead', 'discarded', 'superseded')))) end
                 returning kind, match_key, claimed_by as op_key)
               select c.kind is not null as ours, k.findings
               from wanted w
               left join claimed c using (kind, match_key, op_key)
               left join known k using (kind, match_key)
               order by w.n";
    let rows = sqlx::query(sql)
        .bind(target)
        .bind(wanted.iter().map(|it| it.kind).collect::<Vec<_>>())
        .bind(wanted.iter().map(|it| it.match_key).collect::<Vec<_>>())
        .bind(wanted.iter().map(|it| it.op_key).collect::<Vec<_>>())
        .bind(CLAIM)
        .bind(KNOWN)
        .fetch_all(tx)
        .await?;
    let claimed = |row: &sqlx::postgres::PgRow| -> Result<Claimed, Error> {
        let findings: Option<Json<Findings>> = row.try_get("findings")?;
        Ok(match (row.try_get("ours")?, findings) {
            (true, _) => Claimed::Ours,
            (false, Some(Json(findings))) => Claimed::Known(findings),
            (false, None) => Claimed::Taken,
        })
    };
    rows.iter().map(claimed).collect()
}

/// What the holders found or created.
pub async fn confirm(tx: &mut Tx, target: &str, confirmed: &[(Wanted<'_>, &Findings)]) -> Result<(), Error> {
    if confirmed.is_empty() {
        return Ok(());
    }
    let sql = "update effects.identity i set findings = w.findings, found_at = now()
               from unnest($2::text[], $3::text[], $4::text[], $5::jsonb[]) as w (kind, match_key, op_key, findings)
               where i.target = $1 and i.kind = w.kind and i.match_key = w.match_key and i.claimed_by = w.op_key and i.findings is null";
    sqlx::query(sql)
        .bind(target)
        .bind(confirmed.iter().map(|it| it.0.kind).collect::<Vec<_>>())
        .bind(confirmed.iter().map(|it| it.0.match_key).collect::<Vec<_>>())
        .bind(confirmed.iter().map(|it| it.0.op_key).collect::<Vec<_>>())
        .bind(confirmed.iter().map(|it| Json(it.1)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// The holder has given up; the next one may try.
pub async fn release(tx: &mut Tx, target: &str, held: &[Wanted<'_>]) -> Result<(), Error> {
    if held.is_empty() {
        return Ok(());
    }
    let sql = "delete from effects.identity i using unnest($2::text[], $3::text[], $4::text[]) as w (kind, match_key, op_key)
               where i.target = $1 and i.kind = w.kind and i.match_key = w.match_key and i.claimed_by = w.op_key and i.findings is null";
    sqlx::query(sql)
        .bind(target)
        .bind(held.iter().map(|it| it.kind).collect::<Vec<_>>())
        .bind(held.iter().map(|it| it.match_key).collect::<Vec<_>>())
        .bind(held.iter().map(|it| it.op_key).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

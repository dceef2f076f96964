//! Letters: nothing of a record is lost in them, and nothing happens to them that is not written down.

use store::letters::StoredLetter;
use testkit::records;
use uuid::Uuid;

use super::{Evidence, Finding, finding};

/// Compared with what a client of its own reads where the letter says that it came from. Ids are hashes: their order is a sample.
pub(super) async fn are_verbatim(of: &Evidence<'_>) -> Finding {
    let ids: Result<Vec<Uuid>, _> =
        sqlx::query_scalar("select id from letters.letter order by id limit 200").fetch_all(of.it.store.pool()).await;
    let mut letters = Vec::new();
    for id in ids.map_err(|error| vec![error.to_string()])? {
        letters.push(store::letters::get(&of.it.store, id).await.map_err(|error| vec![error.to_string()])?);
    }
    let (count, brokers) = (letters.len(), of.it.bus.brokers.clone());
    let compared = tokio::task::spawn_blocking(move || letters.iter().filter_map(|it| differs(&brokers, it)).collect());
    finding(format!("{count} letters"), compared.await.map_err(|error| vec![error.to_string()])?)
}

fn differs(brokers: &str, stored: &StoredLetter) -> Option<String> {
    let letter = &stored.letter;
    let place = format!("{}[{}]@{}", letter.topic, letter.partition, letter.offset);
    let headers: Vec<_> = stored.headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    match records::read(brokers, &letter.topic, letter.partition, letter.offset) {
        Ok(seen) if (&seen.key, &seen.value, &seen.headers) == (&stored.key, &stored.value, &headers) => None,
        Ok(_) => Some(format!("{place}: the letter has other bytes")),
        Err(error) => Some(format!("{place}: {error:#}")),
    }
}

pub(super) async fn history_holds(of: &Evidence<'_>) -> Finding {
    let broken = store::letters::verify_audit(&of.it.store).await.map_err(|error| vec![error.to_string()])?;
    let rows = of.it.count("select count(*) from letters.audit").await;
    let mut wrong: Vec<String> = broken.into_iter().map(|n| format!("row {n} of the audit does not follow from the one before")).collect();
    let untold: Vec<String> = sqlx::query_scalar(UNTOLD).fetch_all(of.it.store.pool()).await.map_err(|error| vec![error.to_string()])?;
    wrong.extend(untold);
    finding(format!("{rows} rows"), wrong)
}

/// Letters whose history does not begin with how they came to be, does not end with what they are, or has more than one end.
/// What is held or about to be tried says nothing of its way there: that is its key's.
const UNTOLD: &str = "
    select format('letter %s is %s, and its history is %s', id, state, verbs) from (
      select l.id, l.state, array_agg(case a.verb when 'letter.discard' then 'letter.discarded' else a.verb end order by a.n) as verbs
      from letters.letter l left join letters.audit a on a.letter = l.id group by l.id, l.state) told
    where verbs[1] is null or not verbs[1] = any('{letter.dead,letter.waiting,letter.held}')
       or (state not in ('held', 'replaying') and verbs[cardinality(verbs)] <> 'letter.' || state)
       or (select count(*) from unnest(verbs) verb where verb = any('{letter.applied,letter.superseded,letter.discarded}')) > 1";

pub(super) async fn ended_letters_rest(of: &Evidence<'_>) -> Finding {
    let late = of
        .it
        .count(
            "select count(*) from letters.audit a join letters.audit b on a.letter = b.letter and a.n < b.n
             where a.verb = 'letter.discard' and b.verb = 'letter.replay'",
        )
        .await;
    let wrong = if late > 0 { vec![format!("{late} letters")] } else { Vec::new() };
    finding(format!("{} replays", of.it.count("select count(*) from letters.audit where verb = 'letter.replay'").await), wrong)
}

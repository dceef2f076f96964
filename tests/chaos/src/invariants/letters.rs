//! Letters: nothing of a record is lost in them, and nothing happens to them that is not written down.

use testkit::records;

use super::{Evidence, Finding, finding};

#[derive(sqlx::FromRow)]
struct Origin {
    origin_topic: String,
    origin_partition: i32,
    origin_offset: i64,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Compared with what a client of its own reads where the letter says that it came from.
pub(super) async fn are_verbatim(of: &Evidence<'_>) -> Finding {
    let sql = "select origin_topic, origin_partition, origin_offset, key, value from letters.letter order by ordinal limit 200";
    let letters: Vec<Origin> = sqlx::query_as(sql).fetch_all(of.it.store.pool()).await.map_err(|error| vec![error.to_string()])?;
    let (count, brokers) = (letters.len(), of.it.bus.brokers.clone());
    let compared = tokio::task::spawn_blocking(move || letters.iter().filter_map(|it| differs(&brokers, it)).collect());
    finding(format!("{count} letters"), compared.await.map_err(|error| vec![error.to_string()])?)
}

fn differs(brokers: &str, letter: &Origin) -> Option<String> {
    let place = format!("{}[{}]@{}", letter.origin_topic, letter.origin_partition, letter.origin_offset);
    match records::read(brokers, &letter.origin_topic, letter.origin_partition, letter.origin_offset) {
        Ok(seen) if seen.key == letter.key && seen.value == letter.value => None,
        Ok(_) => Some(format!("{place}: the letter has other bytes")),
        Err(error) => Some(format!("{place}: {error:#}")),
    }
}

pub(super) async fn history_holds(of: &Evidence<'_>) -> Finding {
    let broken = store::letters::verify_audit(&of.it.store).await.map_err(|error| vec![error.to_string()])?;
    let rows = of.it.count("select count(*) from letters.audit").await;
    let untold = of
        .it
        .count(
            "select count(*) from letters.letter l where l.state = 'discarded' and not exists (
               select from letters.audit a where a.letter = l.id and a.verb in ('letter.discard', 'letter.discarded'))",
        )
        .await;
    let mut wrong: Vec<String> = broken.into_iter().map(|n| format!("row {n} of the audit does not follow from the one before")).collect();
    if untold > 0 {
        wrong.push(format!("{untold} letters were discarded and nobody knows by whom"));
    }
    finding(format!("{rows} rows"), wrong)
}

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

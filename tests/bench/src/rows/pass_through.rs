//! Row 6a: consumer, engine and producer with a ledger that stores nothing, against librdkafka copying the same records.
//!
//! Oracle: as many records as there were, the same bytes, each key in its order.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use contracts::headers::{self, Headers};
use pipeline::OutRecord;
use uuid::Uuid;

use super::Bench;
use crate::kafka::{self, Seen};
use crate::parties::groups::GroupOrders;
use crate::parties::{Ready, Work};
use crate::process::Party;
use crate::stats::{Spread, short};
use crate::table::{Line, Target};

/// Records of one key.
const PER_KEY: usize = 4;
const BYTES: usize = 707;

pub(super) async fn row(bench: &mut Bench) -> anyhow::Result<Vec<Line>> {
    let count = bench.size.of(100_000, 2_000);
    let (input, bus) = ("copy.in", kafka::settings(&bench.brokers, "copy."));
    kafka::make(&bus, &["in"]).await?;
    kafka::fill(&bus, &backlog(input, count)).await?;
    let (mut ours, mut raw, mut complaint) = (Vec::new(), Vec::new(), None);
    for round in 0..=bench.rounds() {
        for name in if round % 2 == 0 { ["pass-through", "raw-copy"] } else { ["raw-copy", "pass-through"] } {
            let prefix = format!("copy{round}{name}.");
            kafka::make(&kafka::settings(&bench.brokers, &prefix), &["out"]).await?;
            let orders = GroupOrders {
                brokers: bench.brokers.clone(),
                database: String::new(),
                input: input.to_owned(),
                output: format!("{prefix}out"),
                prefix,
                records: count as u64,
            };
            let (mut party, _): (_, Ready) = Party::start(name, &orders, &bench.log(name), bench.core).await?;
            let work: Work = party.go(PATIENCE).await?;
            party.stop().await;
            if name == "raw-copy" {
                raw.push(work)
            } else {
                ours.push(work)
            }
            if let Err(error) = oracle(&kafka::read_all(&bench.brokers, &orders.output).await?, count) {
                complaint = Some(format!("{name}: {error:#}"));
            }
        }
    }
    let job = format!("pass-through: CPU per record of {BYTES} bytes, {} partitions", kafka::PARTITIONS);
    if let Some(complaint) = complaint {
        return Ok(vec![Line::void("6a", job, complaint)]);
    }
    let ratio = Spread::of(ours.iter().zip(&raw).skip(1).map(|(ours, raw)| ours.cpu_us() / raw.cpu_us()));
    let of = |works: &[Work], pick: fn(&Work) -> f64| Spread::of(works.iter().skip(1).map(pick));
    let measured = format!("{} µs, {} records/s", of(&ours, Work::cpu_us), short(of(&ours, Work::rate).median));
    let limit = format!("{} µs, {} records/s", of(&raw, Work::cpu_us), short(of(&raw, Work::rate).median));
    let memory = of(&ours, |it| it.peak_mb).median;
    Ok(vec![
        Line::ratio("6a", job, measured, limit, ratio, Target::AtMost(2.0, "x")),
        Line::figure(
            "6a",
            "pass-through: most memory",
            memory,
            format!("{} MB", short(memory)),
            String::new(),
            Target::AtMost(64.0, " MB"),
        ),
    ])
}

const NUMBER: &str = headers::ENTITY_SEQ;

/// As change events look: their headers, and bytes that compress a little.
fn backlog(topic: &str, count: usize) -> Vec<OutRecord> {
    let keys = count / PER_KEY;
    (0..count)
        .map(|index| {
            let (key, number) = (index % keys, index / keys);
            let id = Uuid::from_u128((index as u128) << 64 | 0x9e37);
            let mut all = Headers::default();
            all.push(headers::CE_SPECVERSION, "1.0");
            all.push(headers::CE_ID, id.to_string());
            all.push(headers::CE_SOURCE, "tradewind/shop-eu");
            all.push(headers::CE_TYPE, "tradewind.orders.v1.OrderChanged");
            all.push(headers::CE_SUBJECT, format!("shop-eu/order/{key}"));
            all.push(headers::CONTENT_TYPE, headers::PROTOBUF);
            all.push(NUMBER, number.to_string());
            let key = Bytes::from(format!("shop-eu/order/{key}"));
            OutRecord { topic: topic.into(), key, value: value(index), headers: all, timestamp_ms: 1_790_000_000_000 }
        })
        .collect()
}

/// Of record `index`, always the same.
fn value(index: usize) -> Bytes {
    let mut value = Vec::with_capacity(BYTES);
    let mut number = index as u64 | 1 << 40;
    while value.len() < BYTES {
        number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        value.extend_from_slice(&number.to_be_bytes()[..4]);
        value.extend_from_slice(b"line");
    }
    value.truncate(BYTES);
    value.into()
}

fn oracle(seen: &[Seen], count: usize) -> anyhow::Result<()> {
    anyhow::ensure!(seen.len() == count, "{} of {count} records came out", seen.len());
    let keys = count / PER_KEY;
    let mut next: HashMap<&[u8], usize> = HashMap::new();
    for it in seen {
        let number: usize = it.header(NUMBER).and_then(|it| it.parse().ok()).ok_or_else(|| anyhow::anyhow!("a header is gone"))?;
        let expected = next.entry(&it.key).or_default();
        anyhow::ensure!(number == *expected, "record {number} of {} came in place of {expected}", String::from_utf8_lossy(&it.key));
        *expected += 1;
        let key: usize = String::from_utf8_lossy(&it.key).rsplit('/').next().and_then(|it| it.parse().ok()).unwrap_or(usize::MAX);
        anyhow::ensure!(it.value == value(number * keys + key), "a record was changed on its way");
    }
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(backlog: &[OutRecord]) -> Vec<Seen> {
        let header = |(name, value): (&str, &Bytes)| (name.to_owned(), value.to_vec());
        let one =
            |it: &OutRecord| Seen { key: it.key.to_vec(), value: it.value.to_vec(), headers: it.headers.iter().map(header).collect() };
        backlog.iter().map(one).collect()
    }

    #[test]
    fn the_oracle_sees_what_is_missing_changed_or_out_of_order() {
        let whole = seen(&backlog("t", 40));
        oracle(&whole, 40).unwrap();
        assert!(oracle(&whole[1..], 40).is_err());
        let mut swapped = whole.clone();
        swapped.swap(3, 13);
        assert!(oracle(&swapped, 40).unwrap_err().to_string().contains("in place of"));
        let mut changed = whole;
        changed[7].value[100] ^= 1;
        assert!(oracle(&changed, 40).unwrap_err().to_string().contains("changed"));
    }
}

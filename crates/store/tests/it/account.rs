//! The account by window, connection and kind, and the ids behind every sum.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use sqlx::AssertSqlSafe;
use store::account::{Account, CheckOf, Part, Progress, Scope, account, account_of, items, waiting};
use store::{Store, StoreSettings};

/// Hours after this one are what the rows below are of.
fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap()
}

fn hour(n: i64) -> DateTime<Utc> {
    start() + Duration::hours(n)
}

/// Deliveries of two shops, one an hour, in every state that the mapper and the router have. Number 5 came twice.
const BOOKS: &str = "
    create function pg_temp.id(kind int, n int) returns uuid language sql as
      $$ select format('00000000-0000-0000-%s-%s', lpad(to_hex(kind), 4, '0'), lpad(to_hex(n), 12, '0'))::uuid $$;
    create temp table d as
      select n, case when n % 2 = 0 then 'shop-eu' else 'shop-us' end as shop, case when n % 3 = 0 then 'customer' else 'order' end as kind,
             timestamptz '2026-03-01 00:00Z' + n * interval '1 hour' as at
      from generate_series(0, 23) as n;
    alter table d add column key text generated always as (shop || '/' || kind || '/' || n::text) stored;
    insert into ingest.raw_record select 0, n, pg_temp.id(1, n), shop, at from d;
    insert into ingest.raw_record select 0, 24, pg_temp.id(1, 5), shop, at + interval '12 hours' from d where n = 5;
    insert into ingest.decision
      select 'mapper', pg_temp.id(1, n), shop, kind, key,
             case n % 6 when 1 then 'superseded' when 2 then 'discarded' when 3 then 'in_flight' else 'applied' end,
             case n % 6 when 2 then 'unmapped' end, 'h', null, 'raw', 0, n, at + interval '90 minutes', at from d where n % 6 <> 4;
    insert into letters.letter (id, grp, ce_id, source, kind, aggregate, state, origin_topic, origin_partition, origin_offset, origin_time_ms,
                                key, value, headers, class, code, first_failed_at, last_failed_at)
      select pg_temp.id(9, n), 'mapper', pg_temp.id(1, n), shop, kind, key, 'dead', 'raw', 0, n, 0, '', '', '', 'decode', 'wire_decode',
             at, at + interval '5 hours' from d where n % 6 = 4;
    insert into ingest.output select pg_temp.id(2, n), pg_temp.id(1, n), 'mapper', 'orders', 0, n, at from d where n % 6 in (0, 5);
    insert into router.decision
      select 'order-router', pg_temp.id(2, n), shop, kind, key, 'applied', null, null, null, 'orders', 0, n, at, at from d where n % 12 = 0;
    insert into letters.letter (id, grp, ce_id, source, kind, aggregate, state, origin_topic, origin_partition, origin_offset, origin_time_ms,
                                key, value, headers, class, code)
      select pg_temp.id(8, n), 'order-router', pg_temp.id(2, n), shop, kind, key, case when n % 12 = 6 then 'dead' else 'held' end,
             'orders', 0, n, 0, '', '', '', 'validation', 'no_route' from d where n % 12 in (5, 6);
    insert into retention.carried values ('mapper', 'shop-eu', 'order', 'applied', '', 100), ('mapper', 'shop-us', 'order', 'discarded', 'unmapped', 7)";

async fn books() -> Store {
    // One connection: its functions are temporary.
    let settings = StoreSettings { connections_max: 1, ..StoreSettings::new(testkit::database().await) };
    let store = Store::open(&settings).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(BOOKS.to_owned())).execute(store.pool()).await.unwrap();
    store
}

/// The router has read up to number 20: of 11 it has no answer, and of 23 it need not have one yet. Two raw records are unread.
fn scope() -> Scope {
    let progress = |group: &str, topic: &str, committed, end| Progress {
        group: group.to_owned(),
        topic: topic.to_owned(),
        partition: 0,
        committed: Some(committed),
        start: 0,
        end,
    };
    Scope {
        raw_topic: "raw".to_owned(),
        mapper: "mapper".to_owned(),
        consumers: vec![("orders".to_owned(), "order-router".to_owned())],
        unanswered: Vec::new(),
        progress: vec![progress("mapper", "raw", 25, 27), progress("order-router", "orders", 20, 24)],
    }
}

type Sums = BTreeMap<(String, String, String, String), i64>;

fn sums(account: &Account) -> Sums {
    let mut sums = Sums::new();
    for it in &account.lines {
        *sums.entry((it.group.clone(), it.source.clone(), it.kind.clone(), it.state.clone())).or_default() += it.count;
    }
    sums
}

async fn of(store: &Store, part: &Part) -> Account {
    account_of(store, &scope(), part).await.unwrap()
}

fn window(since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Part {
    Part { since, until, ..Part::default() }
}

/// A record waits in hand, and those of other keys behind it are recorded already.
#[tokio::test]
async fn what_is_not_recorded_is_unread_wherever_it_lies() {
    let store = books().await;
    for sql in ["delete from ingest.raw_record where \"offset\" = 22", "delete from ingest.decision where \"offset\" = 22"] {
        sqlx::query(sql).execute(store.pool()).await.unwrap();
    }
    let behind = |it: Progress| if it.topic == "raw" { Progress { committed: Some(20), ..it } } else { it };
    let scope = Scope { progress: scope().progress.into_iter().map(behind).collect(), ..scope() };
    let account = account(&store, &scope).await.unwrap();
    let unread = account.lines.iter().find(|it| it.reason.as_deref() == Some("unread") && it.source == "*").unwrap();
    assert_eq!(unread.count, 3);
}

#[tokio::test]
async fn windows_that_meet_add_up_and_what_has_no_time_is_told_beside_them() {
    let store = books().await;
    let whole = account(&store, &scope()).await.unwrap();
    for cut in [hour(0), hour(1), hour(7), hour(7) + Duration::minutes(30), hour(23), hour(24)] {
        let (before, after) = (of(&store, &window(None, Some(cut))).await, of(&store, &window(Some(cut), None)).await);
        let mut both = sums(&before);
        for (key, count) in sums(&after) {
            *both.entry(key).or_default() += count;
        }
        // 100 and 7 rows went with their age, and two records are unread.
        assert_eq!((before.without_time, after.without_time, whole.without_time), (109, 109, 0));
        let timed: i64 = both.values().sum();
        assert_eq!(timed + 109, whole.lines.iter().map(|it| it.count).sum::<i64>(), "{cut}");
        *both.entry(("mapper".into(), "shop-eu".into(), "order".into(), "applied".into())).or_default() += 100;
        *both.entry(("mapper".into(), "shop-us".into(), "order".into(), "discarded".into())).or_default() += 7;
        *both.entry(("mapper".into(), "*".into(), "raw".into(), "in_flight".into())).or_default() += 2;
        assert_eq!(both, sums(&whole), "{cut}");
    }
}

#[tokio::test]
async fn a_window_has_its_first_moment_and_not_its_last() {
    let store = books().await;
    let mapper = async |since, until| {
        let part = Part { group: Some("mapper".to_owned()), ..window(Some(since), Some(until)) };
        of(&store, &part).await.lines.iter().map(|it| it.count).sum::<i64>()
    };
    assert_eq!(mapper(hour(3), hour(4)).await, 1);
    assert_eq!(mapper(hour(3), hour(3) + Duration::microseconds(1)).await, 1);
    assert_eq!(mapper(hour(3), hour(3)).await, 0);
    assert_eq!(mapper(hour(4), hour(3)).await, 0);
    assert_eq!(mapper(hour(0), hour(24)).await, 24);
    // Number 5 came again at 17 o'clock: it was taken on once, at five.
    assert_eq!((mapper(hour(5), hour(6)).await, mapper(hour(17), hour(18)).await), (1, 1));
}

#[tokio::test]
async fn ids_listed_are_as_many_as_the_sum_says_for_every_state_and_part() {
    let store = books().await;
    let mut states = BTreeSet::new();
    for part in [Part::default(), window(Some(hour(2)), Some(hour(19)))] {
        for ((group, source, kind, state), count) in sums(&of(&store, &part).await) {
            let name = format!("{state} {kind} of {source} by {group}");
            let part = Part { group: Some(group), source: Some(source), kind: Some(kind), state: Some(state.clone()), ..part.clone() };
            let page = items(&store, &scope(), &part, None, 1_000).await.unwrap();
            assert_eq!(page.items.len() as i64 + page.unlisted, count, "{name}");
            assert!(page.next.is_none() && page.items.iter().all(|it| it.state == state), "{name}");
            states.insert(state);
        }
    }
    let all = ["applied", "dead", "discarded", "held", "in_flight", "missing", "superseded"];
    assert_eq!(states.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap_or_a_repeat() {
    let store = books().await;
    let all = items(&store, &scope(), &Part::default(), None, 1_000).await.unwrap();
    assert!(all.items.is_sorted_by_key(|it| (it.taken_at, it.event_id, it.group.clone())));
    for size in [1, 7, all.items.len() as i64] {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = items(&store, &scope(), &Part::default(), after.as_ref(), size).await.unwrap();
            paged.extend(page.items);
            // As a program gives it back.
            after = page.next.map(|it| it.to_string().parse().unwrap());
            if after.is_none() {
                break;
            }
        }
        assert_eq!(paged, all.items, "by {size}");
    }
    assert_eq!(all.unlisted, 109);
}

#[tokio::test]
async fn the_checks_are_of_everything_whatever_part_is_asked_for() {
    let store = books().await;
    let elsewhere = Part { source: Some("shop-eu".to_owned()), ..window(Some(hour(0)), Some(hour(1))) };
    let fails = async || {
        let checks = of(&store, &elsewhere).await.checks;
        checks.into_iter().filter(|it| !it.holds).map(|it| (it.of, it.detail)).collect::<Vec<_>>()
    };
    let unanswered = "order-router: 1 order of shop-us have no answer".to_owned();
    assert_eq!(fails().await, [(CheckOf::Answers, unanswered.clone())]);
    sqlx::query("delete from ingest.decision where ce_id in (select ce_id from ingest.raw_record where \"offset\" in (2, 5))")
        .execute(store.pool())
        .await
        .unwrap();
    // 5 and 24 are one delivery; what lies at the commit or beyond it may wait.
    let unread = Scope { progress: scope().progress.into_iter().map(|it| Progress { committed: Some(2), ..it }).collect(), ..scope() };
    assert!(account(&store, &unread).await.unwrap().balances());
    let undecided = "mapper: 1 raw of shop-eu have no answer; mapper: 1 raw of shop-us have no answer".to_owned();
    let unanswered = format!("{undecided}; {unanswered}");
    assert_eq!(fails().await, [(CheckOf::Answers, unanswered.clone())]);
    sqlx::query("delete from ingest.raw_record where \"offset\" = 7").execute(store.pool()).await.unwrap();
    let gap = "partition 0: 1 of 25 records below the commit are not in the ledger".to_owned();
    assert_eq!(fails().await, [(CheckOf::RawRecords, gap), (CheckOf::Answers, unanswered)]);
}

#[tokio::test]
async fn what_was_produced_for_somebody_whom_nobody_named_is_missing() {
    let store = books().await;
    // A command for a target that the settings forgot, and a level that nobody has to answer for.
    let sql = "insert into router.output (out_id, ce_id, grp, topic, partition, \"offset\", published_at)
               select pg_temp.id(3, n), pg_temp.id(2, n), 'order-router', case n when 0 then 'commands.b2b' else 'availability' end, 0, n, at
               from d where n in (0, 12)";
    sqlx::query(sql).execute(store.pool()).await.unwrap();
    let mut scope = Scope { unanswered: vec!["availability".to_owned()], ..scope() };
    let forgot = account(&store, &scope).await.unwrap();
    let answers = forgot.checks.iter().find(|it| it.of == CheckOf::Answers).unwrap();
    let detail = "commands.b2b: 1 customer of shop-eu are for somebody whom the settings do not name; \
                  order-router: 1 order of shop-us have no answer";
    assert_eq!((answers.holds, answers.detail.as_str()), (false, detail));
    let part = Part { group: Some("commands.b2b".to_owned()), state: Some("missing".to_owned()), ..Part::default() };
    let listed = items(&store, &scope, &part, None, 10).await.unwrap().items;
    let listed: Vec<_> = listed.iter().map(|it| (it.aggregate.as_str(), it.reason.as_deref())).collect();
    assert_eq!(listed, [("shop-eu/customer/0", Some("no_consumer"))]);

    scope.consumers.push(("commands.b2b".to_owned(), "erp-adapter-b2b".to_owned()));
    assert_eq!(account(&store, &scope).await.unwrap().count("missing"), 1, "named, it is in flight");
}

#[tokio::test]
async fn what_was_produced_long_ago_and_lies_beyond_the_end_of_its_topic_is_missing() {
    let store = books().await;
    let mut scope = scope();
    // Somebody made the topic anew: number 23 is gone.
    scope.progress[1].end = 22;
    let missing = async || account(&store, &scope).await.unwrap().count("missing");
    assert_eq!(missing().await, 2, "that, and 11, which has no answer");
    let sql = "update ingest.output set published_at = now() where \"offset\" = 23";
    sqlx::query(sql).execute(store.pool()).await.unwrap();
    assert_eq!(missing().await, 1, "the broker was asked before it was produced");
}

#[tokio::test]
async fn what_was_carried_of_a_group_that_the_settings_forgot_stays_in_the_sums() {
    let store = books().await;
    let owed = async || account(&store, &scope()).await.unwrap().lines.iter().map(|it| it.count).sum::<i64>();
    let before = owed().await;
    sqlx::query("insert into retention.carried values ('erp-adapter-old', 'shop-eu', 'order', 'applied', '', 9)")
        .execute(store.pool())
        .await
        .unwrap();
    assert_eq!(owed().await, before + 9);
}

#[tokio::test]
async fn what_waits_inside_a_group_is_counted_with_its_age() {
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    sqlx::raw_sql(
        "insert into router.decision (grp, ce_id, source, kind, aggregate, state, reason, topic, partition, \"offset\", decided_at)
           select 'order-router', gen_random_uuid(), 's', 'refund', 's/order/' || n, state, reason, 't', 0, n, now() - n * interval '1 hour'
           from (values (1, 'in_flight', 'dependency_missing'), (2, 'in_flight', 'dependency_missing'), (3, 'in_flight', 'fraud_check'),
                        (9, 'applied', null)) as d (n, state, reason);
         insert into letters.letter (id, grp, ce_id, source, kind, aggregate, state, origin_topic, origin_partition, origin_offset,
                                     origin_time_ms, key, value, headers, retry_at)
           select gen_random_uuid(), 'erp', gen_random_uuid(), 's', 'order', 's/order/' || n, 'waiting', 't', 0, n, 1, 'k', 'v', '',
                  now() - n * interval '1 hour'
           from (values (4), (-1)) as l (n)",
    )
    .execute(store.pool())
    .await
    .unwrap();
    let shown = waiting(&store).await.unwrap();
    let shown: Vec<_> =
        shown.iter().map(|it| (it.group.as_str(), it.reason.as_str(), it.records, (it.oldest_seconds / 3600.0) as i64)).collect();
    let router = "order-router";
    assert_eq!(shown, [("erp", "overdue", 1, 4), (router, "dependency_missing", 2, 2), (router, "fraud_check", 1, 3)]);
}

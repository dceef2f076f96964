use std::sync::Arc;

use contracts::headers::Headers;
use pipeline::{OutRecord, Position};
use store::outbox::{self, Pending};
use store::{Store, StoreSettings};
use tokio::sync::Notify;
use uuid::Uuid;

const TARGET: &str = "erp-main";

fn record(value: &str) -> (Uuid, OutRecord) {
    let (topic, key, value) = ("inventory".into(), "erp-main/stock/main/MUG".into(), value.to_owned().into());
    (Uuid::new_v4(), OutRecord { topic, key, value, headers: Headers::default(), timestamp_ms: 0 })
}

async fn pending(store: &Store) -> Vec<Pending> {
    outbox::pending_captured(store, TARGET, 100).await.unwrap()
}

async fn produced(store: &Store, rows: &[Pending]) {
    let places: Vec<_> = rows.iter().map(|it| (it.id, Position::of(&it.record, 0, it.id))).collect();
    store.transaction(move |tx| Box::pin(async move { outbox::mark_captured(tx, "erp", &places).await })).await.unwrap();
}

/// Numbers are taken before their rows can be seen. A relay that only looked above the last number it produced would never see
/// what a slower writer commits below it.
#[tokio::test]
async fn what_a_slow_writer_commits_below_the_last_number_is_produced_too() {
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    let (written, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (store, written, release) = (store.clone(), Arc::clone(&written), Arc::clone(&release));
        let work = async move {
            let work = store.transaction(move |tx| {
                Box::pin(async move {
                    outbox::insert_captured(tx, TARGET, &[record("slow")]).await?;
                    written.notify_one();
                    release.notified().await;
                    Ok(())
                })
            });
            work.await
        };
        tokio::spawn(work)
    };
    written.notified().await;
    store.transaction(|tx| Box::pin(async move { outbox::insert_captured(tx, TARGET, &[record("quick")]).await })).await.unwrap();
    let quick = pending(&store).await;
    assert_eq!(quick.iter().map(|it| &it.record.value[..]).collect::<Vec<_>>(), [b"quick"]);
    produced(&store, &quick).await;

    release.notify_one();
    slow.await.unwrap().unwrap();
    let late = pending(&store).await;
    assert_eq!(late.iter().map(|it| &it.record.value[..]).collect::<Vec<_>>(), [b"slow"]);
    assert!(late[0].id < quick[0].id, "the numbers were not taken in this order");
    produced(&store, &late).await;
    assert!(pending(&store).await.is_empty());
}

#[tokio::test]
async fn what_nobody_was_told_of_is_counted_with_its_age() {
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    let shown = async || -> Vec<(String, i64, i64)> {
        let untold = outbox::untold(&store).await.unwrap();
        untold.into_iter().map(|it| (it.kind, it.records, (it.oldest_seconds / 60.0) as i64)).collect()
    };
    let expected = |outcomes, copies| [("outcomes".to_owned(), outcomes, 60 * outcomes), ("copies".to_owned(), copies, 120 * copies)];
    assert_eq!(shown().await, expected(0, 0));
    sqlx::raw_sql(
        "insert into letters.outbox (record, created_at, published_at)
           values ('r', now() - interval '1 hour', null), ('r', now() - interval '9 hours', now());
         insert into letters.letter (id, grp, ce_id, source, kind, aggregate, state, origin_topic, origin_partition, origin_offset,
                                     origin_time_ms, key, value, headers, last_failed_at, published_at)
           select gen_random_uuid(), 'g', gen_random_uuid(), 's', 'order', 's/order/' || n, state, 't', 0, n, 1, 'k', 'v', '',
                  now() - interval '2 hours', at
           from (values (1, 'dead', null), (2, 'dead', now()), (3, 'held', null)) as l (n, state, at)",
    )
    .execute(store.pool())
    .await
    .unwrap();
    assert_eq!(shown().await, expected(1, 1));
}

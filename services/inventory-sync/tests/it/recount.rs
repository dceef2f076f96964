use std::sync::Arc;
use std::time::Duration;

use bus::embedded::Embedded;
use bus::{BusSettings, Consumer, Producer, Role};
use contracts::topics;
use inventory_sync::config::StockSettings;
use inventory_sync::shell::recount::Recount;
use pipeline::{OutRecord, Record, Source as _, SourceEvent};

use super::group::{Group, keeping_back, stock_settings, told};
use super::world::*;

const SOON: Duration = Duration::from_secs(60);

pub(super) fn broker() -> (Embedded, BusSettings) {
    let target = "erp-main".parse().unwrap();
    let names = topics::table([&target]).into_iter().map(|it| (format!("t.{}", it.name), 2)).collect();
    let embedded = Embedded::start(names).unwrap();
    let settings = embedded.settings("t.");
    (embedded, settings)
}

/// The next availability event on the broker.
pub(super) async fn next(consumer: &mut Consumer) -> String {
    let Record { partition, key, value, headers, timestamp_ms, .. } = next_record(consumer).await;
    told(&[OutRecord { topic: partition.topic, key, value, headers, timestamp_ms }])
}

pub(super) async fn next_record(consumer: &mut Consumer) -> Record {
    loop {
        match tokio::time::timeout(SOON, consumer.next()).await.expect("a record comes").expect("the consumer goes on") {
            SourceEvent::Record(record) => return record,
            SourceEvent::Revoked { answer, .. } => drop(answer.send(Vec::new())),
            SourceEvent::Assigned(_) | SourceEvent::Lost(_) => {}
        }
    }
}

fn recount(group: &Group, bus: &BusSettings, settings: &StockSettings) -> Recount {
    let producer = Producer::new(bus, "test", Role::Relay).unwrap();
    Recount { store: group.store.clone(), feeds: Arc::new(settings.feeds()), bus: bus.clone(), producer }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_buffer_is_published_and_pushed_after_a_restart() {
    let (_broker, bus) = broker();
    let (mut events, handle) = Consumer::start(&bus, "test", "test", &["t.tradewind.availability.v1"]).unwrap();
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    group.settle(&level_record(1, level_of("CAP", 0, 0, 0, &[]))).await;
    let restarted = recount(&group, &bus, &keeping_back(4));
    let mut after = String::new();
    while let Some(next) = restarted.step(&after).await.unwrap() {
        after = next;
    }
    assert_eq!(next(&mut events).await, "2: 6");
    assert_eq!(group.text("select concat_ws(' ', available, sequence, generation) from stock.desired where sku = 'MUG'").await, "6 2 2");
    assert_eq!(group.count("select count(*) from stock.desired where unannounced is not null").await, 0);
    assert_eq!(group.count("select generation from stock.desired where sku = 'CAP'").await, 1, "nothing is nothing, whatever is kept back");
    drop(events);
    assert!(handle.close(SOON).await);
}

/// What was sold from one warehouse is sold from another one now, which has none of it, or of which nothing is known yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_whose_sources_are_others_now_sells_what_these_have() {
    let (_broker, bus) = broker();
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    let mut moved = stock_settings();
    moved.location_map.get_mut("shop").unwrap().insert("erp-main".to_owned(), [("NEW".to_owned(), "1".to_owned())].into());
    let restarted = recount(&group, &bus, &moved);
    assert_eq!(restarted.step("").await.unwrap().as_deref(), Some("MUG"));
    assert_eq!(group.text("select concat_ws(' ', available, on_hand, generation) from stock.desired").await, "0 0 2");
    let group = Group::over(group.store.clone(), moved);
    let there = domain::StockLevel { location: "NEW".to_owned(), ..level_of("MUG", 4, 0, 30, &[]) };
    assert_eq!(group.settle(&level_record(1, there)).await, "3: 4");
}

/// The process died after it reckoned and before it produced; a record comes before the next one gets to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_not_out_goes_before_the_one_that_overtakes_it() {
    let (_broker, bus) = broker();
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    let unreachable = BusSettings::local("127.0.0.1:1").with_prefix("t.");
    let dying = recount(&group, &unreachable, &keeping_back(4));
    tokio::select! {
        _ = dying.step("") => panic!("there is no broker"),
        () = async {
            let waits = "select count(*) from stock.desired where unannounced is not null";
            testkit::eventually_eq(SOON, 1, async || group.count(waits).await).await;
        } => {}
    }
    let restarted = Group::over(group.store.clone(), keeping_back(4));
    assert_eq!(restarted.settle(&observed(2, 9, 0, &[])).await, "2: 6, 3: 5");
    assert!(recount(&group, &bus, &keeping_back(4)).step("").await.unwrap().is_some());
    assert_eq!(group.text("select concat_ws(' ', available, sequence) from stock.desired").await, "5 3");
    assert_eq!(stock_settings().buffers.len(), 0);
}

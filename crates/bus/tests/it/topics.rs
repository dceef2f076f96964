use std::collections::HashMap;
use std::time::Duration;

use bus::BusSettings;
use bus::topics::{Difference, Done, apply, check};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::support::{GROUP, SOON, Stage, table};

async fn settings() -> Option<BusSettings> {
    Some(BusSettings::local(testkit::kafka().await?).with_prefix(testkit::prefix()))
}

fn admin(settings: &BusSettings) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap()
}

async fn configuration(settings: &BusSettings, topic: &str) -> HashMap<String, Option<String>> {
    let resource = [ResourceSpecifier::Topic(topic)];
    let described = admin(settings).describe_configs(&resource, &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    described.entries.into_iter().map(|it| (it.name, it.value)).collect()
}

#[tokio::test]
async fn the_whole_table_is_made_and_then_nothing_differs() {
    let Some(settings) = settings().await else { return };
    let target = "erp-main".parse().unwrap();
    let mut topics = contracts::topics::table([&target]);
    // Few, so that a test does not cost the broker a hundred logs.
    topics.iter_mut().for_each(|it| it.partitions = 1);
    let missing = check(&settings, &topics, 1, 1).await.unwrap();
    assert_eq!(missing.len(), topics.len());
    let report = apply(&settings, &topics, 1, 1).await.unwrap();
    assert_eq!((report.done.len(), report.left.len()), (topics.len(), 0));
    assert_eq!(report.warnings.len(), 2, "one node is no place for orders: {:?}", report.warnings);
    assert_eq!(check(&settings, &topics, 1, 1).await.unwrap(), []);
    assert_eq!(apply(&settings, &topics, 1, 1).await.unwrap().done, []);

    let raw = configuration(&settings, &settings.topic(contracts::topics::RAW)).await;
    for (name, value) in [
        ("cleanup.policy", "delete"),
        ("retention.ms", "1209600000"),
        ("max.message.bytes", "5242880"),
        ("min.insync.replicas", "1"),
        ("compression.type", "producer"),
    ] {
        assert_eq!(raw[name].as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn what_somebody_changed_is_put_right_and_what_somebody_added_stays() {
    let Some(settings) = settings().await else { return };
    let topics = [table("orders", 1)];
    apply(&settings, &topics, 1, 1).await.unwrap();
    let name = settings.topic("orders");
    let changed = AlterConfig::new(ResourceSpecifier::Topic(&name)).set("retention.ms", "1000").set("segment.bytes", "1048576");
    admin(&settings).alter_configs([&changed], &AdminOptions::new()).await.unwrap().remove(0).unwrap();

    testkit::eventually(SOON, async || {
        let differences = check(&settings, &topics, 1, 1).await.unwrap();
        let is_seen =
            differences.iter().any(|it| matches!(it, Difference::Setting { setting: "retention.ms", found, .. } if found == "1000"));
        if is_seen { Ok(()) } else { Err(differences) }
    })
    .await;
    let report = apply(&settings, &topics, 1, 1).await.unwrap();
    assert!(report.done.iter().any(|it| matches!(it, Done::Altered { setting: "retention.ms", .. })), "{:?}", report.done);
    testkit::eventually_eq(SOON, Vec::new(), async || check(&settings, &topics, 1, 1).await.unwrap()).await;
    let now = configuration(&settings, &name).await;
    assert_eq!(now["segment.bytes"].as_deref(), Some("1048576"));
    assert_eq!(now["retention.ms"].as_deref(), Some("1209600000"));
}

#[tokio::test]
async fn partitions_are_not_added_while_somebody_has_records_to_read() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(10).await;
    let mut reader = stage.reader();
    let record = reader.record_within(SOON).await.unwrap();
    reader.settle(&record);
    testkit::eventually_eq(SOON, Some(1), async || stage.committed(0).await).await;

    let wanted = [table("orders", 3)];
    let report = apply(&stage.settings, &wanted, 1, 1).await.unwrap();
    let held =
        Difference::PartitionsHeld { topic: stage.topic.to_string(), wanted: 3, found: 1, group: stage.settings.group(GROUP), lag: 9 };
    assert_eq!((report.done.len(), report.left), (0, vec![held]));
    for _ in 1..10 {
        let record = reader.record_within(SOON).await.unwrap();
        reader.settle(&record);
    }
    testkit::eventually_eq(SOON, Some(10), async || stage.committed(0).await).await;
    let report = apply(&stage.settings, &wanted, 1, 1).await.unwrap();
    assert_eq!(report.done, [Done::PartitionsAdded { topic: stage.topic.to_string(), from: 1, to: 3 }]);
    testkit::eventually_eq(SOON, Vec::new(), async || check(&stage.settings, &wanted, 1, 1).await.unwrap()).await;
    reader.close().await;
}

#[tokio::test]
async fn what_can_not_be_done_from_here_is_said() {
    let Some(settings) = settings().await else { return };
    let topics = [table("orders", 1)];
    let impossible = apply(&settings, &topics, 1, 2).await;
    assert!(matches!(impossible, Err(bus::Error::Durability { .. })), "{impossible:?}");
    let refused = apply(&settings, &topics, 3, 2).await;
    assert!(matches!(refused, Err(bus::Error::Refused { .. })), "one node keeps no three copies: {refused:?}");
    apply(&settings, &topics, 1, 1).await.unwrap();
    let differences = check(&settings, &topics, 3, 1).await.unwrap();
    assert!(matches!(differences[..], [Difference::TooFewReplicas { wanted: 3, found: 1, .. }]), "{differences:?}");
    let report = apply(&settings, &topics, 3, 1).await.unwrap();
    assert_eq!((report.done.len(), report.left), (0, differences));
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unreachable() {
    let settings = BusSettings::local(format!("127.0.0.1:{}", testkit::free_port()));
    let asked = tokio::time::timeout(Duration::from_secs(20), check(&settings, &[table("orders", 1)], 1, 1)).await.unwrap();
    assert!(matches!(asked, Err(bus::Error::Unreachable { .. })), "{asked:?}");
}

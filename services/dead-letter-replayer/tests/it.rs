//! The replayer over its gRPC door, with a real PostgreSQL and an embedded broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::embedded::Embedded;
use bus::{BusSettings, Consumer};
use bytes::Bytes;
use contracts::headers::{self, Headers, dlq};
use contracts::proto::replay::v1 as wire;
use contracts::proto::replay::v1::replay_service_client::ReplayServiceClient;
use contracts::topics::{self, Parking, groups};
use contracts::wire::{Change, ChangeKind, Changed, Entity, Outcome, OutcomeState, Wire as _};
use dead_letter_replayer::Settings;
use dead_letter_replayer::accounting::Accountant;
use dead_letter_replayer::config::{ApiSettings, RelaySettings, RetentionSettings};
use dead_letter_replayer::retention::Keeper;
use domain::{AggregateKey, ConnectionId, Customer, EntityKind, EntityRef, ErpCommand, Operation, OperationKey, TargetId};
use fault::{Class, Fault};
use pipeline::{Origin, OutRecord, Partition, Record, Source as _, SourceEvent};
use service_kit::{AdminSettings, Exit, Life, TelemetrySettings, Validate as _};
use store::effects::Sole;
use store::letters::{self, DiscardScope, Failure, Obligation, OutcomeOf};
use store::{Store, StoreSettings};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;
use uuid::Uuid;

const GROUP: &str = "erp-adapter-erp-main";
const DEADLINE: Duration = Duration::from_secs(30);

struct Bench {
    client: ReplayServiceClient<Channel>,
    store: Store,
    bus: BusSettings,
    life: Life,
    _broker: Embedded,
}

fn retention_settings() -> RetentionSettings {
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    RetentionSettings {
        interval: Duration::from_secs(3600),
        deliveries: days(90),
        settled: days(180),
        letters: days(180),
        batch: 2,
        pause: Duration::from_millis(1),
    }
}

fn settings(bus: BusSettings, store: StoreSettings) -> Settings {
    Settings {
        grace: Duration::from_secs(5),
        admin: AdminSettings { listen: ([127, 0, 0, 1], 0).into() },
        telemetry: TelemetrySettings::default(),
        bus,
        store,
        api: ApiSettings { listen: ([127, 0, 0, 1], testkit::free_port()).into(), operators: BTreeMap::new() },
        relay: RelaySettings {
            interval: Duration::from_millis(50),
            account_interval: Duration::from_secs(60),
            targets: vec!["erp-main".to_owned()],
        },
        retention: retention_settings(),
    }
}

async fn start() -> Bench {
    start_after("select 1").await
}

/// With these rows there already.
async fn start_after(rows: &'static str) -> Bench {
    let target = "erp-main".parse().unwrap();
    let broker = Embedded::start(topics::table([&target]).into_iter().map(|it| (it.name, it.partitions)).collect()).unwrap();
    let (bus, store_settings) = (broker.settings(""), StoreSettings::new(testkit::database().await));
    let store = Store::open(&store_settings).await.unwrap();
    sqlx::query(rows).execute(store.pool()).await.unwrap();
    let settings = settings(bus.clone(), store_settings);
    let listen = settings.api.listen;
    let life = Life::default();
    tokio::spawn({
        let life = life.clone();
        async move { dead_letter_replayer::run(settings, life).await.unwrap() }
    });
    life.readiness.ready().await;
    let client = testkit::eventually(DEADLINE, async || ReplayServiceClient::connect(format!("http://{listen}")).await).await;
    Bench { client, store, bus, life, _broker: broker }
}

impl Bench {
    /// Buries a command, as its adapter does. Returns the letter's id.
    async fn bury(&self, customer: &str, id: u128) -> String {
        let record = command(customer, id);
        let letter = contracts::ids::letter(GROUP, Uuid::from_u128(id));
        self.store
            .transaction(move |tx| {
                Box::pin(async move {
                    let fault = Fault::new(Class::BusinessRejected, "erp_refused", "the ERP refuses this customer");
                    let failure = Failure { fault: &fault, attempts: 2, wait: None };
                    letters::write(tx, GROUP, &Obligation::of(&record), &record, failure, Parking::Park).await
                })
            })
            .await
            .unwrap();
        letter.to_string()
    }

    /// Everything that was produced to a topic so far, until `count` records are there.
    async fn produced(&self, topic: &str, count: usize) -> Vec<Record> {
        let topic = self.bus.topic(topic);
        let (mut consumer, _handle) = Consumer::start(&self.bus, "reader", &format!("reader-{}", Uuid::new_v4()), &[&topic]).unwrap();
        let mut records = Vec::new();
        while records.len() < count {
            let event = tokio::time::timeout(DEADLINE, consumer.next()).await.expect("the records come in time");
            match event.expect("the consumer goes on") {
                SourceEvent::Record(record) => records.push(record),
                SourceEvent::Revoked { answer, .. } => drop(answer.send(Vec::new())),
                SourceEvent::Assigned(_) | SourceEvent::Lost(_) => {}
            }
        }
        records
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.life.stop.cancel();
    }
}

fn command(customer: &str, id: u128) -> Record {
    let connection: ConnectionId = "shop-eu".parse().unwrap();
    let entity = EntityRef::new(connection.clone(), EntityKind::Customer, customer);
    let aggregate = AggregateKey::customer(&connection, customer);
    let command = ErpCommand {
        target: "erp-main".parse().unwrap(),
        connection,
        aggregate: aggregate.clone(),
        operation_key: OperationKey::change(&entity, "sync", 1),
        sequence: 1,
        operation: Operation::SyncCustomer {
            customer: Box::new(Customer { id: customer.to_owned(), email: "ada@example.com".to_owned(), ..Customer::default() }),
        },
    };
    let mut headers = Headers::default();
    headers.push(headers::CE_ID, Uuid::from_u128(id).to_string());
    headers.push(headers::CE_TYPE, ErpCommand::NAME);
    headers.push("binary", Bytes::from_static(b"\xff\x00"));
    Record {
        partition: Partition::new("tradewind.commands.erp.erp-main.v1", 2),
        offset: 41,
        timestamp_ms: 1_790_000_000_000,
        key: aggregate.to_string().into(),
        value: command.encode(),
        headers,
        origin: Origin::Topic,
    }
}

#[tokio::test]
async fn a_letter_is_shown_decoded_with_personal_data_only_when_asked_for() {
    let mut bench = start().await;
    let id = bench.bury("7", 1).await;
    let listed = bench.client.list_letters(wire::ListLettersRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.letters.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), [&id]);
    assert_eq!((listed.letters[0].code.as_str(), listed.letters[0].state()), ("erp_refused", wire::LetterState::Dead));

    let meta = bench.client.get_letter(wire::GetLetterRequest { id: id.clone(), with_payload: false }).await.unwrap().into_inner();
    assert!(meta.decoded_json.contains("\"***\"") && !meta.decoded_json.contains("ada@"), "{}", meta.decoded_json);
    assert!(meta.value.is_empty());
    assert_eq!(meta.audit.iter().map(|it| it.verb.as_str()).collect::<Vec<_>>(), ["letter.dead"]);
    let whole = bench.client.get_letter(wire::GetLetterRequest { id, with_payload: true }).await.unwrap().into_inner();
    assert!(whole.decoded_json.contains("ada@example.com"));
    assert_eq!(whole.value, command("7", 1).value);
    assert!(whole.headers.iter().any(|it| it.name == "binary" && it.value.as_ref() == b"\xff\x00"));
}

#[tokio::test]
async fn a_replay_and_a_discard_tell_others_what_became_of_the_command() {
    let mut bench = start().await;
    let (first, second) = (bench.bury("7", 1).await, bench.bury("8", 2).await);
    let replay = wire::ReplayLetterRequest { id: first.clone(), reason: "group added".to_owned(), request_id: "r-1".to_owned() };
    let replayed = bench.client.replay_letter(replay.clone()).await.unwrap().into_inner().letter.unwrap();
    assert_eq!(replayed.state(), wire::LetterState::Replaying);
    let again = bench.client.replay_letter(replay).await.unwrap().into_inner().letter.unwrap();
    assert_eq!(again.state(), wire::LetterState::Replaying, "the same request changes nothing");

    let discard = wire::DiscardLetterRequest {
        id: second,
        reason: "a test".to_owned(),
        scope: wire::DiscardScope::Chain.into(),
        request_id: "d-1".to_owned(),
    };
    assert_eq!(bench.client.discard_letter(discard).await.unwrap().into_inner().discarded, 1);

    let outcomes: Vec<_> = bench.produced(topics::OUTCOMES, 2).await.iter().map(|it| Outcome::decode(&it.value).unwrap()).collect();
    // Where they lie is noted: the router and the stock have to answer for them.
    let noted = "select count(*) from letters.output where topic = 'tradewind.outcomes.v1'";
    let noted = async || sqlx::query_scalar::<_, i64>(noted).fetch_one(bench.store.pool()).await.unwrap();
    testkit::eventually_eq(DEADLINE, 2, noted).await;
    let mut said: Vec<_> = outcomes.iter().map(|it| (it.command_id, it.state, it.reason.as_str())).collect();
    said.sort_by_key(|it| it.0);
    let expected = [(Uuid::from_u128(1), OutcomeState::Replaying, "group added"), (Uuid::from_u128(2), OutcomeState::Discarded, "a test")];
    assert_eq!(said, expected);
}

/// A version of an order, as order-router reads it.
fn order_record(sequence: u64) -> Record {
    let connection: ConnectionId = "shop-eu".parse().unwrap();
    let change = Change {
        kind: ChangeKind::Updated,
        sequence,
        source: connection.to_string(),
        source_version: String::new(),
        source_time: None,
        channel: String::new(),
        changed_paths: Vec::new(),
    };
    let changed = Changed { change, entity: Entity::Order(Box::new(testkit::order("9"))) };
    let mut headers = Headers::default();
    headers.push(headers::CE_ID, Uuid::from_u128(sequence.into()).to_string());
    headers.push(headers::CE_TYPE, changed.type_name());
    let partition = Partition::new(topics::ORDERS, 0);
    let (key, value) = (AggregateKey::order(&connection, "9").to_string().into(), changed.encode());
    Record { partition, offset: 7, timestamp_ms: 1_790_000_000_000, key, value, headers, origin: Origin::Topic }
}

impl Bench {
    /// Buries two versions of an order, the second one behind the first. Returns the first's letter.
    async fn bury_order(&self, code: &'static str) -> String {
        let bury = self.store.transaction(move |tx| {
            Box::pin(async move {
                let fault = Fault::new(Class::Validation, code, "the router does not know what to do with it");
                let failure = Failure { fault: &fault, attempts: 1, wait: None };
                let (first, second) = (order_record(1), order_record(2));
                letters::write(tx, groups::ROUTER, &Obligation::of(&first), &first, failure, Parking::Park).await?;
                let parked = letters::lock_parked(tx, groups::ROUTER, &[&first.key_text()]).await?;
                letters::hold(tx, groups::ROUTER, &Obligation::of(&second), &second, &parked[&first.key_text()]).await
            })
        });
        bury.await.unwrap();
        contracts::ids::letter(groups::ROUTER, Uuid::from_u128(1)).to_string()
    }
}

#[tokio::test]
async fn an_order_that_no_target_was_told_of_is_given_up_with_all_that_waited_behind_it() {
    let mut bench = start().await;
    for (code, heard) in [("order_reopened", false), ("no_route", true)] {
        sqlx::query("delete from letters.letter").execute(bench.store.pool()).await.unwrap();
        let id = bench.bury_order(code).await;
        let (reason, request_id) = ("sold by hand".to_owned(), format!("d-{code}"));
        let scope = wire::DiscardScope::Chain.into();
        let discard = wire::DiscardLetterRequest { id, reason, scope, request_id };
        assert_eq!(bench.client.discard_letter(discard).await.unwrap().into_inner().discarded, 2);
        let told: i64 = sqlx::query_scalar("select count(*) from letters.outbox").fetch_one(bench.store.pool()).await.unwrap();
        assert!(heard || told == 0, "the ERP has this one: {told}");
    }
    let records = bench.produced(topics::OUTCOMES, 2).await;
    let outcomes: Vec<_> = records.iter().map(|it| Outcome::decode(&it.value).unwrap()).collect();
    let said = |it: &Outcome| (it.target.clone(), it.operation_key.clone(), it.sequence, it.state);
    let expected = |sequence| (None, "shop-eu/order/9/place_order".to_owned(), sequence, OutcomeState::Discarded);
    assert_eq!(outcomes.iter().map(said).collect::<Vec<_>>(), [expected(1), expected(2)]);
    assert!(records.iter().all(|it| it.key_text() == "shop-eu/order/9"));
}

#[tokio::test]
async fn every_dead_letter_is_published_with_the_original_record_and_what_went_wrong() {
    let bench = start().await;
    let id = bench.bury("7", 1).await;
    let copy = bench.produced(topics::DEAD_LETTERS, 1).await.remove(0);
    let original = command("7", 1);
    assert_eq!((&copy.key, &copy.value), (&original.key, &original.value));
    for (name, value) in original.headers.iter() {
        assert_eq!(copy.headers.get(name), Some(value), "{name}");
    }
    for (name, value) in [
        (dlq::ID, id.as_str()),
        (dlq::GROUP, GROUP),
        (dlq::ORIGIN_TOPIC, "tradewind.commands.erp.erp-main.v1"),
        (dlq::ORIGIN_PARTITION, "2"),
        (dlq::ORIGIN_OFFSET, "41"),
        (dlq::ERROR_CLASS, "business_rejected"),
        (dlq::ERROR_CODE, "erp_refused"),
        (dlq::ERROR_PAGE, "docs/errors/erp_refused.md"),
        (dlq::ATTEMPTS, "2"),
    ] {
        assert_eq!(copy.headers.text(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn what_can_not_be_done_is_refused_with_what_to_do() {
    let mut bench = start().await;
    let id = bench.bury("7", 1).await;
    let refused = |status: tonic::Status| (status.code(), status.message().to_owned());

    let request = wire::ReplayLetterRequest { id: "x".to_owned(), reason: "r".to_owned(), request_id: String::new() };
    let (code, message) = refused(bench.client.replay_letter(request).await.unwrap_err());
    assert_eq!((code, message.contains("no letter's id")), (Code::InvalidArgument, true));

    let request = wire::ReplayLetterRequest { id: Uuid::nil().to_string(), reason: "r".to_owned(), request_id: String::new() };
    assert_eq!(bench.client.replay_letter(request).await.unwrap_err().code(), Code::NotFound);

    let request = wire::ReplayLetterRequest { id: id.clone(), reason: String::new(), request_id: String::new() };
    let (code, message) = refused(bench.client.replay_letter(request).await.unwrap_err());
    assert_eq!((code, message.contains("a reason is needed")), (Code::InvalidArgument, true));

    let request = wire::DiscardLetterRequest { id: id.clone(), reason: "r".to_owned(), scope: 0, request_id: String::new() };
    let (code, message) = refused(bench.client.discard_letter(request).await.unwrap_err());
    assert_eq!((code, message.contains("held behind it")), (Code::InvalidArgument, true));

    let request = wire::ListLettersRequest { page_token: "forged".to_owned(), ..Default::default() };
    assert_eq!(bench.client.list_letters(request).await.unwrap_err().code(), Code::InvalidArgument);
}

/// Outcomes that were produced: a year ago, and just now.
const OUTCOMES: &str = "insert into letters.outbox (record, published_at)
    select 'r', now() - make_interval(days => days) from (select generate_series(361, 365) union all select 0) as a (days)";

async fn outcomes(store: &Store) -> i64 {
    sqlx::query_scalar("select count(*) from letters.outbox").fetch_one(store.pool()).await.unwrap()
}

#[tokio::test]
async fn a_service_that_starts_deletes_what_was_settled_long_ago() {
    let bench = start_after(OUTCOMES).await;
    testkit::eventually_eq(DEADLINE, 1, async || outcomes(&bench.store).await).await;
}

#[tokio::test]
async fn one_process_deletes_at_a_time_and_the_next_takes_over() {
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    sqlx::query(OUTCOMES).execute(store.pool()).await.unwrap();
    let keeper = Keeper::new(store.clone(), &BusSettings::local("127.0.0.1:1"), &["erp-main".parse().unwrap()], retention_settings());
    let stop = CancellationToken::new();
    let mut other = Sole::new(&store, "retention").await.unwrap();
    assert!(other.is_ours().await.unwrap());
    assert!(keeper.turn(&stop).await.unwrap().is_empty(), "another process is at it");
    assert_eq!(outcomes(&store).await, 6);

    drop(other);
    let took_over = testkit::eventually(DEADLINE, async || {
        let deleted = keeper.turn(&stop).await.unwrap();
        if deleted.is_empty() { Err("the other's connection is still ending") } else { Ok(deleted) }
    });
    assert_eq!(took_over.await, BTreeMap::from([("outcomes", 5)]));
    assert_eq!(outcomes(&store).await, 1);
}

#[test]
fn settings_that_forget_what_can_come_again_are_refused() {
    let mut settings: Settings = toml_defaults();
    assert_eq!(settings.validate(), Ok(()));
    settings.retention.deliveries = Duration::from_secs(14 * 24 * 3600);
    settings.retention.batch = 0;
    let problems = settings.validate().unwrap_err();
    assert!(problems[0].contains("retention.deliveries") && problems[0].contains("14 days"), "{problems:?}");
    assert!(problems[1].contains("retention.batch"), "{problems:?}");
}

fn toml_defaults() -> Settings {
    service_kit::settings::load(dead_letter_replayer::DEFAULTS, None, "TRADEWIND_TEST_NOTHING").unwrap()
}

#[tokio::test]
async fn settings_of_which_no_client_can_be_made_are_wrong_settings() {
    let mut settings = settings(BusSettings::local("127.0.0.1:1"), StoreSettings::new(testkit::database().await));
    settings.bus.properties.insert("no.such.property".to_owned(), "1".into());
    let error = dead_letter_replayer::run(settings, Life::default()).await.unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Settings, "{error:#}");
}

#[tokio::test]
async fn a_target_that_the_settings_forget_is_an_account_that_does_not_balance() {
    let bench = start_after(
        "insert into router.output (out_id, ce_id, grp, topic, partition, \"offset\")
         values (gen_random_uuid(), gen_random_uuid(), 'order-router', 'tradewind.commands.erp.erp-main.v1', 0, 0),
                (gen_random_uuid(), gen_random_uuid(), 'order-router', 'tradewind.availability.v1', 0, 0)",
    )
    .await;
    let of = async |targets: &[TargetId]| {
        let accountant = Accountant::new(bench.store.clone(), bench.bus.clone(), targets).unwrap();
        testkit::eventually(DEADLINE, async || accountant.account().await).await
    };
    let forgot = of(&[]).await;
    assert_eq!((forgot.balances(), forgot.count("missing")), (false, 1), "{forgot:?}");
    let named = of(&["erp-main".parse().unwrap()]).await;
    assert!(named.balances(), "{named:?}");
}

#[tokio::test]
async fn an_audit_trail_that_somebody_changed_is_noticed() {
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    let keeper = Keeper::new(store.clone(), &BusSettings::local("127.0.0.1:1"), &[], retention_settings());
    for _ in 0..3 {
        sqlx::query("select letters.append_audit('ada', 'letter.replay', null, 'try', null)").execute(store.pool()).await.unwrap();
    }
    assert_eq!(keeper.verify_audit().await.unwrap(), None);
    sqlx::query("alter table letters.audit disable rule audit_no_update").execute(store.pool()).await.unwrap();
    sqlx::query("update letters.audit set actor = 'eve' where n = 2").execute(store.pool()).await.unwrap();
    assert_eq!(keeper.verify_audit().await.unwrap(), Some(2));
}

#[tokio::test]
async fn an_outcome_that_kafka_refuses_keeps_no_other_back_and_is_counted() {
    let bench = start().await;
    for (customer, id, bytes) in [("7", 1_u128, 8 << 20), ("8", 2, 1)] {
        let letter: Uuid = bench.bury(customer, id).await.parse().unwrap();
        let topic = bench.bus.topic(topics::OUTCOMES);
        let outcome: OutcomeOf = Arc::new(move |it| {
            let mut set = Headers::default();
            set.push(headers::CE_ID, Uuid::from_u128(90 + id).to_string());
            let (topic, key, value) = (topic.clone().into(), it.key.clone().into(), vec![b'x'; bytes].into());
            Some(OutRecord { topic, key, value, headers: set, timestamp_ms: 0 })
        });
        letters::discard(&bench.store, letter, "ada", "a test", DiscardScope::Release, None, outcome).await.unwrap();
    }
    let noted = async || sqlx::query_scalar::<_, Uuid>("select out_id from letters.output").fetch_all(bench.store.pool()).await.unwrap();
    testkit::eventually_eq(DEADLINE, vec![Uuid::from_u128(92)], noted).await;
    let untold = store::outbox::untold(&bench.store).await.unwrap();
    assert_eq!((untold[0].kind.as_str(), untold[0].records), ("outcomes", 1));
}

//! dead-letter-replayer: the operator's door to the dead letters.
//!
//! Reads and writes the `letters` schema; produces outcomes of what people did and a published copy of each letter. Replays
//! run in the group that failed, whose own drainer takes letters from the same tables. Besides, it draws the account up and
//! deletes what was settled long ago: work over all ledgers that belongs to no one group.

pub mod accounting;
pub mod api;
pub mod config;
pub mod operators;
pub mod outcomes;
pub mod relay;
pub mod retention;

use anyhow::Context as _;
use bus::{Producer, Role};
use contracts::proto::DESCRIPTORS;
use contracts::proto::replay::v1::replay_service_server::ReplayServiceServer;
use service_kit::{Ended, Life, ServiceInfo, Startup, Tasks};
use store::Store;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use accounting::Accountant;
use api::Api;
pub use config::Settings;
use operators::Operators;
use relay::Relay;
use retention::Keeper;

pub const DEFAULTS: &str = include_str!("../dead-letter-replayer.default.toml");

pub fn info() -> ServiceInfo {
    ServiceInfo {
        name: "dead-letter-replayer",
        about: "Lists, shows, replays and discards dead letters over gRPC, and adds up the account",
        version: env!("CARGO_PKG_VERSION"),
        defaults_toml: DEFAULTS,
        parts: vec![("librdkafka", bus::librdkafka_version())],
    }
}

pub async fn run(settings: Settings, life: Life) -> anyhow::Result<Ended> {
    let store = Store::open(&settings.store).await.map_err(Startup::refused("the database can't be reached"))?;
    let producer = Producer::new(&settings.bus, "dead-letter-replayer", Role::Relay)
        .map_err(Startup::settings("the Kafka producer could not be made"))?;
    let operators = Operators::read(&settings.api.operators).map_err(Startup::settings("api.operators"))?;
    let accountant = Accountant::new(store.clone(), settings.bus.clone(), &settings.relay.targets())?;
    let keeper = Keeper::new(store.clone(), &settings.bus, &settings.relay.targets(), settings.retention);
    let listen = settings.api.listen;
    let incoming = TcpIncoming::bind(listen).map_err(Startup::refused(format!("the API's address {listen} can't be opened")))?;

    let ready = life.readiness.latch("api");
    let mut tasks = Tasks::new(life.stop.clone());
    let api = Api { store: store.clone(), bus: settings.bus.clone() };
    tasks.spawn("api", serve(api, operators, incoming, life.stop.clone()));
    let relay = Relay { store: store.clone(), producer: producer.clone(), bus: settings.bus.clone(), interval: settings.relay.interval };
    let stop = life.stop.clone();
    tasks.spawn("relay", async move {
        relay.run(stop).await;
        anyhow::Ok(())
    });
    let (stop, interval) = (life.stop.clone(), settings.relay.account_interval);
    tasks.spawn("account", async move {
        accountant.run(interval, stop).await;
        anyhow::Ok(())
    });
    let stop = life.stop.clone();
    tasks.spawn("retention", async move {
        keeper.run(stop).await;
        anyhow::Ok(())
    });
    ready.release();

    let ended = tasks.run(settings.grace).await?;
    store.close().await;
    Ok(ended)
}

async fn serve(api: Api, operators: Operators, incoming: TcpIncoming, stop: CancellationToken) -> anyhow::Result<()> {
    let (health_reporter, health) = tonic_health::server::health_reporter();
    health_reporter.set_serving::<ReplayServiceServer<Api>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .context("the embedded descriptors are not usable")?;
    let letters = ReplayServiceServer::with_interceptor(api, move |request| operators.admit(request));
    Server::builder()
        .add_service(health)
        .add_service(reflection)
        .add_service(letters)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
        .context("the API failed")
}

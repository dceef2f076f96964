//! Everything that a run breaks: servers of its own, a proxy before each of them, the doubles, and two of each service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use e2e::{Installation, Parts, Process, Program, SHOP, Sweeps};
use sandbox::effects::Durability;
use sandbox::erp::{Dedupe, ErpDouble, ErpSettings, Item};
use sandbox::faults::Latency;
use sandbox::payloads::PayloadSettings;
use sandbox::shopify::{LogSettings, ShopDouble, ShopSettings, TOPICS, WebhookSettings};
use serde::{Deserialize, Serialize};
use service_kit::Exit;
use store::StoreSettings;
use testkit::Server;

use crate::proxy::Proxy;

/// A way between two parties, with a proxy on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edge {
    /// The shop's webhooks, to both doors in turn.
    Door,
    Kafka,
    Postgres,
    Erp,
    /// The shop's API.
    Shop,
}

impl Edge {
    pub(crate) const ALL: [Self; 5] = [Self::Door, Self::Kafka, Self::Postgres, Self::Erp, Self::Shop];
}

pub(crate) struct World {
    pub(crate) it: Installation,
    /// Its address for whoever may do everything.
    pub(crate) database: String,
    pub(crate) parts: Breakable,
}

/// What a fault is done to.
pub(crate) struct Breakable {
    pub(crate) kafka: Server,
    pub(crate) postgres: Server,
    pub(crate) edges: BTreeMap<Edge, Proxy>,
    /// Two of each service but for the replayer.
    processes: BTreeMap<(Program, Which), Process>,
    /// Processes that ended although nobody asked them to.
    pub(crate) fallen: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    First,
    Second,
}

impl World {
    /// With a shop that has subscribed, and nothing wrong yet. The doubles' logs go to the folder.
    pub(crate) async fn start(seed: u64, folder: &Path) -> anyhow::Result<Self> {
        let edges: BTreeMap<Edge, Proxy> = Edge::ALL.into_iter().map(|it| Ok((it, Proxy::open()?))).collect::<std::io::Result<_>>()?;
        let kafka = testkit::own::kafka_behind(edges[&Edge::Kafka].port()).await.context("Kafka is not here: run `make setup`")?;
        let postgres = testkit::own::postgres().await;
        let database = database_on(&postgres).await?;
        let (shop, erp) = doubles(seed, folder);
        let through = |edge: Edge, url: &str| -> anyhow::Result<String> {
            let server = address(url)?;
            edges[&edge].lead_to([server]);
            Ok(url.replace(&server.to_string(), &edges[&edge].address()))
        };
        through(Edge::Kafka, &kafka.url)?;
        through(Edge::Postgres, &postgres.url)?;
        let (shop_url, erp_url, erp_ids) = (through(Edge::Shop, &shop.base_url())?, through(Edge::Erp, &erp.url())?, erp.ids());
        let (brokers, database_port) = (edges[&Edge::Kafka].address(), Some(edges[&Edge::Postgres].port()));
        let (lease, sweeps) = (LEASE, Some(SWEEPS));
        let mut it = Installation::of(Parts {
            brokers,
            database: database.clone(),
            database_port,
            shop,
            shop_url,
            erp,
            erp_url,
            erp_ids,
            lease,
            sweeps,
        })
        .await;

        let mut processes = BTreeMap::new();
        for which in [Program::Ingest, Program::Router, Program::Adapter, Program::Stock] {
            processes.insert((which, Which::Second), it.another(which).await);
        }
        processes.extend(it.take_processes().into_iter().map(|(which, process)| ((which, Which::First), process)));
        let doors = processes.iter().filter(|((which, _), _)| *which == Program::Ingest).map(|(_, it)| address(it.door()));
        edges[&Edge::Door].lead_to(doors.collect::<anyhow::Result<Vec<_>>>()?);
        it.shop.subscribe(&format!("http://{}/webhooks/{SHOP}", edges[&Edge::Door].address()), &TOPICS);
        Ok(Self { it, database, parts: Breakable { kafka, postgres, edges, processes, fallen: Vec::new() } })
    }
}

impl Breakable {
    /// The only one where there are not two.
    pub(crate) fn process(&mut self, program: Program, which: Which) -> &mut Process {
        let which = if self.processes.contains_key(&(program, which)) { which } else { Which::First };
        self.processes.get_mut(&(program, which)).expect("there is one of each")
    }

    /// As Kubernetes does. Whoever finds at its start that something is away ends, and so does one whose Kafka client is broken for
    /// good; nobody else has a reason to.
    pub(crate) fn start_what_ended(&mut self) {
        for ((program, which), process) in &mut self.processes {
            let Some(status) = process.service().ended() else { continue };
            if status.code() != Some(Exit::Refused.code().into()) {
                self.fallen.push(format!("{} {which:?} ended by itself, with {status}", program.name()));
            }
            process.service().restart();
        }
    }

    /// All there are of one program.
    pub(crate) fn all_of(&mut self, program: Program) -> impl Iterator<Item = &mut Process> {
        self.processes.iter_mut().filter(move |((it, _), _)| *it == program).map(|(_, process)| process)
    }

    /// Every process of ours.
    pub(crate) fn processes(&mut self) -> impl Iterator<Item = (String, &mut Process)> {
        self.processes.iter_mut().map(|((program, which), process)| (format!("{} {which:?}", program.name()).to_lowercase(), process))
    }
}

/// A database with the product's schema.
async fn database_on(server: &Server) -> anyhow::Result<String> {
    let (place, _) = server.url.rsplit_once('/').context("an address of PostgreSQL ends in a database")?;
    let store = store::Store::open(&StoreSettings { connections_max: 1, ..StoreSettings::new(&server.url) }).await?;
    sqlx::raw_sql("create database tradewind").execute(store.pool()).await?;
    let database = format!("{place}/tradewind");
    store::migrate(&StoreSettings::new(&database)).await?;
    Ok(database)
}

/// The ERP takes a second sale of the same order: only our own care prevents one.
fn doubles(seed: u64, folder: &Path) -> (ShopDouble, ErpDouble) {
    let items = Item::of_the_demo().into_iter().map(|it| Item { on_hand: STOCK.into(), ..it }).collect();
    let erp = ErpSettings {
        items,
        dedupe: Dedupe::LookupOnly,
        latency: Latency::Fixed { ms: 3 },
        seed,
        log: Some(folder.join("erp.jsonl")),
        durability: Durability::Synced,
        ..ErpSettings::default()
    };
    let skus = erp.items.iter().map(|it| it.sku.clone()).collect();
    let shop = ShopSettings {
        webhooks: WebhookSettings { time_scale: 500.0, delete_failing: false, duplicates: 0.1, late: 0.05, ..WebhookSettings::default() },
        stock: STOCK,
        payloads: PayloadSettings { skus, seed, ..PayloadSettings::default() },
        log: Some(LogSettings { path: folder.join("shop.jsonl"), durability: Durability::Synced }),
        ..ShopSettings::default()
    };
    let shop = ShopDouble::start(shop).unwrap_or_else(|error| panic!("the sandbox shop: {error}"));
    (shop, ErpDouble::start(erp).unwrap_or_else(|error| panic!("the sandbox ERP: {error}")))
}

/// The host and port of a URL, or what stands there alone.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url.split_once("://").map_or(url, |it| it.1);
    let place = rest.split('/').next().unwrap_or(rest);
    let place = place.rsplit_once('@').map_or(place, |it| it.1);
    place.parse().with_context(|| format!("{url} names no address"))
}

/// Of claimed steps in the ERP. A killed adapter's steps go on when it is over, so it is short; nothing of ours is frozen for
/// as long, which an ERP without uniqueness of its own could not make good.
pub(crate) const LEASE: Duration = Duration::from_secs(16);

/// Of each item: no run sells as many, and a level that fell to zero would hide what was counted twice.
pub(crate) const STOCK: i64 = 1_000_000;

/// Often enough that every run has several. Only scans find what changed twice within a second and was told once.
const SWEEPS: Sweeps = Sweeps { interval: Duration::from_secs(20), settle: Duration::from_secs(5), scan_interval: Duration::from_secs(30) };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_urls() {
        for url in ["127.0.0.1:80", "http://127.0.0.1:80/a/b", "postgres://user@127.0.0.1:80/name"] {
            assert_eq!(address(url).unwrap(), SocketAddr::from(([127, 0, 0, 1], 80)));
        }
        assert!(address("http://nowhere").is_err());
    }
}

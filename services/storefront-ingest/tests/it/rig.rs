//! An installation: a shop, a broker, a database, and the service in this process or as one of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bus::{BusSettings, Consumer, Offsets, PartitionOffsets};
use bytes::Bytes;
use connector::Platforms;
use contracts::topics::{self, groups};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_kit::client::Outgoing;
use http_kit::{Client, Encoding, Exchange, Secrets};
use pipeline::{Record, Source as _, SourceEvent};
use sandbox::payloads::PayloadSettings;
use sandbox::shopify::{HMAC, Points, ShopDouble, ShopSettings, TOPIC, TRIGGERED_AT, WEBHOOK_ID, WebhookSettings};
use service_kit::settings::load_from;
use service_kit::{Ended, Life};
use store::account::{Account, Progress, Scope, account};
use store::{Store, StoreSettings};
use storefront_ingest::{DEFAULTS, Settings};
use tempfile::TempDir;
use testkit::{Server, Service, eventually};
use tokio::task::JoinHandle;

pub(super) const SOON: Duration = Duration::from_secs(90);
pub(super) const SECRET: &str = "sandbox-signing-secret";
const TOPICS: [&str; 4] = [topics::RAW, topics::ORDERS, topics::CUSTOMERS, topics::REFUNDS];

pub(super) struct Rig {
    pub(super) bus: BusSettings,
    pub(super) store: Store,
    pub(super) shop: ShopDouble,
    pub(super) url: String,
    /// Of the admin port, when the service is a process.
    pub(super) admin: u16,
    database: String,
    door: u16,
    folder: TempDir,
}

/// The service in this process.
pub(super) struct Running {
    pub(super) life: Life,
    task: JoinHandle<anyhow::Result<Ended>>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Hours of retries pass in seconds.
pub(super) fn hasty() -> WebhookSettings {
    WebhookSettings { time_scale: 2_000.0, ..WebhookSettings::default() }
}

pub(super) fn platforms() -> Platforms {
    Platforms::default().with_storefront(connector_shopify::Shopify)
}

/// Topics of an installation in the names and sizes of a test.
pub(super) fn table() -> Vec<topics::Topic> {
    let wanted = topics::table([]).into_iter().filter(|it| TOPICS.contains(&it.name.as_str()));
    wanted.map(|it| topics::Topic { partitions: 2, ..it }).collect()
}

async fn bus_on(brokers: String) -> BusSettings {
    let bus = BusSettings::local(brokers).with_prefix(testkit::prefix());
    bus::topics::apply(&bus, &table(), 1, 1).await.unwrap();
    bus
}

impl Rig {
    /// On the shared Kafka. `None`: it is not installed.
    pub(super) async fn new() -> Option<Self> {
        Some(Self::on(testkit::kafka().await?, hasty()).await)
    }

    /// On somebody's own Kafka.
    pub(super) async fn on(brokers: String, webhooks: WebhookSettings) -> Self {
        Self::with(bus_on(brokers).await, testkit::database().await, webhooks).await
    }

    /// On somebody's own PostgreSQL as well, which is empty.
    pub(super) async fn beside(brokers: String, database: &Server, webhooks: WebhookSettings) -> Self {
        store::migrate(&StoreSettings::new(&database.url)).await.unwrap();
        Self::with(bus_on(brokers).await, database.url.clone(), webhooks).await
    }

    pub(super) async fn with(bus: BusSettings, database: String, webhooks: WebhookSettings) -> Self {
        let store = Store::open_lazily(&StoreSettings::new(&database)).unwrap();
        let (door, admin) = (testkit::free_port(), testkit::free_port());
        let url = format!("http://127.0.0.1:{door}/webhooks/shop-eu");
        let payloads = PayloadSettings { foreign: None, ..PayloadSettings::default() };
        let shop = ShopDouble::start(ShopSettings {
            door: Some(url.clone()),
            payloads,
            webhooks,
            // What is tested here are not its limits.
            points: Points { maximum: 1_000_000, restore_rate: 100_000 },
            ..ShopSettings::default()
        })
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let rig = Self { bus, store, shop, url, admin, database, door, folder };
        rig.secrets(&[SECRET]);
        rig
    }

    /// The service's secrets, for its next start.
    pub(super) fn secrets(&self, secrets: &[&str]) {
        std::fs::write(self.file("token"), "sandbox-access-token").unwrap();
        for (n, secret) in secrets.iter().enumerate() {
            self.secret(n, secret);
        }
        let files: Vec<_> = (0..secrets.len()).map(|n| self.file(&format!("secret{n}"))).collect();
        let text = format!(
            "grace = \"10s\"\n\
             [admin]\nlisten = \"127.0.0.1:{}\"\n\
             [bus]\nbrokers = \"{}\"\nprefix = \"{}\"\n\
             [bus.properties]\n\"session.timeout.ms\" = \"6000\"\n\
             [store]\nurl = \"{}\"\n\
             [door]\nlisten = \"127.0.0.1:{}\"\n\
             [mapper]\nreread_interval = \"100ms\"\nspool_interval = \"100ms\"\n\
             [sweep]\nenabled = false\n\
             [connections.shop-eu]\nplatform = \"shopify\"\nshop = \"example.myshopify.com\"\napi_url = \"{}\"\n\
             allow_private = [\"127.0.0.0/8\"]\naccess_token_file = {:?}\nwebhook_secret_files = {files:?}\n\
             callback_url = \"{}\"\n",
            self.admin,
            self.bus.brokers,
            self.bus.prefix,
            self.database,
            self.door,
            self.shop.base_url(),
            self.file("token"),
            self.url,
        );
        std::fs::write(self.file("config.toml"), text).unwrap();
    }

    /// The text of a file of secrets, changed in one step while the service runs.
    pub(super) fn secret(&self, n: usize, text: &str) {
        let beside = self.file("next-secret");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.file(&format!("secret{n}"))).unwrap();
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn config(&self) -> String {
        std::fs::read_to_string(self.file("config.toml")).unwrap()
    }

    pub(super) fn settings(&self) -> Settings {
        let path = self.file("config.toml");
        let loaded = load_from::<Settings, _, _>(DEFAULTS, Some(Path::new(&path)), "TRADEWIND", [("", ""); 0]).unwrap();
        // An embedded broker's settings are more than what a file says.
        Settings { bus: self.bus.clone(), ..loaded.settings }
    }

    pub(super) async fn start(&self) -> Running {
        self.start_with(self.settings()).await
    }

    pub(super) async fn start_with(&self, settings: Settings) -> Running {
        let life = Life::default();
        let task = tokio::spawn(storefront_ingest::run(settings, platforms(), life.clone()));
        self.door_is_open().await;
        Running { life, task }
    }

    /// As a process of its own.
    pub(super) async fn process(&self) -> Service {
        self.process_with(&[]).await
    }

    pub(super) async fn process_with(&self, environment: &[(&str, &str)]) -> Service {
        let environment = [&[("TRADEWIND__TELEMETRY__LEVEL", "info")], environment].concat();
        let service = Service::spawn(testkit::binary("storefront-ingest"), &self.config(), &environment);
        self.door_is_open().await;
        service
    }

    pub(super) async fn door_is_open(&self) {
        eventually(SOON, async || tokio::net::TcpStream::connect(("127.0.0.1", self.door)).await.map(drop)).await;
    }

    pub(super) fn door(&self) -> u16 {
        self.door
    }

    /// A signed delivery of an order with this id, and nothing that maps.
    pub(super) async fn deliver(&self, id: &str, body: impl Into<Bytes>) -> Answer {
        let body = body.into();
        let headers = [(TOPIC, "orders/create"), (WEBHOOK_ID, id), (TRIGGERED_AT, "2026-09-21T10:00:00Z"), (HMAC, &sign(SECRET, &body))];
        post(&self.url, &headers, body).await
    }

    /// Everything that was acked is mapped, and nothing is on its way. Returns the account.
    pub(super) async fn settled(&self) -> Account {
        eventually(SOON, async || {
            let account = self.account().await?;
            let on_the_way: Vec<_> = account.lines.iter().filter(|it| it.group == groups::MAPPER && it.state == "in_flight").collect();
            let behind = self.behind().await?;
            if on_the_way.is_empty() && behind == 0 { Ok(account) } else { Err(format!("{on_the_way:?}, {behind} behind")) }
        })
        .await
    }

    async fn behind(&self) -> Result<i64, String> {
        let offsets = self.offsets(groups::MAPPER, &self.bus.topic(topics::RAW)).await?;
        Ok(offsets.values().map(|it| it.end - it.committed.unwrap_or(it.start)).sum())
    }

    /// How many raw records the mapper's group has passed.
    pub(super) async fn committed(&self) -> i64 {
        let offsets = eventually(SOON, async || self.offsets(groups::MAPPER, &self.bus.topic(topics::RAW)).await).await;
        offsets.values().map(|it| it.committed.unwrap_or(it.start) - it.start).sum()
    }

    /// A broker that has just started may not know its groups yet.
    async fn offsets(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, PartitionOffsets>, String> {
        Offsets::of_group(&self.bus, group).unwrap().read(topic, SOON).await.map_err(|error| format!("{error:?}"))
    }

    pub(super) async fn account(&self) -> Result<Account, String> {
        let (mut progress, mut consumers) = (Vec::new(), Vec::new());
        for (topic, group) in topics::consumers([]).into_iter().filter(|(topic, _)| TOPICS.contains(&topic.as_str())) {
            let full = self.bus.topic(&topic);
            let offsets = self.offsets(&group, &full).await?;
            progress.extend(offsets.into_iter().map(|(partition, it)| Progress {
                group: group.clone(),
                topic: full.clone(),
                partition,
                committed: it.committed,
                start: it.start,
                end: it.end,
            }));
            if topic != topics::RAW {
                consumers.push((full, group));
            }
        }
        let scope = Scope {
            raw_topic: self.bus.topic(topics::RAW),
            mapper: groups::MAPPER.to_owned(),
            consumers,
            unanswered: Vec::new(),
            progress,
        };
        account(&self.store, &scope).await.map_err(|error| error.to_string())
    }

    /// The first records of a topic, by partition as they lie there.
    pub(super) async fn records(&self, topic: &str, count: usize) -> Vec<Record> {
        let group = testkit::prefix();
        let (mut consumer, handle) = Consumer::start(&self.bus, "test", &group, &[&self.bus.topic(topic)]).unwrap();
        let mut records = Vec::new();
        while records.len() < count {
            let next = tokio::time::timeout(SOON, consumer.next()).await;
            match next.unwrap_or_else(|_| panic!("{} of {count} records", records.len())).expect("the consumer goes on") {
                SourceEvent::Record(record) => records.push(record),
                SourceEvent::Revoked { answer, .. } => drop(answer.send(Vec::new())),
                SourceEvent::Assigned(_) | SourceEvent::Lost(_) => {}
            }
        }
        drop(consumer);
        handle.close(SOON).await;
        records
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }

    /// Distinct deliveries that the mapper has recorded.
    pub(super) async fn distinct(&self) -> i64 {
        self.count("select count(distinct ce_id) from ingest.raw_record").await
    }
}

impl Running {
    /// With nothing left over.
    pub(super) async fn stop(mut self) {
        self.life.stop.cancel();
        let ended = tokio::time::timeout(SOON, &mut self.task).await.expect("it stops").unwrap().unwrap();
        assert_eq!(ended.left_over, 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.life.stop.cancel();
    }
}

pub(super) fn sign(secret: &str, body: &[u8]) -> String {
    Secrets::new([secret.into()]).unwrap().sign(Encoding::Base64, &[body])
}

pub(super) async fn post(url: &str, headers: &[(HeaderName, &str)], body: impl Into<Bytes>) -> Answer {
    send(Method::POST, url, headers, Some(body.into())).await
}

pub(super) async fn send(method: Method, url: &str, headers: &[(HeaderName, &str)], body: Option<Bytes>) -> Answer {
    send_by(&client(), method, url, headers, body).await
}

/// For many requests: to make one takes longer than to use it.
pub(super) fn client() -> Client {
    let settings = http_kit::client::Settings {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        read: SOON,
        total: SOON,
        ..http_kit::client::Settings::default()
    };
    Client::new(&settings).unwrap()
}

pub(super) async fn send_by(client: &Client, method: Method, url: &str, headers: &[(HeaderName, &str)], body: Option<Bytes>) -> Answer {
    let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
    let outgoing = Outgoing { method, url: url.to_owned(), headers, body, not_after: None };
    match client.send(outgoing).await {
        Exchange::Answered { status, headers, body } => Answer { status, headers, body },
        other => panic!("{other:?}"),
    }
}

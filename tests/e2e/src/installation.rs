//! One installation: its services as processes, its platforms in this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bus::BusSettings;
use dead_letter_replayer::accounting::Accountant;
use sandbox::erp::{Dedupe, ErpDouble, ErpSettings};
use sandbox::faults::Latency;
use sandbox::payloads::PayloadSettings;
use sandbox::shopify::{ShopDouble, ShopSettings, TOPICS, WebhookSettings};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::account::{Account, Scope};
use store::roles::Role;
use store::{Owner, Store, StoreSettings};
use tempfile::TempDir;
use testkit::{Logins, Service, Tryton, eventually};

use crate::SOON;
use crate::process::Process;
use crate::programs::program;

/// Names that `tradewind local-config` gives to the one shop and the one ERP.
pub const SHOP: &str = "shop-eu";
pub const ERP: &str = "erp-main";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    Ingest,
    Router,
    Adapter,
    Stock,
    Replayer,
}

impl Program {
    pub const ALL: [Self; 5] = [Self::Ingest, Self::Router, Self::Adapter, Self::Stock, Self::Replayer];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "storefront-ingest",
            Self::Router => "order-router",
            Self::Adapter => "erp-adapter",
            Self::Stock => "inventory-sync",
            Self::Replayer => "dead-letter-replayer",
        }
    }

    /// What it logs in to the database as.
    fn role(self) -> Role {
        match self {
            Self::Ingest => Role::Owner(Owner::Ingest),
            Self::Router => Role::Owner(Owner::Router),
            Self::Adapter => Role::Owner(Owner::Effects),
            Self::Stock => Role::Owner(Owner::Stock),
            Self::Replayer => Role::Replayer,
        }
    }
}

/// Everything that an installation is put together from.
pub struct Parts {
    pub brokers: String,
    /// Of the schema's owner, with the product's schema in it.
    pub database: String,
    /// Where services look for PostgreSQL instead of there.
    pub database_port: Option<u16>,
    pub shop: ShopDouble,
    pub shop_url: String,
    pub erp: ErpDouble,
    pub erp_url: String,
    pub erp_ids: Value,
    /// As in [`Setup`].
    pub lease: Duration,
    /// `None`: as the product comes.
    pub sweeps: Option<Sweeps>,
}

/// How the shop is looked at for what its webhooks do not tell.
#[derive(Debug, Clone, Copy)]
pub struct Sweeps {
    pub interval: Duration,
    /// How long a webhook may be on its way.
    pub settle: Duration,
    pub scan_interval: Duration,
}

impl Sweeps {
    /// By the names of the product's settings.
    fn settings(&self) -> [(&'static str, Duration); 3] {
        [("INTERVAL", self.interval), ("SETTLE", self.settle), ("SCAN_INTERVAL", self.scan_interval)]
    }
}

/// What a test is about; the rest is as everywhere.
pub struct Setup {
    pub erp: ErpSettings,
    pub webhooks: WebhookSettings,
    /// Of claimed steps in the ERP. A killed adapter's claims go on when they are over. Half of it is what one request may take
    /// before it is doubted: an ERP without uniqueness of its own would then be asked twice.
    pub lease: Duration,
    /// A real ERP instead of the double.
    pub tryton: Option<Tryton>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            // It takes a second sale of the same order: only our own care prevents one.
            erp: ErpSettings { dedupe: Dedupe::LookupOnly, latency: Latency::Fixed { ms: 3 }, ..ErpSettings::default() },
            // Retries of hours pass in seconds.
            webhooks: WebhookSettings { time_scale: 2_000.0, delete_failing: false, ..WebhookSettings::default() },
            lease: Duration::from_secs(60),
            tryton: None,
        }
    }
}

pub struct Installation {
    pub shop: ShopDouble,
    pub erp: ErpDouble,
    /// With the rights of the schema's owner, which no service has.
    pub store: Store,
    pub bus: BusSettings,
    logins: Logins,
    accountant: Accountant,
    services: BTreeMap<Program, Process>,
    lease: Duration,
    sweeps: Option<Sweeps>,
    api: u16,
    prefix: String,
    dir: TempDir,
}

impl Installation {
    /// On the servers that all tests share, with every service running. `None`: there is no Kafka here, and the test has to return.
    pub async fn start(setup: Setup) -> Option<Self> {
        let brokers = testkit::kafka().await?;
        let database = testkit::database().await;
        let (lease, tryton) = (setup.lease, setup.tryton.clone());
        let (shop, erp) = doubles(setup);
        let (erp_url, erp_ids) = tryton.map_or_else(|| (erp.url(), erp.ids()), |it| (it.url, it.ids));
        let shop_url = shop.base_url();
        let parts = Parts { brokers, database, database_port: None, shop, shop_url, erp, erp_url, erp_ids, lease, sweeps: None };
        let installation = Self::of(parts).await;
        let door = installation.services[&Program::Ingest].door();
        installation.shop.subscribe(&format!("http://{door}/webhooks/{SHOP}"), &TOPICS);
        Some(installation)
    }

    /// With every service running and ready. The shop has no subscription yet.
    pub async fn of(parts: Parts) -> Self {
        let Parts { brokers, database, database_port, shop, shop_url, erp, erp_url, erp_ids, lease, sweeps } = parts;
        let (dir, prefix) = (tempfile::tempdir().unwrap(), testkit::prefix());
        configure(dir.path(), &brokers, &database, &shop, &shop_url, &erp_url, &erp_ids).await;

        let store = Store::open(&StoreSettings { connections_max: 2, ..StoreSettings::new(&database) }).await.unwrap();
        let bus = BusSettings::local(&brokers).with_prefix(&prefix);
        let accountant = Accountant::new(store.clone(), bus.clone(), &[ERP.parse().unwrap()]).unwrap();
        let logins = Logins::of(&database).await.at(database_port);
        let (api, services) = (testkit::free_port(), BTreeMap::new());
        // Both stay until the servers end: for whoever wants to know why a test failed.
        eprintln!("topics {prefix}*, {database}");
        let mut installation = Self { shop, erp, store, bus, logins, accountant, services, lease, sweeps, api, prefix, dir };
        let applied = installation.tradewind(&["topics", "apply"]).await;
        assert_eq!(applied.code, 0, "{applied:?}");
        for which in Program::ALL {
            let process = installation.launch(which).await;
            installation.services.insert(which, process);
        }
        for process in installation.services.values_mut() {
            process.ready().await;
        }
        installation
    }

    /// A process with this installation's settings. Its admin port is one of its own, so that there may be several.
    async fn launch(&self, which: Program) -> Process {
        let path = program(which.name()).await;
        let config = self.file(&format!("{}.toml", which.name()));
        let loopback = |port: u16| format!("127.0.0.1:{port}");
        let (admin, door) = (loopback(testkit::free_port()), loopback(testkit::free_port()));
        // Where somebody writes one, this very process is meant.
        let kill_file = self.file(&format!("{}-{admin}.kill", which.name()));
        let builder = Service::builder(path)
            .arg("--config")
            .arg(config.to_string_lossy())
            .env(kill_point::FILE, kill_file.to_string_lossy())
            .env("TRADEWIND__ADMIN__LISTEN", &admin)
            .env("TRADEWIND__STORE__URL", self.logins.url(which.role()))
            .env("TRADEWIND__BUS__PREFIX", &self.prefix)
            .env("TRADEWIND__TELEMETRY__LEVEL", std::env::var("TRADEWIND_LOG").unwrap_or_else(|_| "info".to_owned()))
            // A killed process is missed after the shortest time that brokers allow.
            .env("TRADEWIND__BUS__PROPERTIES__SESSION.TIMEOUT.MS", "'6000'")
            .env("TRADEWIND__BUS__PROPERTIES__HEARTBEAT.INTERVAL.MS", "'1000'");
        let builder = match which {
            Program::Ingest => {
                let millis = |it: Duration| format!("{}ms", it.as_millis());
                let sweeps = self.sweeps.as_ref().map(Sweeps::settings);
                let builder = builder.env("TRADEWIND__DOOR__LISTEN", &door);
                sweeps.into_iter().flatten().fold(builder, |it, (key, value)| it.env(&format!("TRADEWIND__SWEEP__{key}"), millis(value)))
            }
            Program::Router | Program::Stock => builder,
            Program::Adapter => builder
                // The double does nothing late.
                .env("TRADEWIND__TARGETS__ERP-MAIN__LOOK_AFTER", "2s")
                .env("TRADEWIND__TARGETS__ERP-MAIN__LEASE", format!("{}ms", self.lease.as_millis()))
                .env("TRADEWIND__TARGETS__ERP-MAIN__LOOK_GAP", "100ms")
                .env("TRADEWIND__TARGETS__ERP-MAIN__STOCK_INTERVAL", "200ms"),
            Program::Replayer => builder.env("TRADEWIND__API__LISTEN", loopback(self.api)),
        };
        Process::new(builder.start(), admin, door, kill_file)
    }

    /// The process of a service that was started first.
    pub fn process(&mut self, which: Program) -> &mut Process {
        self.services.get_mut(&which).expect("all were started")
    }

    /// Gives all of its processes away.
    pub fn take_processes(&mut self) -> BTreeMap<Program, Process> {
        std::mem::take(&mut self.services)
    }

    /// One more process of a service, ready.
    pub async fn another(&self, which: Program) -> Process {
        let mut process = self.launch(which).await;
        process.ready().await;
        process
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The operator's tool, as a process of its own.
    pub async fn tradewind(&self, arguments: &[&str]) -> Said {
        let mut command = tokio::process::Command::new(program("tradewind").await);
        let output = command
            .arg("--config")
            .arg(self.file("tradewind.toml"))
            .args(arguments)
            .env("TRADEWIND__STORE__URL", self.logins.url(Role::Reader))
            .env("TRADEWIND__BUS__PREFIX", &self.prefix)
            .env("TRADEWIND__API__URL", format!("http://127.0.0.1:{}", self.api))
            .output()
            .await
            .unwrap();
        Said::from(&output)
    }

    pub async fn account(&self) -> Account {
        self.accountant.account().await.unwrap()
    }

    /// The same, where Kafka or PostgreSQL may be away.
    pub async fn try_account(&self) -> Result<Account, String> {
        self.accountant.account().await.map_err(|it| it.to_string())
    }

    /// How far each group has come.
    pub async fn scope(&self) -> Result<Scope, String> {
        self.accountant.scope().await.map_err(|it| it.to_string())
    }

    /// Waits until the shop has sent everything and nothing of it is in flight any more.
    #[track_caller]
    pub fn settled(&self) -> impl Future<Output = Account> {
        self.settled_but(0)
    }

    /// The same, with so many that wait for something that is yet to happen.
    #[track_caller]
    pub fn settled_but(&self, waiting: i64) -> impl Future<Output = Account> {
        eventually(SETTLED, async move || self.has_settled(waiting).await)
    }

    /// Whether it has by now; otherwise, what is still to come.
    pub async fn has_settled(&self, waiting: i64) -> Result<Account, String> {
        self.shop.settled(Duration::from_secs(10)).await.map_err(|it| it.to_string())?;
        // Between two accounts that are the same: what is read again becomes a delivery, which the account knows of, and a
        // delivery may ask for another reading while the first account is drawn up.
        let before = self.try_account().await?;
        if self.count("select count(*) from ingest.reread").await > 0 {
            return Err("orders are to be read again".to_owned());
        }
        let account = self.try_account().await?;
        if before != account {
            return Err("something happened meanwhile".to_owned());
        }
        let in_flight: Vec<_> = account.lines.iter().filter(|it| it.state == "in_flight").collect();
        if in_flight.iter().map(|it| it.count).sum::<i64>() == waiting { Ok(account) } else { Err(format!("{in_flight:?}")) }
    }

    /// What cannot be applied and waits for somebody, as `tradewind dlq list` tells it.
    pub async fn letters(&self) -> Vec<Value> {
        let listed = self.tradewind(&["--json", "dlq", "list"]).await.json();
        listed.as_array().expect("a list of letters").clone()
    }

    /// Waits for the dead letter of this code, and returns it.
    #[track_caller]
    pub fn dead(&self, code: &'static str) -> impl Future<Output = Value> {
        eventually(SOON, async move || {
            let letters = self.letters().await;
            let found = letters.iter().find(|it| it["state"] == "dead" && it["code"] == code).cloned();
            found.ok_or(letters)
        })
    }

    /// Of one number that a query gives.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }

    /// Of one text that a query gives.
    pub async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }

    /// An order's row in the router's book.
    pub async fn life(&self, order: u64) -> Option<Life> {
        let sql = "select stage, display_number, erp_id, erp_number, erp_confirmed from router.life where aggregate = $1";
        sqlx::query_as(sql).bind(key(order)).fetch_optional(self.store.pool()).await.unwrap()
    }
}

/// What the router knows of an order.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Life {
    pub stage: String,
    pub display_number: String,
    pub erp_id: Option<String>,
    pub erp_number: Option<String>,
    pub erp_confirmed: bool,
}

/// The aggregate key of an order of the shop.
pub fn key(order: u64) -> String {
    format!("{SHOP}/order/{order}")
}

/// What a command printed.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    fn from(output: &std::process::Output) -> Self {
        let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What `--json` printed, of a command that ended well.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A shop and an ERP that know the same items.
pub fn doubles(setup: Setup) -> (ShopDouble, ErpDouble) {
    let skus = setup.erp.items.iter().map(|it| it.sku.clone()).collect();
    let payloads = PayloadSettings { skus, ..PayloadSettings::default() };
    let shop = ShopSettings { webhooks: setup.webhooks, stock: 1_000, payloads, ..ShopSettings::default() };
    (ShopDouble::start(shop).unwrap(), ErpDouble::start(setup.erp).unwrap())
}

/// Writes the settings files, as `make up` does it.
pub async fn configure(dir: &Path, brokers: &str, database: &str, shop: &ShopDouble, shop_url: &str, erp: &str, ids: &Value) {
    let settings = shop.settings();
    let access = json!({
        "domain": settings.shop_domain,
        "url": shop_url,
        "access_token": settings.access_token.expose_secret(),
        "webhook_secret": settings.secret.expose_secret(),
        "location": shop.location_id().to_string(),
    });
    let (shop_file, ids_file) = (dir.join("shop.json"), dir.join("ids.json"));
    std::fs::write(&shop_file, access.to_string()).unwrap();
    std::fs::write(&ids_file, ids.to_string()).unwrap();
    let mut command = tokio::process::Command::new(program("tradewind").await);
    command.arg("local-config").arg("--dir").arg(dir).arg("--shop").arg(shop_file).arg("--erp-ids").arg(ids_file);
    // The ports are replaced one by one: free ones are rarely neighbours.
    command.args(["--brokers", brokers, "--database", database, "--erp-url", erp, "--base-port", "1024"]);
    let said = Said::from(&command.output().await.unwrap());
    assert_eq!(said.code, 0, "{said:?}");
}

const SETTLED: Duration = Duration::from_secs(240);

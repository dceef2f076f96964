//! All of the product in one process: embedded broker, private database, sandbox platforms, every service.
//!
//! It differs from production in its addresses only. The embedded broker forgets everything when it ends, so each start takes
//! a new database.

mod database;
pub(crate) mod demo;
pub(crate) mod sandboxes;
mod services;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bus::embedded::Embedded;
use bus::fullness::PARTITION_BYTES_SAFE;
use contracts::topics;
use sandbox::erp::ErpDouble;
use sandbox::shopify::ShopDouble;
use store::{Store, StoreSettings};

use crate::args::Dev;
use crate::installation::{self, ERP, Parts, Ports};
use database::Database;
use services::Services;
pub(crate) use services::platforms;

/// A running installation.
pub(crate) struct Running {
    pub(crate) shop: ShopDouble,
    pub(crate) erp: ErpDouble,
    pub(crate) settings: crate::config::Settings,
    pub(crate) store: Store,
    pub(crate) ports: Ports,
    pub(crate) config: PathBuf,
    services: Services,
    database: Database,
    broker: Embedded,
    _telemetry: telemetry::Guard,
}

impl Running {
    pub(crate) async fn start(args: &Dev) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&args.dir).with_context(|| format!("{} can't be made", args.dir.display()))?;
        let telemetry = telemetry::init(&services::telemetry_settings(args.demo), "tradewind-dev").context("telemetry")?;
        let target = ERP.parse().expect("our own name is one");
        let table = topics::table([&target]).into_iter().map(|it| (it.name, it.partitions)).collect();
        let broker = Embedded::start(table).context("the embedded broker")?;
        let database = Database::new(args).await?;
        let (shop, erp) = (sandboxes::start_shop(args.seed, 0)?, sandboxes::start_erp(args.seed)?);

        let ports = Ports::free().context("free ports")?;
        shop.subscribe(&format!("http://127.0.0.1:{}/webhooks/{}", ports.door, installation::SHOP), &sandbox::shopify::TOPICS);
        let parts = Parts {
            brokers: broker.brokers.clone(),
            database: database.url.clone(),
            shop: sandboxes::shop_access(&shop),
            erp: sandboxes::erp_access(&erp)?,
        };
        let files = installation::write(&args.dir, &parts, ports, Some(PARTITION_BYTES_SAFE))?;
        let settings = service_kit::settings::load(crate::config::DEFAULTS, Some(&files.cli), NO_ENVIRONMENT)?;
        let store = Store::open(&StoreSettings { connections_max: 2, ..StoreSettings::new(&database.url) }).await?;
        let services = Services::start(&files, &broker.settings(""))?;
        services.ready(READY).await?;
        Ok(Self { shop, erp, settings, store, ports, config: files.cli, services, database, broker, _telemetry: telemetry })
    }

    pub(crate) fn addresses(&self) -> String {
        format!(
            "running:\n  door       http://127.0.0.1:{}/webhooks/{}\n  shop       {}\n  ERP        {}\n  letters    http://127.0.0.1:{} (gRPC)\n  database   {}\n  broker     {}\n  commands   export TRADEWIND_CONFIG={}",
            self.ports.door,
            installation::SHOP,
            self.shop.base_url(),
            self.erp.base_url(),
            self.ports.api,
            self.database.url,
            self.broker.brokers,
            self.config.display(),
        )
    }

    /// Says which service ended though nobody stopped it.
    pub(crate) async fn failed(&self) -> String {
        self.services.failed().await
    }

    pub(crate) async fn stop(self) {
        self.services.stop().await;
        self.store.close().await;
        self.shop.stop().await;
        self.erp.stop().await;
        self.database.stop().await;
    }
}

/// Variables of the surroundings must not move a sandbox.
const NO_ENVIRONMENT: &str = "TRADEWIND_DEV";
const READY: Duration = Duration::from_secs(60);

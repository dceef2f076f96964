//! A small installation of one shop and one ERP, as the settings files that its services read: for `dev`, and for the local
//! stack of real parts.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::{Table, toml};

/// The one storefront connection.
pub(crate) const SHOP: &str = "shop-eu";
/// The one ERP target.
pub(crate) const ERP: &str = "erp-main";
/// What the ERP's warehouse is called in stock levels.
const WAREHOUSE: &str = "main";

/// The parts that the services talk to.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) brokers: String,
    pub(crate) database: String,
    pub(crate) shop: Shop,
    pub(crate) erp: Erp,
}

/// How a sandbox shop is reached, as `tradewind --json sandbox` prints it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shop {
    pub(crate) domain: String,
    pub(crate) url: String,
    pub(crate) access_token: String,
    pub(crate) webhook_secret: String,
    /// The shop's location that the warehouse is shown at.
    pub(crate) location: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Erp {
    pub(crate) url: String,
    pub(crate) ids: ErpIds,
    /// Requests at once, if not as many as the adapter does by itself.
    pub(crate) concurrency: Option<u16>,
}

/// Records of a Tryton database, as the local setup and the sandbox write them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ErpIds {
    company: i64,
    web_shop: i64,
    warehouse: i64,
    payment_term: i64,
    carrier: i64,
    shipping_product: i64,
    rounding_product: i64,
    /// By percentage.
    taxes: std::collections::BTreeMap<String, i64>,
    adapter: ErpUser,
}

#[derive(Debug, Clone, Deserialize)]
struct ErpUser {
    login: String,
    password: String,
}

impl ErpIds {
    pub(crate) fn read(value: Value) -> anyhow::Result<Self> {
        serde_json::from_value(value).context("the ERP's ids are not as the local setup writes them")
    }
}

/// Addresses of the services; free ones of this moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) door: u16,
    pub(crate) api: u16,
    /// Admin ports: ingest, router, adapter, stock, replayer.
    pub(crate) admin: [u16; 5],
}

impl Ports {
    pub(crate) fn free() -> io::Result<Self> {
        // All are held until the last is known, so that none is given twice.
        let held = (0..7).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
        let ports = held.iter().map(|it| Ok(it.local_addr()?.port())).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { door: ports[0], api: ports[1], admin: [ports[2], ports[3], ports[4], ports[5], ports[6]] })
    }
}

impl Ports {
    /// One after the other from `base`, for a stack whose addresses people remember.
    pub(crate) fn from(base: u16) -> Self {
        Self { door: base, api: base + 1, admin: [base + 2, base + 3, base + 4, base + 5, base + 6] }
    }
}

/// Where the settings files of an installation are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) ingest: PathBuf,
    pub(crate) router: PathBuf,
    pub(crate) adapter: PathBuf,
    pub(crate) stock: PathBuf,
    pub(crate) replayer: PathBuf,
    /// Of the commands.
    pub(crate) cli: PathBuf,
}

/// Writes secrets, rules and a settings file for each service into `dir`.
pub(crate) fn write(dir: &Path, parts: &Parts, ports: Ports, embedded_bytes_max: Option<u64>) -> anyhow::Result<Files> {
    let writer = Writer { dir: dir.to_owned() };
    let shop = writer.shop(&parts.shop)?;
    let mut erp = writer.erp(&parts.erp)?;
    if let Some(concurrency) = parts.erp.concurrency {
        erp.insert("concurrency".to_owned(), i64::from(concurrency).into());
    }
    let rules = writer.text("rules.toml", RULES)?;
    let (brokers, database) = (parts.brokers.as_str(), parts.database.as_str());
    let loopback = |port: u16| format!("127.0.0.1:{port}");
    let common = |admin: u16| {
        let listen = loopback(admin);
        toml! {
            [admin]
            listen = listen
            [bus]
            brokers = brokers
            [store]
            url = database
        }
    };

    let mut ingest = common(ports.admin[0]);
    let mut door = Table::new();
    door.insert("listen".to_owned(), loopback(ports.door).into());
    if let Some(limit) = embedded_bytes_max {
        door.insert("partition_bytes_max".to_owned(), i64::try_from(limit)?.into());
    }
    ingest.insert("door".to_owned(), door.into());
    ingest.insert("connections".to_owned(), named(SHOP, shop.clone()));

    let mut router = common(ports.admin[1]);
    router.insert("targets".to_owned(), vec![ERP].into());
    router.insert("rules".to_owned(), named("file", absolute(&rules)?));
    router.insert("customers".to_owned(), named("targets", vec![ERP]));

    let mut adapter = common(ports.admin[2]);
    adapter.insert("targets".to_owned(), named(ERP, erp));

    let mut stock = common(ports.admin[3]);
    stock.insert("connections".to_owned(), named(SHOP, shop));
    let mut levels = Table::new();
    levels.insert("targets".to_owned(), vec![ERP].into());
    // The sandbox shop delivers within a second.
    levels.insert("drift_wait".to_owned(), "5s".into());
    levels.insert("location_map".to_owned(), named(SHOP, named(ERP, named(WAREHOUSE, parts.shop.location.clone()))));
    stock.insert("stock".to_owned(), levels.into());

    let mut replayer = common(ports.admin[4]);
    replayer.insert("api".to_owned(), named("listen", loopback(ports.api)));
    replayer.insert("relay".to_owned(), named("targets", vec![ERP]));

    let url = format!("http://{}", loopback(ports.api));
    let cli = toml! {
        [bus]
        brokers = brokers
        [store]
        url = database
        [api]
        url = url
        [installation]
        targets = [ERP]
        replication = 1
        min_insync = 1
    };
    Ok(Files {
        ingest: writer.table("storefront-ingest.toml", &ingest)?,
        router: writer.table("order-router.toml", &router)?,
        adapter: writer.table("erp-adapter.toml", &adapter)?,
        stock: writer.table("inventory-sync.toml", &stock)?,
        replayer: writer.table("dead-letter-replayer.toml", &replayer)?,
        cli: writer.table("tradewind.toml", &cli)?,
    })
}

/// Everything of the one shop goes to the one ERP; what is not paid waits there as a quotation.
const RULES: &str = r#"# Rules are tried in order; the first route whose `when` holds wins.
[[route]]
name = "everything"
when = 'order.connection == "shop-eu"'
target = "erp-main"
"#;

struct Writer {
    dir: PathBuf,
}

impl Writer {
    fn shop(&self, shop: &Shop) -> anyhow::Result<Table> {
        let token = self.secret("shop-token", &shop.access_token)?;
        let secret = self.secret("shop-webhook", &shop.webhook_secret)?;
        let (domain, url) = (shop.domain.as_str(), shop.url.as_str());
        Ok(toml! {
            platform = "shopify"
            shop = domain
            api_url = url
            access_token_file = token
            webhook_secret_files = [secret]
            allow_private = ["127.0.0.1"]
        })
    }

    fn erp(&self, erp: &Erp) -> anyhow::Result<Table> {
        let password = self.secret("erp-password", &erp.ids.adapter.password)?;
        let (url, login) = (erp.url.as_str(), erp.ids.adapter.login.as_str());
        let ErpIds { company, web_shop, warehouse, payment_term, carrier, shipping_product, rounding_product, .. } = erp.ids;
        let mut table = toml! {
            platform = "tryton"
            url = url
            user = login
            password_file = password
            company = company
            warehouse = warehouse
            stock_location = WAREHOUSE
            payment_term = payment_term
            carrier = carrier
            shipping_product = shipping_product
            rounding_product = rounding_product
            guest = "create"
            dependency_wait_max = "2s"
            delays = 0
            lease = "20s"
            timeout = "9s"
            allow_private = ["127.0.0.1"]
        };
        table.insert("web_shops".to_owned(), named(SHOP, web_shop));
        let taxes = erp.ids.taxes.iter().map(|(percent, id)| tax(percent, *id)).collect::<anyhow::Result<Vec<_>>>()?;
        table.insert("taxes".to_owned(), taxes.into());
        Ok(table)
    }

    /// Only this user may read it.
    fn secret(&self, name: &str, value: &str) -> anyhow::Result<String> {
        let dir = self.dir.join("secrets");
        fs::create_dir_all(&dir).with_context(|| format!("{} can't be made", dir.display()))?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        let path = dir.join(name);
        let written = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
        io::Write::write_all(&mut written.with_context(|| format!("{} can't be written", path.display()))?, value.as_bytes())?;
        absolute(&path)
    }

    fn text(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(&self.dir)?;
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("{} can't be written", path.display()))?;
        Ok(path)
    }

    fn table(&self, name: &str, table: &Table) -> anyhow::Result<PathBuf> {
        self.text(name, &toml::to_string_pretty(table)?)
    }
}

/// `20` = a rate of 0.2.
fn tax(percent: &str, id: i64) -> anyhow::Result<toml::Value> {
    let percent: domain::Decimal = percent.parse().with_context(|| format!("taxes: `{percent}` is no percentage"))?;
    let rate = (percent / domain::Decimal::ONE_HUNDRED).normalize().to_string();
    Ok(toml! { rate = rate
    taxes = [id] }
    .into())
}

fn named(name: &str, value: impl Into<toml::Value>) -> toml::Value {
    Table::from_iter([(name.to_owned(), value.into())]).into()
}

/// Services may run from another folder.
fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = fs::canonicalize(path)?;
    path.into_os_string().into_string().map_err(|_| anyhow::anyhow!("the folder's path is no text"))
}

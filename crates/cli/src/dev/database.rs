//! A new database per start, in a private cluster or in a server that somebody names.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::StoreSettings;
use tokio::process::Command;

use crate::args::Dev;

pub(crate) struct Database {
    pub(crate) url: String,
    server: String,
    name: String,
    /// The cluster that is ours to stop.
    cluster: Option<PathBuf>,
}

/// Starts and stops a private cluster; PostgreSQL does not run as root, which it takes care of.
const SCRIPT: &str = "deploy/local/postgres.sh";
/// Databases of earlier starts are dropped by this.
const PREFIX: &str = "tradewind_dev_";

impl Database {
    pub(crate) async fn new(args: &Dev) -> anyhow::Result<Self> {
        let (server, cluster) = match &args.database {
            Some(url) => (url.clone(), None),
            None => {
                let dir = args.dir.join("postgres");
                (script("start", &dir).await?, Some(dir))
            }
        };
        let name = format!("{PREFIX}{}", chrono::Utc::now().format("%Y%m%d%H%M%S%3f"));
        let mut admin = PgConnection::connect(&server).await.with_context(|| format!("{server} does not answer"))?;
        if cluster.is_some() {
            drop_earlier(&mut admin).await?;
        }
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.context("a new database")?;
        let (address, _) = server.rsplit_once('/').context("a database URL ends in /<database>")?;
        let url = format!("{address}/{name}");
        store::migrate(&StoreSettings::new(&url)).await.context("the schema")?;
        Ok(Self { url, server, name, cluster })
    }

    pub(crate) async fn stop(self) {
        if let Some(dir) = &self.cluster {
            if let Err(error) = script("stop", dir).await {
                tracing::warn!(error = format!("{error:#}"), "the private database did not stop");
            }
        } else if let Ok(mut admin) = PgConnection::connect(&self.server).await {
            let dropped =
                sqlx::query(AssertSqlSafe(format!("drop database if exists {} with (force)", self.name))).execute(&mut admin).await;
            if let Err(error) = dropped {
                tracing::warn!(%error, name = self.name, "the database of this run is left behind");
            }
        }
    }
}

/// The broker of those starts has forgotten what they hold.
async fn drop_earlier(admin: &mut PgConnection) -> anyhow::Result<()> {
    let names: Vec<String> =
        sqlx::query_scalar("select datname from pg_database where starts_with(datname, $1)").bind(PREFIX).fetch_all(&mut *admin).await?;
    for name in names {
        sqlx::query(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).execute(&mut *admin).await?;
    }
    Ok(())
}

async fn script(verb: &str, dir: &std::path::Path) -> anyhow::Result<String> {
    let output = Command::new("bash")
        .args([SCRIPT, verb])
        .arg(dir)
        // Ends with us, however we end.
        .env("OWNER", std::process::id().to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("bash can't be run")?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    anyhow::bail!("{SCRIPT} {verb} failed: run `make setup-demo` in the checkout first, or name a server with --database")
}

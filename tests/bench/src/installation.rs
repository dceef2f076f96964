//! The product as it is deployed: settings written by `tradewind local-config`, every service a process of its own.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::load;
use crate::orders;
use crate::process::{Place, Service};

pub(crate) const SERVICES: [&str; 5] = ["storefront-ingest", "order-router", "erp-adapter", "inventory-sync", "dead-letter-replayer"];

pub(crate) struct Installation {
    programs: PathBuf,
    dir: PathBuf,
    prefix: String,
    /// Of the door.
    pub(crate) door: SocketAddr,
    /// Admin ports by the name of the service.
    admin: HashMap<String, SocketAddr>,
}

/// What the services talk to.
pub(crate) struct Parts<'a> {
    pub(crate) brokers: &'a str,
    pub(crate) database: &'a str,
    /// The shop's API.
    pub(crate) shop: &'a str,
    pub(crate) location: &'a str,
    pub(crate) erp: &'a str,
    pub(crate) erp_ids: Value,
    /// Requests that it takes at once.
    pub(crate) erp_concurrency: u16,
}

impl Installation {
    /// Writes the settings, and makes schema and topics.
    pub(crate) async fn set_up(programs: &Path, dir: &Path, prefix: &str, parts: &Parts<'_>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (shop, ids) = (dir.join("shop.json"), dir.join("erp-ids.json"));
        let access = json!({
            "domain": orders::SHOP_DOMAIN,
            "url": parts.shop,
            "access_token": "sandbox-access-token",
            "webhook_secret": orders::SECRET,
            "location": parts.location,
        });
        std::fs::write(&shop, access.to_string())?;
        std::fs::write(&ids, parts.erp_ids.to_string())?;
        let base = free_ports(7)?;
        let mut command = Command::new(programs.join("tradewind"));
        command.args(["local-config", "--brokers", parts.brokers, "--database", parts.database, "--erp-url", parts.erp]);
        command.arg("--erp-concurrency").arg(parts.erp_concurrency.to_string());
        command.arg("--dir").arg(dir).arg("--shop").arg(&shop).arg("--erp-ids").arg(&ids).arg("--base-port").arg(base.to_string());
        let said = output(command).await?;
        let addresses: HashMap<&str, &str> = said.lines().filter_map(|it| it.split_once('=')).collect();
        let address = |name: &str| addresses.get(name).copied().and_then(socket).with_context(|| format!("local-config names no {name}"));
        let admin = SERVICES.iter().map(|name| Ok(((*name).to_owned(), address(&name.to_uppercase().replace('-', "_"))?)));
        let installation = Self {
            programs: programs.to_owned(),
            dir: dir.to_owned(),
            prefix: prefix.to_owned(),
            door: address("DOOR")?,
            admin: admin.collect::<anyhow::Result<_>>()?,
        };
        installation.tradewind(&["migrate"]).await?;
        installation.tradewind(&["topics", "apply"]).await?;
        Ok(installation)
    }

    async fn tradewind(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.programs.join("tradewind"));
        command.arg("--config").arg(self.dir.join("tradewind.toml")).args(arguments).env(PREFIX, &self.prefix);
        output(command).await
    }

    pub(crate) fn start(&self, service: &str, place: Place) -> anyhow::Result<Service> {
        let config = self.dir.join(format!("{service}.toml"));
        let config = config.to_str().context("the folder's path is no text")?;
        let log = self.dir.join(format!("{service}.log"));
        Service::start(&self.programs.join(service), &["--config", config], &[(PREFIX, &self.prefix)], &log, place)
    }

    /// Waits until a service calls itself ready.
    pub(crate) async fn ready(&self, service: &str) -> anyhow::Result<()> {
        let address = *self.admin.get(service).with_context(|| format!("there is no {service}"))?;
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            if load::get(address, "/ready").await.is_ok_and(|status| status == 200) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{service} was not ready within {READY_MAX:?}; {} says why", self.dir.join(format!("{service}.log")).display())
    }
}

/// So many ports in a row that nobody listens on.
fn free_ports(count: u16) -> anyhow::Result<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let found = (15_000..19_900).step_by(20).find(|base| (*base..*base + count).all(is_free));
    found.context("no free ports between 15000 and 20000")
}

fn socket(url: &str) -> Option<SocketAddr> {
    let rest = url.split_once("://").map_or(url, |it| it.1);
    rest.split('/').next()?.parse().ok()
}

async fn output(mut command: Command) -> anyhow::Result<String> {
    let output = command.output().await.context("a program can't be started")?;
    if !output.status.success() {
        bail!("{:?}: {}", command.as_std(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The variable that gives every topic and group of an installation its prefix.
const PREFIX: &str = "TRADEWIND__BUS__PREFIX";
const READY_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_a_url() {
        assert_eq!(socket("http://127.0.0.1:80/webhooks/shop-eu"), Some(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!(socket("nothing"), None);
    }
}

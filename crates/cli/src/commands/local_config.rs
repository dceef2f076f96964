//! Settings files for a local installation of real parts. Prints its addresses as shell assignments.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use crate::args::LocalConfig;
use crate::installation::{self, Erp, ErpIds, Parts, Ports};

pub(crate) fn run(args: &LocalConfig) -> anyhow::Result<ExitCode> {
    let parts = Parts {
        brokers: args.brokers.clone(),
        database: args.database.clone(),
        shop: read(&args.shop)?,
        erp: Erp { url: args.erp_url.clone(), ids: ErpIds::read(read(&args.erp_ids)?)?, concurrency: args.erp_concurrency },
    };
    let ports = Ports::from(args.base_port);
    installation::write(&args.dir, &parts, ports, None)?;
    let [ingest, router, adapter, stock, replayer] = ports.admin;
    println!("DOOR=http://127.0.0.1:{}/webhooks/{}", ports.door, installation::SHOP);
    println!("SHOP={}", parts.shop.url);
    for (service, port) in [
        ("STOREFRONT_INGEST", ingest),
        ("ORDER_ROUTER", router),
        ("ERP_ADAPTER", adapter),
        ("INVENTORY_SYNC", stock),
        ("DEAD_LETTER_REPLAYER", replayer),
    ] {
        println!("{service}=http://127.0.0.1:{port}");
    }
    Ok(ExitCode::SUCCESS)
}

fn read<T: DeserializeOwned>(file: &std::path::Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what was expected", file.display()))
}

//! `tradewind sandbox`: the platforms alone, to develop against.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use crate::args::Sandbox;
use crate::dev::sandboxes;
use crate::installation::Shop;
use crate::print::Printer;

#[derive(Serialize)]
struct Addresses {
    #[serde(flatten)]
    shop: Shop,
    erp: Option<String>,
    door: String,
}

pub(crate) async fn run(args: Sandbox, printer: Printer) -> anyhow::Result<ExitCode> {
    let stop = service_kit::signals::stop_token().context("signals can't be received")?;
    let shop = sandboxes::start_shop(SEED, args.port)?;
    let erp = if args.shop_only { None } else { Some(sandboxes::start_erp(SEED)?) };
    shop.subscribe(&args.door, &sandbox::shopify::TOPICS);
    let addresses = Addresses { shop: sandboxes::shop_access(&shop), erp: erp.as_ref().map(|it| it.url()), door: args.door };
    printer.print(&addresses, text);
    stop.cancelled().await;
    shop.stop().await;
    if let Some(erp) = erp {
        erp.stop().await;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(it: &Addresses) -> String {
    let url = &it.shop.url;
    let mut out = format!("shop  {url}, webhooks go to {}\n", it.door);
    out += &format!("      place an order: curl -X POST {url}/_sandbox/orders -H 'content-type: application/json' -d '{{}}'\n");
    if let Some(erp) = &it.erp {
        out += &format!("ERP   {erp}\n");
    }
    out + "Ctrl-C ends it."
}

const SEED: u64 = 1;

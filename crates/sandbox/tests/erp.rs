//! The ERP double over HTTP, as a connector meets it.

#[path = "erp/client.rs"]
mod client;
#[path = "erp/desk.rs"]
mod desk;
#[path = "erp/faults.rs"]
mod faults;
#[path = "erp/life.rs"]
mod life;
#[path = "erp/recorded.rs"]
mod recorded;
#[path = "erp/search.rs"]
mod search;
#[path = "erp/speed.rs"]
mod speed;
#[path = "erp/stock.rs"]
mod stock;
#[path = "erp/totals.rs"]
mod totals;
#[path = "erp/wire.rs"]
mod wire;

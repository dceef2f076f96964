//! One suite for whatever speaks as Tryton does: written against the connector's traits only, run on a real Tryton.
//!
//! The real one needs `deploy/local/setup.sh full`. Where that was not run, its test says so and passes;
//! `TRADEWIND_REQUIRE_REAL=1` makes it fail instead.

#[path = "conformance/cases.rs"]
mod cases;
#[path = "conformance/desk.rs"]
mod desk;
#[path = "conformance/environment.rs"]
mod environment;
#[path = "conformance/orders.rs"]
mod orders;
#[path = "conformance/real.rs"]
mod real;
#[path = "conformance/run.rs"]
mod run;
#[path = "conformance/thief.rs"]
mod thief;

/// All cases on one server, one after the other: a real ERP is slow to start.
#[tokio::test(flavor = "multi_thread")]
async fn real_tryton_conforms() {
    let Some(server) = real::start().await else { return };
    let environment = server.environment();
    cases::all(&environment).await;
}

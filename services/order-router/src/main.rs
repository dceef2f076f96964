//! order-router: reads the topics of orders, customers, refunds and outcomes; writes the command topics of the ERPs.
//!
//! Settings, telemetry, the admin port and signals come first; then the rules are read and checked, the database and the broker
//! looked for; then the service is ready, and works until it is stopped.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_kit::main(order_router::info(), order_router::run)
}

//! erp-adapter: reads the command topics of its targets and the targets' stock; writes into the targets, outcomes and the
//! inventory topic.
//!
//! Settings, telemetry, the admin port and signals come first; then every target's connection is opened, the database and the
//! broker looked for; then the service is ready, and works until it is stopped. Platforms are registered here and nowhere else.

use std::process::ExitCode;

use connector::Platforms;

fn main() -> ExitCode {
    let platforms = Platforms::default().with_erp(connector_tryton::Tryton);
    service_kit::main(erp_adapter::info(), |settings, life| erp_adapter::run(settings, platforms, life))
}

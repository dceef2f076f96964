//! `tradewind`: the operator's tool. `tradewind --help` lists what it can do.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}

//! Reads and writes the letters; produces outcomes and published copies. Serves gRPC.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_kit::main(dead_letter_replayer::info(), dead_letter_replayer::run)
}

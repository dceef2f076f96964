//! The kit as services use it: settings from files, probes over HTTP, and a real process with signals and exit codes.

mod it {
    mod admin;
    mod process;
    mod settings;
}

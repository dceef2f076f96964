//! Telemetry as a process has it, each test with an installation of its own.

mod it {
    mod logs;
    mod metrics;
    mod traces;
}

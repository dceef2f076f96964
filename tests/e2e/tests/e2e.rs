//! The whole system: signed webhooks in, sales of an ERP and levels of a shop out, on a real Kafka and a real PostgreSQL.
//!
//! Each service is a process of its own, with the settings files that `tradewind local-config` writes; the platforms are
//! doubles in the test's process, whose logs are the oracles. Each service logs in to the database under its own role. A test
//! is alone in the servers by its topic prefix and its database. See `e2e::Installation` for where the programs come from.

mod e2e {
    mod burst;

    mod account;
    mod kills;
    mod letters;
    mod life;
    mod outage;
    mod retention;
    mod states;
    mod traces;
    mod tryton;
}

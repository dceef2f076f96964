//! The store against a real PostgreSQL.

mod it {
    mod account;
    mod deaths;
    mod decisions;
    mod group;
    mod identities;
    mod letters;
    mod outbox;
    mod retention;
    mod roles;
    mod shuffled;
    mod transaction;
    mod waiting;
}

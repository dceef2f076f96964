//! The store against a real PostgreSQL.

mod it {
    mod decisions;
    mod group;
    mod letters;
    mod transaction;
}

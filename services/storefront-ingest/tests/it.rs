//! The door and the mapper over a real PostgreSQL and a real Kafka, with a Shopify double before them.

mod it {
    mod batches;
    mod death;
    mod door;
    mod embedded;
    mod group;
    mod letters;
    mod outage;
    mod overtaken;
    mod priorities;
    mod reads;
    mod rig;
    mod scans;
    mod shop;
    mod side_by_side;
    mod sweeps;
    mod trace;
    mod versions;
}

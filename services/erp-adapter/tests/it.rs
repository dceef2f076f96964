//! The adapter against a real PostgreSQL, an ERP that loses answers, and (the whole of it) a real Kafka.

mod it {
    mod capture;
    mod death;
    mod effects;
    mod erp;
    mod letters;
    mod relay;
    mod rig;
    mod service;
    mod stock;
}

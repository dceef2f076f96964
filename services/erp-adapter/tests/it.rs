//! The effect ledger under the pipeline's engine, against a real PostgreSQL and an ERP that loses answers.

mod it {
    mod death;
    mod effects;
    mod erp;
    mod letters;
    mod rig;
}

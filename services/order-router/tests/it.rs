//! The router over a real PostgreSQL and a broker.

mod it {
    mod decisions;
    mod group;
    mod run;
    mod shop;
    mod side_by_side;
    mod trace;
}

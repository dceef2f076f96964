//! The connector from outside, as the binaries use it.

mod it {
    mod api;
    mod golden;
    mod listing;
    mod mutations;
    mod pair;
    mod real;
    mod server;
    mod shop;
    mod sketch;
    mod stock;
}

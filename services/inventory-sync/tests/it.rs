//! The service over a real PostgreSQL, a broker, and shops in memory and over HTTP.

mod it {
    mod comparison;
    mod decisions;
    mod fake_shop;
    mod group;
    mod pushes;
    mod recount;
    mod run;
    mod shopify;
    mod side_by_side;
    mod world;
}

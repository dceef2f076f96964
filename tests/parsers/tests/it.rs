//! The seeds are what our own doubles send, and everything that the fuzzer asks of a parser holds of them.
//!
//! `TRADEWIND_WRITE_SEEDS=1 cargo test -p parsers` writes the seeds anew. Inputs that the fuzzer found are in the folder, too, under
//! names that begin with `found-`: nothing writes those anew.

mod it {
    mod made;
    mod seeds;
}

//! The connector from outside, as the binaries use it.

mod it {
    pub(crate) mod real;
    pub(crate) mod shop;
}

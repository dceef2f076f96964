//! Ids as the platform draws them: 64-bit, growing. Some are odd and beyond 2^53, so that whoever reads them as a float loses
//! the last digits.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The largest integer up to which a float counts one by one.
const FLOAT_EXACT: u64 = 1 << 53;

/// A growing source of ids. Clones would repeat each other: there is one per shop.
#[derive(Debug)]
pub struct Ids {
    rng: StdRng,
    drawn: u64,
    large_share: f64,
}

impl Ids {
    /// `large_share` of the ids (0 to 1) are beyond 2^53.
    pub fn new(seed: u64, large_share: f64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), drawn: 0, large_share: large_share.clamp(0.0, 1.0) }
    }

    pub fn draw(&mut self) -> u64 {
        self.drawn += 1;
        // Odd, so that beyond 2^53 it is never a float.
        let low = self.rng.random_range(0..1024_u64) * 2 + 1;
        let base = if self.rng.random_bool(self.large_share) { FLOAT_EXACT * 3 } else { 5_000_000_000_000 };
        base + self.drawn * 2048 + low
    }

    /// Hexadecimal digits, as in tokens.
    pub fn token(&mut self) -> String {
        format!("{:016x}{:016x}", self.rng.random::<u64>(), self.rng.random::<u64>())
    }
}

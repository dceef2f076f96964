//! How long a double takes, beyond what it really takes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Longest wait that a distribution may give; its tail has no end.
const MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Latency {
    #[default]
    None,
    Fixed {
        ms: u64,
    },
    /// Half of the waits are shorter than the median; about one in six is longer than the median times e^sigma.
    LogNormal {
        median_ms: f64,
        sigma: f64,
    },
}

/// Draws waits. Clones share the dice.
#[derive(Debug, Clone)]
pub struct Pace(Arc<Mutex<(Latency, StdRng)>>);

impl Pace {
    pub fn new(latency: Latency, seed: u64) -> Self {
        Self(Arc::new(Mutex::new((latency, StdRng::seed_from_u64(seed)))))
    }

    pub fn set(&self, latency: Latency) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = latency;
    }

    pub fn draw(&self) -> Duration {
        let (latency, dice) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *latency {
            Latency::None => Duration::ZERO,
            Latency::Fixed { ms } => Duration::from_millis(ms),
            Latency::LogNormal { median_ms, sigma } => {
                let seconds = median_ms / 1000.0 * (sigma * normal(dice)).exp();
                Duration::try_from_secs_f64(seconds).unwrap_or(MAX).min(MAX)
            }
        }
    }

    pub async fn wait(&self) {
        let wait = self.draw();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// A draw of the standard normal distribution (Box and Muller).
fn normal(dice: &mut StdRng) -> f64 {
    // `1 - x` keeps zero out of the logarithm.
    let (radius, angle): (f64, f64) = (1.0 - dice.random::<f64>(), dice.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_waits_are_below_the_median_and_the_same_seed_gives_the_same() {
        let latency = Latency::LogNormal { median_ms: 20.0, sigma: 0.5 };
        let draw = |seed| {
            let pace = Pace::new(latency, seed);
            (0..2000).map(|_| pace.draw()).collect::<Vec<_>>()
        };
        let waits = draw(3);
        assert_eq!(waits, draw(3));
        let below = |ms: f64| waits.iter().filter(|it| it.as_secs_f64() * 1000.0 < ms).count();
        assert!((900..1100).contains(&below(20.0)), "{}", below(20.0));
        let one_sigma = below(20.0 * 0.5_f64.exp());
        assert!((1630..1740).contains(&one_sigma), "{one_sigma}");
    }

    #[test]
    fn a_fixed_wait_is_that_and_none_is_none() {
        let pace = Pace::new(Latency::Fixed { ms: 7 }, 1);
        assert_eq!(pace.draw(), Duration::from_millis(7));
        pace.set(Latency::None);
        assert_eq!(pace.draw(), Duration::ZERO);
    }
}

//! Which few of the faults matter when a run failed: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating
//! Failure-Inducing Input", 2002), by leaving out ever smaller parts.

use std::time::{Duration, Instant};

use crate::report::Report;
use crate::run::run;
use crate::schedule::Plan;

/// A plan with fewer faults, or none fewer, which failed in one of the same ways when it was run. Ends when no single fault can
/// be left out, or when the time is over.
pub(crate) async fn shrink(plan: &Plan, failed: &Report, within: Duration) -> anyhow::Result<Plan> {
    let (begun, red) = (Instant::now(), failed.red());
    let fewer = smallest(&plan.faults, async |faults| {
        if begun.elapsed() > within {
            return Ok(false);
        }
        eprintln!("again with {} of {} faults", faults.len(), plan.faults.len());
        let report = run(&plan.with(faults)).await?;
        if let Some(kept) = &report.kept {
            std::fs::remove_dir_all(kept)?;
        }
        Ok(report.red().iter().any(|it| red.contains(it)))
    });
    Ok(plan.with(&fewer.await?))
}

/// Of a list with which it fails, a part with which it fails and of which nothing can be left out.
async fn smallest<T: Clone>(all: &[T], mut fails: impl AsyncFnMut(&[T]) -> anyhow::Result<bool>) -> anyhow::Result<Vec<T>> {
    let (mut least, mut parts) = (all.to_vec(), 2);
    while least.len() > 1 {
        let size = least.len().div_ceil(parts);
        let mut smaller = None;
        for begin in (0..least.len()).step_by(size) {
            let end = (begin + size).min(least.len());
            let rest = [&least[..begin], &least[end..]].concat();
            if fails(&rest).await? {
                smaller = Some(rest);
                break;
            }
        }
        match smaller {
            Some(rest) => (least, parts) = (rest, parts.saturating_sub(1).max(2)),
            None if size == 1 => break,
            None => parts = (parts * 2).min(least.len()),
        }
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_matter_is_left_out() {
        let all: Vec<u32> = (0..40).collect();
        let mut runs = 0;
        let least = smallest(&all, async |some| {
            runs += 1;
            Ok(some.contains(&3) && some.contains(&29))
        });
        assert_eq!(least.await.unwrap(), [3, 29]);
        assert!(runs < 60, "{runs} runs");
    }

    #[tokio::test]
    async fn what_fails_by_all_of_it_stays_whole() {
        let all = [1, 2, 3];
        assert_eq!(smallest(&all, async |some| Ok(some.len() == 3)).await.unwrap(), all);
    }
}

//! The one place in tests that waits by the clock.

use std::fmt::Debug;
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::Instant;

/// Looks again and again until `look` answers `Ok`, which is returned. `Err` is what it saw instead; the last one is in the
/// message when the deadline is over.
#[track_caller]
pub fn eventually<T, E: Debug>(deadline: Duration, look: impl AsyncFnMut() -> Result<T, E>) -> impl Future<Output = T> {
    wait(deadline, look, Location::caller())
}

/// Waits until what `look` sees equals `expected`.
#[track_caller]
pub fn eventually_eq<T: Debug + PartialEq>(deadline: Duration, expected: T, mut look: impl AsyncFnMut() -> T) -> impl Future<Output = T> {
    let look = async move || {
        let seen = look().await;
        if seen == expected { Ok(seen) } else { Err((seen, "instead of", format!("{expected:?}"))) }
    };
    wait(deadline, look, Location::caller())
}

async fn wait<T, E: Debug>(deadline: Duration, mut look: impl AsyncFnMut() -> Result<T, E>, caller: &Location<'_>) -> T {
    let end = Instant::now() + deadline;
    let mut last = None;
    loop {
        // A look that hangs must not outlive the deadline either.
        match tokio::time::timeout_at(end, look()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => last = Some(seen),
            Err(_) => panic!("{caller}: not within {deadline:?}; the last look hung, before it: {last:?}"),
        }
        assert!(Instant::now() < end, "{caller}: not within {deadline:?}, last seen: {last:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_returns_what_was_waited_for() {
        let mut looks = 0;
        let seen = eventually_eq(Duration::from_secs(5), 3, async || {
            looks += 1;
            looks
        });
        assert_eq!(seen.await, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "last seen: Some(\"nothing yet\")")]
    async fn it_says_what_it_saw_last() {
        eventually(Duration::from_millis(1), async || Err::<(), _>("nothing yet")).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the last look hung")]
    async fn a_look_that_hangs_ends_too() {
        eventually(Duration::from_millis(1), async || std::future::pending::<Result<(), ()>>().await).await;
    }
}

//! The tasks of a run: none may end before the stop, and after it they have until a deadline.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// What a finished run, or a task of it, left undone. The next start takes it up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct Ended {
    pub left_over: usize,
}

impl From<()> for Ended {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<pipeline::engine::Stopped> for Ended {
    fn from(stopped: pipeline::engine::Stopped) -> Self {
        match stopped {
            pipeline::engine::Stopped::Drained => Self::default(),
            pipeline::engine::Stopped::LeftOver(left_over) => Self { left_over },
        }
    }
}

impl From<http_kit::serve::Drained> for Ended {
    fn from(drained: http_kit::serve::Drained) -> Self {
        Self { left_over: drained.aborted }
    }
}

/// Why a run ended though nobody stopped it, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{task}` ended by itself")]
    Ended { task: &'static str },
    #[error("`{task}` failed")]
    Failed { task: &'static str, source: Box<dyn StdError + Send + Sync> },
    #[error("`{task}` panicked, see the line before")]
    Panicked { task: &'static str, source: JoinError },
}

type Outcome = Result<Ended, Box<dyn StdError + Send + Sync>>;

/// The tasks of one run. The first that ends before the stop takes all of them down.
pub struct Tasks {
    set: JoinSet<Outcome>,
    names: Vec<(Id, &'static str)>,
    stop: CancellationToken,
}

impl Tasks {
    /// Each task gets a clone of the same token and ends soon after it is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { set: JoinSet::new(), names: Vec::new(), stop }
    }

    pub fn spawn<T, E>(&mut self, name: &'static str, task: impl Future<Output = Result<T, E>> + Send + 'static)
    where
        T: Into<Ended> + 'static,
        E: Into<Box<dyn StdError + Send + Sync>> + 'static,
    {
        let handle = self.set.spawn(async move { task.await.map(Into::into).map_err(Into::into) });
        self.names.push((handle.id(), name));
    }

    /// Until the stop, or until a task ends; then until all have ended or `grace` is over, which aborts the rest. A task that
    /// fails while stopping is a failure as well.
    pub async fn run(mut self, grace: Duration) -> Result<Ended, Error> {
        let mut failure = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            Some(ended) = self.set.join_next_with_id() => Some(self.too_early(ended)),
        };
        if let Some(error) = &failure {
            tracing::error!(%error, "a task is gone, the service stops");
        }
        self.stop.cancel();
        let deadline = Instant::now() + grace;
        let mut ended = Ended::default();
        while let Ok(Some(outcome)) = timeout_at(deadline, self.set.join_next_with_id()).await {
            match self.named(outcome) {
                Ok((_, Ended { left_over })) => ended.left_over += left_over,
                Err(error) if failure.is_none() => failure = Some(error),
                Err(error) => tracing::warn!(%error, "while stopping"),
            }
        }
        ended.left_over += self.abort_rest(grace).await;
        failure.map_or(Ok(ended), Err)
    }

    async fn abort_rest(&mut self, grace: Duration) -> usize {
        let rest = self.set.len();
        if rest > 0 {
            let tasks: Vec<_> = self.names.iter().map(|(_, name)| *name).collect();
            tracing::warn!(?grace, ?tasks, "the grace period is over, unfinished work is left to the next start");
            self.set.abort_all();
        }
        rest
    }

    fn too_early(&mut self, ended: Result<(Id, Outcome), JoinError>) -> Error {
        match self.named(ended) {
            Ok((task, _)) => Error::Ended { task },
            Err(error) => error,
        }
    }

    fn named(&mut self, ended: Result<(Id, Outcome), JoinError>) -> Result<(&'static str, Ended), Error> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let index = self.names.iter().position(|(known, _)| *known == id).expect("every task was named when it was spawned");
        let (_, task) = self.names.swap_remove(index);
        match ended {
            Ok((_, Ok(ended))) => Ok((task, ended)),
            Ok((_, Err(source))) => Err(Error::Failed { task, source }),
            Err(source) => Err(Error::Panicked { task, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;

    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    async fn until(stop: CancellationToken, then: Duration) -> Result<(), Infallible> {
        stop.cancelled().await;
        tokio::time::sleep(then).await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_gives_every_task_its_time() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("quick", until(stop.clone(), Duration::ZERO));
        tasks.spawn("slow", until(stop.clone(), GRACE / 2));
        stop.cancel();
        let begun = Instant::now();
        assert_eq!(tasks.run(GRACE).await.unwrap(), Ended { left_over: 0 });
        assert_eq!(begun.elapsed(), GRACE / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_period_ends_and_says_what_is_left() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("hangs", pending::<Result<(), Infallible>>());
        tasks.spawn("leaves some", async { Ok::<_, Infallible>(pipeline::engine::Stopped::LeftOver(3)) });
        stop.cancel();
        let begun = Instant::now();
        assert_eq!(tasks.run(GRACE).await.unwrap(), Ended { left_over: 4 });
        assert_eq!(begun.elapsed(), GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_tasks_failure_stops_them_all() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("first", until(stop.clone(), Duration::ZERO));
        tasks.spawn("second", async { Err::<(), _>("the disk is full") });
        let error = tasks.run(GRACE).await.unwrap_err();
        assert!(stop.is_cancelled());
        assert_eq!(error.to_string(), "`second` failed");
        assert_eq!(error.source().unwrap().to_string(), "the disk is full");
    }

    #[tokio::test(start_paused = true)]
    async fn to_end_by_itself_is_a_failure_and_so_is_a_panic() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("short", async { Ok::<_, Infallible>(()) });
        assert!(matches!(tasks.run(GRACE).await, Err(Error::Ended { task: "short" })));

        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("buggy", async { if GRACE.is_zero() { Ok::<(), Infallible>(()) } else { panic!("a bug") } });
        assert!(matches!(tasks.run(GRACE).await, Err(Error::Panicked { task: "buggy", .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn to_fail_while_stopping_is_a_failure() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        let stopped = stop.clone();
        tasks.spawn("flushes", async move {
            stopped.cancelled().await;
            Err::<(), _>("not flushed")
        });
        stop.cancel();
        assert!(matches!(tasks.run(GRACE).await, Err(Error::Failed { task: "flushes", .. })));
    }
}

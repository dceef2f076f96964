//! A request body with deadlines: one for all of it, and a rate below which it counts as an attack.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// How fast a body must come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Time that every body has, however few bytes it sent.
    pub grace: Duration,
    /// Bytes per second that it must have sent on average once the grace is over.
    pub rate: u32,
    /// Time for all of it, however fast it is.
    pub total: Duration,
}

impl Pace {
    /// When a body that started then and has sent so much is given up.
    fn deadline(&self, started: Instant, received: u64) -> Instant {
        let earned = Duration::from_secs_f64(received as f64 / f64::from(self.rate.max(1)));
        started + self.total.min(self.grace.saturating_add(earned))
    }
}

/// The body missed a deadline of its [`Pace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body came too slowly")]
pub struct TooSlow;

/// `inner`, given up with [`TooSlow`] when it misses its pace.
pub(crate) struct Paced<B> {
    inner: B,
    pace: Pace,
    received: u64,
    /// Set when the first wait begins: a body that came with its headers costs no timer.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<B> Paced<B> {
    pub(crate) fn new(inner: B, pace: Pace) -> Self {
        Self { inner, pace, received: 0, waiting: None }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (started, sleep) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(self.pace.deadline(now, self.received))))
        });
        let deadline = self.pace.deadline(*started, self.received);
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.received += frame.data_ref().map_or(0, |it| it.remaining() as u64);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => this.poll_deadline(cx).map(|()| Some(Err(TooSlow.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::stream;
    use http::HeaderMap;
    use tokio::time::sleep;

    use super::*;
    use crate::body::{self, BodyError, Room};

    const PACE: Pace = Pace { grace: Duration::from_secs(2), rate: 100, total: Duration::from_secs(10) };

    /// A body that sends `size` bytes every `gap`, `times` times; how it ended and when.
    async fn drip(size: usize, gap: Duration, times: usize) -> (Result<usize, BodyError>, Duration) {
        let source = stream::unfold(times, move |left| async move {
            sleep(gap).await;
            (left > 0).then(|| (Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; size])), left - 1))
        });
        let started = Instant::now();
        let paced = Body::new(Paced::new(Body::from_stream(source), PACE));
        let read = body::read(&HeaderMap::new(), paced, 1 << 20, &mut Room::new(1 << 20).share()).await;
        (read.map(|it| it.len()), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_body_has_its_grace_and_no_more() {
        let (read, took) = drip(1, Duration::from_secs(60), 1).await;
        assert_eq!(read, Err(BodyError::TooSlow));
        assert!(took >= PACE.grace && took < PACE.grace + Duration::from_millis(10), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_below_the_rate_is_given_up_and_one_above_it_is_read() {
        let (read, took) = drip(20, Duration::from_millis(500), 100).await;
        assert_eq!(read, Err(BodyError::TooSlow));
        // 40 bytes a second earn 0.4 s each: 2 s of grace are used up after 3.x s.
        assert!(took > Duration::from_secs(3) && took < Duration::from_secs(4), "{took:?}");
        let (read, _) = drip(100, Duration::from_millis(500), 10).await;
        assert_eq!(read, Ok(1000));
    }

    #[tokio::test(start_paused = true)]
    async fn no_body_outlives_the_total() {
        let (read, took) = drip(1000, Duration::from_secs(1), 100).await;
        assert_eq!(read, Err(BodyError::TooSlow));
        assert!(took >= PACE.total && took < PACE.total + Duration::from_millis(10), "{took:?}");
    }
}

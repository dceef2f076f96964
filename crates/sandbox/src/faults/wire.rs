//! Control over the connection that a request came on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// The connection of a request; every request of a [`super::Gate`] carries it as an extension.
#[derive(Debug, Clone)]
pub struct Wire(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reset: CancellationToken,
    hang_up: CancellationToken,
    /// Milliseconds between two bytes; 0 = as they come.
    drip_ms: AtomicU64,
}

impl Wire {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Resets the connection (RST), whatever is on it. Never returns: the request ends with its connection.
    pub async fn reset(&self) -> Response {
        self.0.reset.cancel();
        std::future::pending().await
    }

    /// Closes the connection (FIN) without an answer. Never returns.
    pub async fn hang_up(&self) -> Response {
        self.0.hang_up.cancel();
        std::future::pending().await
    }

    /// From now on one byte per interval goes out.
    pub fn drip(&self, interval: Duration) {
        let ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
        self.0.drip_ms.store(ms, Ordering::Relaxed);
    }

    pub(super) async fn until_reset(&self) {
        self.0.reset.cancelled().await;
    }

    pub(super) async fn until_hang_up(&self) {
        self.0.hang_up.cancelled().await;
    }

    fn interval(&self) -> Option<Duration> {
        match self.0.drip_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }
}

/// A socket that can drip.
pub(super) struct Dripping {
    stream: TcpStream,
    wire: Wire,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Dripping {
    pub(super) fn new(stream: TcpStream, wire: Wire) -> Self {
        Self { stream, wire, wait: None }
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.stream
    }
}

impl AsyncRead for Dripping {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Dripping {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let Some(interval) = self.wire.interval() else { return Pin::new(&mut self.stream).poll_write(cx, from) };
        let wait = self.wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(interval)));
        ready!(wait.as_mut().poll(cx));
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &from[..from.len().min(1)]));
        self.wait = None;
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! A socket whose client must not keep us waiting: each wait has the deadline of the phase that the connection is in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::limits::Limits;

/// After our last word: time that a client has to read it before the socket goes, which would reset a body half sent.
const LINGER: Duration = Duration::from_secs(1);

const CONNECTED: u8 = 0;
const HEADER: u8 = 1;
const RUNNING: u8 = 2;
const IDLE: u8 = 3;
const NEVER: u8 = u8::MAX;

/// Where a connection is. Written by the socket and by the request handler, both in the connection's one task.
pub(super) struct Phase {
    now: AtomicU8,
    missed: AtomicU8,
}

impl Phase {
    pub(super) fn new() -> Self {
        Self { now: AtomicU8::new(CONNECTED), missed: AtomicU8::new(NEVER) }
    }

    pub(super) fn request_begins(&self) {
        self.now.store(RUNNING, Ordering::Relaxed);
    }

    pub(super) fn request_ends(&self) {
        self.now.store(IDLE, Ordering::Relaxed);
    }

    /// What the client was late with, if it was. A connection that idles out was only not needed any more.
    pub(super) fn missed(&self) -> Option<&'static str> {
        match self.missed.load(Ordering::Relaxed) {
            CONNECTED => Some("first_byte"),
            HEADER => Some("header"),
            RUNNING => Some("write"),
            _ => None,
        }
    }

    /// True when they are the first of a request.
    fn bytes_came(&self) -> bool {
        let begins = matches!(self.get(), CONNECTED | IDLE);
        if begins {
            self.now.store(HEADER, Ordering::Relaxed);
        }
        begins
    }

    fn get(&self) -> u8 {
        self.now.load(Ordering::Relaxed)
    }

    fn miss(&self, phase: u8) {
        self.missed.store(phase, Ordering::Relaxed);
    }
}

/// The socket. Reading from a late client gives end of file, writing to one an error: hyper closes the connection.
pub(super) struct Watched<S> {
    inner: S,
    phase: std::sync::Arc<Phase>,
    first_byte: Duration,
    header: Duration,
    idle: Duration,
    write_stall: Duration,
    reading: Alarm,
    writing: Alarm,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, limits: &Limits, phase: std::sync::Arc<Phase>) -> Self {
        Self {
            inner,
            phase,
            first_byte: limits.first_byte,
            header: limits.header,
            idle: limits.idle,
            write_stall: limits.write_stall,
            reading: Alarm::default(),
            writing: Alarm::default(),
        }
    }

    /// Ready when the client let the deadline of its phase pass.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let phase = self.phase.get();
        let wait = match phase {
            CONNECTED => self.first_byte,
            HEADER => self.header,
            IDLE => self.idle,
            // The handler works, and the body has its own pace.
            _ => return Poll::Pending,
        };
        let late = self.reading.poll(phase, wait, cx);
        if late.is_ready() {
            self.phase.miss(phase);
        }
        late
    }

    fn wrote<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.disarm();
            if self.phase.get() == IDLE {
                // A response that streams is no idle connection.
                self.reading.disarm();
            }
            return written;
        }
        self.writing.poll(RUNNING, self.write_stall, cx).map(|()| {
            self.phase.miss(RUNNING);
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                if buffer.filled().len() > before && this.phase.bytes_came() {
                    this.reading.disarm();
                }
                Poll::Ready(result)
            }
            Poll::Pending => this.poll_late(cx).map(Ok),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.wrote(written, cx)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.wrote(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        // Hyper reads again only when woken: without this nobody would wake it when a connection has idled out.
        if flushed.is_ready() && this.phase.get() == IDLE {
            let _just_set = this.reading.poll(IDLE, this.idle, cx);
        }
        flushed
    }

    /// Says that nothing more comes, then throws away what the client still sends until it hangs up or [`LINGER`] is over.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        std::task::ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        let mut scratch = [0; 8 * 1024];
        loop {
            // Before the read: a client that never stops sending must not keep us here.
            if this.writing.poll(NEVER, LINGER, cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.inner).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// One timer for one wait after the other: set anew when the phase changes, and not before somebody waits.
#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    armed_for: Option<u8>,
}

impl Alarm {
    fn poll(&mut self, phase: u8, wait: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(wait)));
        if self.armed_for != Some(phase) {
            sleep.as_mut().reset(Instant::now() + wait);
            self.armed_for = Some(phase);
        }
        sleep.as_mut().poll(cx)
    }

    fn disarm(&mut self) {
        self.armed_for = None;
    }
}

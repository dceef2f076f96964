//! An ERP that others call over HTTP: it takes its time, keeps a log, and goes away when it is told to. Plain sockets, so that
//! going away is what it is when a process dies: the port refuses, and what was being done is not done.
//!
//! `POST` with the headers `x-key` and `x-sequence` is a command; anything else asks whether it is there.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A command that was carried out.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) key: String,
    pub(crate) sequence: u64,
    pub(crate) arrived: Instant,
    pub(crate) done: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) effects: Vec<Effect>,
    /// When requests came, of whatever kind.
    pub(crate) requests: Vec<Instant>,
    pub(crate) most_at_once: usize,
    at_once: usize,
}

pub(crate) struct Erp {
    pub(crate) address: SocketAddr,
    desk: Arc<Desk>,
    door: Option<JoinHandle<()>>,
}

impl Erp {
    /// `latency`: of a command. Stands on a port below those that the kernel gives away, and that no other one here was given, so
    /// that nobody takes it while it is closed.
    pub(crate) async fn open(latency: Duration) -> anyhow::Result<Self> {
        static GIVEN: AtomicU16 = AtomicU16::new(0);
        let mut ports = PORTS.map(|_| PORTS.start + GIVEN.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start));
        let address = ports.find_map(|port| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            std::net::TcpListener::bind(address).is_ok().then_some(address)
        });
        let address = address.with_context(|| format!("no free port in {PORTS:?}"))?;
        let mut erp = Self { address, desk: Arc::new(Desk { latency, ..Desk::default() }), door: None };
        erp.come_back().await?;
        Ok(erp)
    }

    /// The port refuses, and whatever was under way has not happened.
    pub(crate) async fn go_away(&mut self) {
        if let Some(door) = self.door.take() {
            door.abort();
            // Cancelled: that is what was wanted.
            door.await.ok();
        }
    }

    pub(crate) async fn come_back(&mut self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.address).await.context("somebody took the ERP's port")?;
        let desk = Arc::clone(&self.desk);
        self.door = Some(tokio::spawn(async move {
            let mut callers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                callers.spawn(caller(stream, Arc::clone(&desk)));
                while callers.try_join_next().is_some() {}
            }
        }));
        Ok(())
    }

    /// Answers 503 at once from now on, or no longer.
    pub(crate) fn fall_ill(&self, is_ill: bool) {
        self.desk.is_ill.store(is_ill, Ordering::Release);
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.desk.log()
    }
}

impl Drop for Erp {
    fn drop(&mut self) {
        if let Some(door) = &self.door {
            door.abort();
        }
    }
}

#[derive(Default)]
struct Desk {
    latency: Duration,
    is_ill: AtomicBool,
    log: Mutex<Log>,
}

impl Desk {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("nobody panics with it")
    }

    async fn answer(&self, request: Request, arrived: Instant) -> &'static [u8] {
        if self.is_ill.load(Ordering::Acquire) {
            return ILL;
        }
        let Some((key, sequence)) = request.command else { return FINE };
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        self.log().effects.push(Effect { key, sequence, arrived, done: Instant::now() });
        FINE
    }
}

/// A request under way. Dropped when its connection is.
struct Turn<'a>(&'a Desk);

impl<'a> Turn<'a> {
    fn begin(desk: &'a Desk, arrived: Instant) -> Self {
        let mut log = desk.log();
        log.requests.push(arrived);
        log.at_once += 1;
        log.most_at_once = log.most_at_once.max(log.at_once);
        Self(desk)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.log().at_once -= 1;
    }
}

async fn caller(mut stream: TcpStream, desk: Arc<Desk>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = BytesMut::with_capacity(8 * 1024);
    while let Some(request) = read(&mut stream, &mut bytes).await? {
        let arrived = Instant::now();
        let turn = Turn::begin(&desk, arrived);
        let answer = desk.answer(request, arrived).await;
        // Before the answer: who has it may call again at once.
        drop(turn);
        stream.write_all(answer).await?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    /// None: a question.
    command: Option<(String, u64)>,
}

async fn read(stream: &mut TcpStream, bytes: &mut BytesMut) -> io::Result<Option<Request>> {
    loop {
        if let Some((request, length)) = parsed(bytes) {
            bytes.advance(length);
            return Ok(Some(request));
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// A whole request, and how long it is.
fn parsed(bytes: &[u8]) -> Option<(Request, usize)> {
    let head = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&bytes[..head]);
    let header = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let body: usize = header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    let length = head + 4 + body;
    let command = header("x-key").zip(header("x-sequence").and_then(|it| it.parse().ok()));
    (bytes.len() >= length).then_some((Request { command }, length))
}

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const ILL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

const PORTS: std::ops::Range<u16> = 13_000..14_900;

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: &[u8] = b"POST / HTTP/1.1\r\nX-Key: a/order/1\r\nx-sequence: 2\r\ncontent-length: 3\r\n\r\nabc";

    #[test]
    fn a_command_is_whole_with_its_body() {
        assert_eq!(parsed(&COMMAND[..COMMAND.len() - 1]), None);
        let request = Request { command: Some(("a/order/1".to_owned(), 2)) };
        assert_eq!(parsed(COMMAND), Some((request, COMMAND.len())));
        assert_eq!(parsed(b"GET / HTTP/1.1\r\n\r\n"), Some((Request { command: None }, 18)));
    }

    async fn call(erp: &Erp) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(erp.address).await?;
        stream.write_all(COMMAND).await?;
        let mut answer = vec![0; FINE.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn what_was_under_way_when_it_went_away_has_not_happened() {
        let mut erp = Erp::open(Duration::from_millis(100)).await.unwrap();
        let mut stream = TcpStream::connect(erp.address).await.unwrap();
        stream.write_all(COMMAND).await.unwrap();
        while erp.log().at_once == 0 {
            tokio::task::yield_now().await;
        }
        erp.go_away().await;
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0, "it answered");
        assert_eq!(call(&erp).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        erp.come_back().await.unwrap();
        assert_eq!(call(&erp).await.unwrap(), FINE);
        let log = erp.log();
        assert_eq!((log.effects.len(), log.requests.len(), log.at_once, log.most_at_once), (1, 2, 0, 1));
    }

    #[tokio::test]
    async fn while_it_is_ill_nothing_is_done() {
        let erp = Erp::open(Duration::ZERO).await.unwrap();
        erp.fall_ill(true);
        assert!(call(&erp).await.unwrap().starts_with(&ILL[..12]));
        erp.fall_ill(false);
        assert_eq!(call(&erp).await.unwrap(), FINE);
        assert_eq!(erp.log().effects.len(), 1);
    }
}

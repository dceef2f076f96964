//! The load generator: HTTP/1.1 over plain sockets, so cheap that it is not what is measured.
//!
//! [`closed`] keeps a number of connections busy, for saturation. [`post`] sends one request, for a generator that keeps its
//! own timetable.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::orders::{self, Delivery};

/// A request, ready but for the number of its delivery.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    number_at: usize,
}

/// Digits of a delivery's number; part of its webhook id.
const DIGITS: usize = 16;

impl Request {
    /// Signed, as the shop sends it.
    pub(crate) fn new(delivery: &Delivery) -> Self {
        let head = format!(
            "POST /webhooks/{} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nx-shopify-topic: {}\r\n\
             x-shopify-hmac-sha256: {}\r\nx-shopify-shop-domain: {}\r\nx-shopify-api-version: 2026-07\r\n\
             x-shopify-triggered-at: 2026-09-21T12:00:00.000000000Z\r\ncontent-length: {}\r\nx-shopify-webhook-id: ",
            orders::SHOP,
            delivery.topic,
            orders::sign(&delivery.body),
            orders::SHOP_DOMAIN,
            delivery.body.len(),
        );
        let mut bytes = head.into_bytes();
        let number_at = bytes.len();
        bytes.extend_from_slice(&[b'0'; DIGITS]);
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&delivery.body);
        Self { bytes, number_at }
    }

    fn number(&mut self, number: u64) {
        let digits = format!("{number:0DIGITS$x}");
        self.bytes[self.number_at..self.number_at + DIGITS].copy_from_slice(digits.as_bytes());
    }
}

/// The number in a webhook id, or behind one.
pub(crate) fn number_of(identity: &str) -> Option<u64> {
    let digits = identity.rsplit('/').next()?;
    u64::from_str_radix(digits, 16).ok()
}

/// What a closed loop came to.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) seconds: f64,
    pub(crate) latencies_ms: Vec<f64>,
}

/// Keeps `connections` busy for `time`, and waits for the last answers. Delivery n is request n modulo their count; `next` is
/// the next n, and goes on over several loads.
pub(crate) async fn closed(
    address: SocketAddr,
    requests: &Arc<Vec<Request>>,
    connections: usize,
    time: Duration,
    next: &Arc<AtomicU64>,
) -> anyhow::Result<Load> {
    let (begun, mut tasks) = (Instant::now(), JoinSet::new());
    for _ in 0..connections {
        tasks.spawn(connection(address, Arc::clone(requests), begun + time, Arc::clone(next)));
    }
    let mut load = Load::default();
    while let Some(ended) = tasks.join_next().await {
        let one = ended.context("a connection panicked")??;
        load.accepted += one.accepted;
        load.refused += one.refused;
        load.latencies_ms.extend(one.latencies_ms);
    }
    load.seconds = begun.elapsed().as_secs_f64();
    Ok(load)
}

async fn connection(address: SocketAddr, requests: Arc<Vec<Request>>, until: Instant, next: Arc<AtomicU64>) -> anyhow::Result<Load> {
    let mut stream = connect(address).await?;
    let (mut load, mut answer) = (Load::default(), Vec::with_capacity(4096));
    // Requests are copied once per connection and not once per delivery.
    let mut requests: Vec<Request> = requests.to_vec();
    while Instant::now() < until {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let index = usize::try_from(number).unwrap_or(0) % requests.len();
        let sent = Instant::now();
        let status = post(&mut stream, &mut requests[index], number, &mut answer).await?;
        load.latencies_ms.push(sent.elapsed().as_secs_f64() * 1_000.0);
        if status == 200 { load.accepted += 1 } else { load.refused += 1 }
    }
    Ok(load)
}

pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("{address} takes no connections"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends one request on a connection that is kept, and returns its status when the whole answer is there.
pub(crate) async fn post(stream: &mut TcpStream, request: &mut Request, number: u64, answer: &mut Vec<u8>) -> anyhow::Result<u16> {
    request.number(number);
    stream.write_all(&request.bytes).await?;
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            bail!("the connection was closed instead of an answer");
        }
        if let Some(status) = whole(answer)? {
            return Ok(status);
        }
    }
}

/// The status of a GET on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<u16> {
    let mut stream = connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await? > 0 {}
    whole(&answer)?.context("half an answer")
}

/// The status, once head and body have arrived.
fn whole(answer: &[u8]) -> anyhow::Result<Option<u16>> {
    let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end]).context("an answer's head is no text")?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).context("an answer without a status")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Ok((answer.len() >= end + 4 + length.unwrap_or(0)).then_some(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_body() {
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n").unwrap(), None);
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap(), Some(200));
        assert_eq!(whole(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n.").unwrap(), None);
        assert_eq!(whole(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n..").unwrap(), Some(503));
    }

    #[test]
    fn a_delivery_is_found_again_by_its_number() {
        let delivery = &orders::created(1)[0];
        let mut request = Request::new(delivery);
        request.number(0xabc);
        let text = String::from_utf8(request.bytes).unwrap();
        let id = text.lines().find_map(|it| it.strip_prefix("x-shopify-webhook-id: ")).unwrap();
        assert_eq!(number_of(&format!("orders/create/{id}")), Some(0xabc));
        assert!(text.ends_with(std::str::from_utf8(&delivery.body).unwrap()));
    }
}

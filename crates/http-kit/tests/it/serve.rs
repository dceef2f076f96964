use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_kit::body::{self, Pace};
use http_kit::serve::Drained;
use http_kit::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const BODY_MAX: usize = 1024 * 1024;
const SHORT: Duration = Duration::from_millis(150);
/// Far beyond every deadline of a test: reached only when a deadline did not work.
const NEVER: Duration = Duration::from_secs(30);

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<Drained>,
}

/// Limits that no test meets by accident.
fn roomy() -> Limits {
    Limits {
        first_byte: NEVER,
        header: NEVER,
        body: Pace { grace: NEVER, rate: 1, total: NEVER },
        idle: NEVER,
        write_stall: NEVER,
        connections_per_ip: None,
        drain: NEVER,
        ..Limits::default()
    }
}

async fn start(router: Router, limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let served = tokio::spawn(serve(listener, router, limits, stop.clone()));
    Running { address, stop, served }
}

fn router() -> Router {
    Router::new().route("/", get(async || "hello")).route("/length", post(length)).route("/peer", get(peer))
}

async fn length(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match body::read(&parts.headers, body, BODY_MAX, &mut body::Room::new(BODY_MAX).share()).await {
        Ok(body) => body.len().to_string().into_response(),
        Err(error) => error.into_response(),
    }
}

async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    peer.to_string()
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What the server says to these bytes until it hangs up.
    async fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(NEVER, stream.read_to_end(&mut answer)).await.expect("the server hangs up").unwrap();
    String::from_utf8(answer).unwrap()
}

/// Reads one response that ends with `end`, on a connection that stays open.
async fn answer(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        assert_ne!(timeout(NEVER, stream.read_buf(&mut answer)).await.unwrap().unwrap(), 0, "closed early");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let server = start(router(), Limits { first_byte: SHORT, ..roomy() }).await;
    let (started, mut stream) = (Instant::now(), server.connect().await);
    assert_eq!(rest(&mut stream).await, "");
    assert!(started.elapsed() >= SHORT);
}

/// hyper alone waits for ever.
#[tokio::test]
async fn a_thousand_clients_that_say_nothing_are_all_closed_and_another_one_is_served() {
    let server = start(router(), Limits { first_byte: SHORT, ..roomy() }).await;
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(server.connect().await);
    }
    let answer = server.talk(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
    for stream in &mut silent {
        assert_eq!(rest(stream).await, "");
    }
}

#[tokio::test]
async fn headers_that_drip_are_closed_however_steadily() {
    let server = start(router(), Limits { header: SHORT, ..roomy() }).await;
    let mut stream = server.connect().await;
    let dripping = async {
        stream.write_all(b"GET / HTTP/1.1\r\n").await?;
        loop {
            stream.write_all(b"x: y\r\n").await?;
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let ended: std::io::Result<()> = timeout(NEVER, dripping).await.expect("the server hangs up");
    assert!(ended.is_err());
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let pace = Pace { grace: SHORT, rate: 1_000_000, total: NEVER };
    let server = start(router(), Limits { body: pace, ..roomy() }).await;
    let answer = server.talk(b"POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nxxx").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("urn:tradewind:error:body_too_slow"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_but_not_while_it_is_used() {
    let server = start(router(), Limits { idle: 2 * SHORT, ..roomy() }).await;
    let mut stream = server.connect().await;
    for _ in 0..4 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream, "hello").await.starts_with("HTTP/1.1 200 "));
        tokio::time::sleep(SHORT).await;
    }
    let idle_since = Instant::now();
    assert_eq!(rest(&mut stream).await, "");
    assert!(idle_since.elapsed() < NEVER / 2);
}

#[tokio::test]
async fn a_handler_may_take_longer_than_a_client() {
    let slow = get(async || {
        tokio::time::sleep(3 * SHORT).await;
        "done"
    });
    let limits = Limits { first_byte: SHORT, header: SHORT, idle: SHORT, ..roomy() };
    let server = start(Router::new().route("/", slow), limits).await;
    let answer = server.talk(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.ends_with("done"), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let endless = get(async || Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 65536]))));
    let server = start(Router::new().route("/", endless), Limits { write_stall: SHORT, ..roomy() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    server.stop.cancel();
    // The drain ends only because the stalled connection does.
    assert_eq!(timeout(NEVER / 2, server.served).await.unwrap().unwrap(), Drained { aborted: 0 });
    drop(stream);
}

#[tokio::test]
async fn one_byte_over_the_limit_is_413_and_the_limit_is_not() {
    let server = start(router(), roomy()).await;
    for (length, status) in [(BODY_MAX, "200"), (BODY_MAX + 1, "413")] {
        let head = format!("POST /length HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        // All of it is sent, as most clients do: the answer must not be lost to a reset.
        let answer = server.talk(&[head.as_bytes(), &vec![b'x'; length]].concat()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{length}: {answer}");

        let head = "POST /length HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunks = format!("{head}{:x}\r\n{}\r\n0\r\n\r\n", length, "x".repeat(length));
        let answer = server.talk(chunks.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "chunked {length}: {answer}");
    }
    // Who announces it and waits is answered without sending any of it.
    let head = format!("POST /length HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", BODY_MAX + 1);
    let answer = server.talk(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

/// Senders that never end cost no more than the limit each, and what a socket buffers.
#[tokio::test]
async fn a_body_without_end_is_413_and_takes_no_memory_beyond_the_limit() {
    let server = start(router(), roomy()).await;
    let before = peak_memory();
    let sending = (0..16).map(|_| async {
        let mut stream = server.connect().await;
        stream.write_all(b"POST /length HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        let (chunk, mut sent) = ([&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat(), 0);
        let (mut from, mut to) = stream.split();
        let endless = async {
            while to.write_all(&chunk).await.is_ok() {
                sent += chunk.len();
            }
        };
        let mut answer = [0; 12];
        tokio::select! {
            () = endless => {}
            read = from.read_exact(&mut answer) => assert_eq!(read.unwrap(), answer.len()),
        }
        (String::from_utf8_lossy(&answer).into_owned(), sent)
    });
    let ended = timeout(NEVER, futures_util::future::join_all(sending)).await.expect("every sender is stopped");
    for (answer, sent) in ended {
        assert_eq!(answer, "HTTP/1.1 413", "after {sent} bytes");
        assert!(sent < BODY_MAX + SOCKET_BUFFERS_MAX, "{sent} bytes went in");
    }
    let grown = peak_memory() - before;
    assert!(grown < 128 << 20, "{grown} bytes of memory for 16 bodies of at most {BODY_MAX}");
}

/// What the kernel holds of one connection on both of its sides, at most.
const SOCKET_BUFFERS_MAX: usize = 16 << 20;

/// The most that this process ever had in memory.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn an_encoded_body_is_415() {
    let server = start(router(), roomy()).await;
    let head = "POST /length HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx";
    let answer = server.talk(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 415 ") && answer.contains("urn:tradewind:error:body_encoded"), "{answer}");
}

#[tokio::test]
async fn headers_without_end_are_431() {
    let server = start(router(), Limits { header_bytes: 8 * 1024, ..roomy() }).await;
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(16 * 1024));
    let mut stream = server.connect().await;
    // The server may hang up before it took all.
    let _sent = stream.write_all(head.as_bytes()).await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_handlers_see_it() {
    let server = start(router(), Limits { connections_per_ip: Some(2), ..roomy() }).await;
    let (mut first, second) = (server.connect().await, server.connect().await);
    let mut third = server.connect().await;
    assert_eq!(rest(&mut third).await, "", "closed unread");
    first.write_all(b"GET /peer HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let own = first.local_addr().unwrap().to_string();
    assert!(answer(&mut first, &own).await.starts_with("HTTP/1.1 200 "));
    drop(second);
    // The seat comes free when the server sees the end.
    let fourth = async {
        loop {
            let mut stream = server.connect().await;
            let mut byte = [0];
            if stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.is_ok() && matches!(stream.read(&mut byte).await, Ok(1)) {
                return;
            }
        }
    };
    timeout(NEVER, fourth).await.expect("a seat comes free");
}

#[tokio::test]
async fn silent_connections_up_to_the_cap_delay_others_only_until_their_deadline() {
    let server = start(router(), Limits { connections: 16, first_byte: SHORT, ..roomy() }).await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(server.connect().await);
    }
    let answer = server.talk(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
}

/// Those who trickle take places, and no more of them than there are: the rest waits outside without a file of ours.
#[tokio::test]
async fn trickling_clients_hold_no_more_files_than_there_are_places() {
    let server = start(router(), Limits { connections: 8, header: 4 * SHORT, ..roomy() }).await;
    let mut trickling = Vec::new();
    for _ in 0..100 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        trickling.push(stream);
    }
    let full = async {
        while accepted(server.address.port()) < 8 {
            tokio::task::yield_now().await;
        }
    };
    timeout(NEVER, full).await.expect("all places are taken");
    for stream in &mut trickling {
        assert!(accepted(server.address.port()) <= 8);
        let _cut_by_now = stream.write_all(b"x: y\r\n").await;
    }
    // They are thrown out one after the other, and somebody honest gets through.
    let answer = server.talk(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
}

/// Connections to a port that a process has taken from the kernel: those that wait in its backlog have no file yet.
fn accepted(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_ours = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[1].ends_with(&format!(":{port:04X}")) && fields[3] == "01" && fields[9] != "0"
    };
    table.lines().skip(1).filter(is_ours).count()
}

#[tokio::test]
async fn requests_in_one_go_are_answered_one_after_the_other() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (of_handler, most_of_handler) = (running.clone(), most.clone());
    let one = get(async move || {
        most_of_handler.fetch_max(of_handler.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        of_handler.fetch_sub(1, Ordering::SeqCst);
        "one"
    });
    let server = start(Router::new().route("/", one), roomy()).await;
    let requests = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(200);
    let mut stream = server.connect().await;
    stream.write_all(&requests).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let answers = rest(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 201);
    assert_eq!(most.load(Ordering::SeqCst), 1, "one connection has one request at work");
}

#[tokio::test]
async fn a_stop_lets_running_requests_finish_and_takes_no_others() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (entering, released) = (entered.clone(), release.clone());
    let held = get(async move || {
        entering.notify_one();
        released.notified().await;
        "finished"
    });
    let server = start(Router::new().route("/", held), roomy()).await;
    let idle = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    entered.notified().await;
    server.stop.cancel();
    let refused = async { while TcpStream::connect(server.address).await.is_ok() {} };
    timeout(NEVER, refused).await.expect("the listener is closed");
    release.notify_one();
    assert!(rest(&mut busy).await.ends_with("finished"));
    assert_eq!(timeout(NEVER, server.served).await.unwrap().unwrap(), Drained { aborted: 0 });
    drop(idle);
}

#[tokio::test]
async fn a_request_that_outlives_the_drain_is_cut_and_counted() {
    let entered = Arc::new(Notify::new());
    let entering = entered.clone();
    let stuck = get(async move || {
        entering.notify_one();
        std::future::pending::<()>().await;
    });
    let server = start(Router::new().route("/", stuck), Limits { drain: SHORT, ..roomy() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    entered.notified().await;
    server.stop.cancel();
    assert_eq!(timeout(NEVER, server.served).await.unwrap().unwrap(), Drained { aborted: 1 });
}

#[tokio::test]
async fn a_panic_closes_one_connection_and_no_other() {
    let router = router().route("/panic", get(async || -> () { panic!("a handler of the test panics") }));
    let server = start(router, roomy()).await;
    assert_eq!(server.talk(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await, "");
    let answer = server.talk(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
}

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_kit::client::{Client, Outgoing, Settings, guard::Forbidden};
use http_kit::{Exchange, NotSent, Unknown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn settings(allowed: &[&str]) -> Settings {
    Settings {
        connect: Duration::from_secs(5),
        read: Duration::from_secs(20),
        total: Duration::from_secs(30),
        response_max: 1000,
        allow_private: allowed.iter().map(|it| it.parse().unwrap()).collect(),
        ..Settings::default()
    }
}

async fn post(settings: &Settings, url: &str) -> Exchange {
    Client::new(settings).unwrap().send(Outgoing::post_json(url, r#"{"id":1}"#)).await
}

/// A server that reads one request, then does as it is told.
async fn server<F: Future<Output = ()> + Send>(reply: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(br#"{"id":1}"#) {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request comes whole");
        }
        reply(stream).await;
    });
    address
}

async fn says(text: String) -> SocketAddr {
    server(async move |mut stream| {
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await
}

async fn exchange_with(address: SocketAddr) -> Exchange {
    post(&settings(&["127.0.0.1"]), &format!("http://{address}/")).await
}

#[tokio::test]
async fn every_status_is_an_answer_and_a_redirect_is_not_followed() {
    for status in ["200 OK", "302 Found", "422 Unprocessable", "503 Away"] {
        let address =
            says(format!("HTTP/1.1 {status}\r\nlocation: http://169.254.169.254/\r\nx-id: 7\r\ncontent-length: 2\r\n\r\nhi")).await;
        let Exchange::Answered { status: answered, headers, body } = exchange_with(address).await else { panic!("no answer") };
        assert_eq!((answered.as_str(), &headers["x-id"], &body[..]), (&status[..3], &"7".parse().unwrap(), &b"hi"[..]));
    }
}

#[tokio::test]
async fn an_answer_is_never_unpacked() {
    let address = says("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzzzz".into()).await;
    let Exchange::Answered { body, .. } = exchange_with(address).await else { panic!("no answer") };
    assert_eq!(&body[..], b"zzzz");
}

/// Also packed: what would be gigabytes is given up at the limit, as it came.
#[tokio::test]
async fn an_answer_without_end_is_given_up_at_the_limit() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let address = server(async move |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        let (chunk, mut sent) = ([&b"10000\r\n"[..], &[0; 0x10000], b"\r\n"].concat(), 0_usize);
        while stream.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
        tell.send(sent).unwrap();
    })
    .await;
    assert_eq!(exchange_with(address).await, Exchange::Unknown(Unknown::TooLarge));
    let sent = told.await.unwrap();
    assert!(sent < 16 << 20, "{sent} bytes of an answer of at most 1000");
}

#[tokio::test]
async fn what_was_sent_without_a_whole_answer_is_unknown() {
    let reset = server(async |stream| drop(stream)).await;
    assert_eq!(exchange_with(reset).await, Exchange::Unknown(Unknown::Reset));
    let babble = says("what?".into()).await;
    assert_eq!(exchange_with(babble).await, Exchange::Unknown(Unknown::Reset));
    let truncated = says("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi".into()).await;
    assert_eq!(exchange_with(truncated).await, Exchange::Unknown(Unknown::Truncated));
    for (length, fits) in [(1000, true), (1001, false)] {
        let large = says(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(length))).await;
        let exchange = exchange_with(large).await;
        assert_eq!(exchange == Exchange::Unknown(Unknown::TooLarge), !fits, "{exchange:?}");
        assert_eq!(matches!(exchange, Exchange::Answered { .. }), fits, "{exchange:?}");
    }
}

#[tokio::test]
async fn silence_is_unknown_before_the_answer_and_within_it() {
    let short = Duration::from_millis(200);
    for (said, settings) in [
        ("", Settings { read: short, ..settings(&["127.0.0.1"]) }),
        ("", Settings { total: short, ..settings(&["127.0.0.1"]) }),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi", Settings { read: short, ..settings(&["127.0.0.1"]) }),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi", Settings { total: short, ..settings(&["127.0.0.1"]) }),
    ] {
        let address = server(async move |mut stream| {
            stream.write_all(said.as_bytes()).await.unwrap();
            std::future::pending().await
        })
        .await;
        let exchange = post(&settings, &format!("http://{address}/")).await;
        assert_eq!(exchange, Exchange::Unknown(Unknown::ReadTimeout), "after {said:?}");
    }
}

#[tokio::test]
async fn what_comes_too_late_is_not_sent() {
    let address = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let client = Client::new(&settings(&["127.0.0.1"])).unwrap();
    let mut outgoing = Outgoing::post_json(format!("http://{address}/"), "{}");
    outgoing.not_after = Some(Instant::now());
    assert_eq!(client.send(outgoing).await, Exchange::NotSent(NotSent::TooLate));
}

#[tokio::test]
async fn what_cannot_have_arrived_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(exchange_with(address).await, Exchange::NotSent(NotSent::Refused));

    // `.invalid` never resolves (RFC 6761).
    let unknown = post(&settings(&[]), "https://shop.invalid/").await;
    assert_eq!(unknown, Exchange::NotSent(NotSent::Dns));

    let bad = post(&settings(&[]), "https://").await;
    assert!(matches!(bad, Exchange::NotSent(NotSent::Invalid(_))), "{bad:?}");
}

#[tokio::test]
async fn a_server_without_tls_or_without_words_is_not_sent_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut plain, _) = listener.accept().await.unwrap();
        plain.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let (mut closing, _) = listener.accept().await.unwrap();
        let _hello = closing.read(&mut [0; 1024]).await.unwrap();
        drop(closing);
        let (silent, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(silent);
    });
    let url = format!("https://{address}/");
    assert_eq!(post(&settings(&["127.0.0.1"]), &url).await, Exchange::NotSent(NotSent::Tls));
    assert_eq!(post(&settings(&["127.0.0.1"]), &url).await, Exchange::NotSent(NotSent::Tls));
    let hasty = Settings { connect: Duration::from_millis(200), ..settings(&["127.0.0.1"]) };
    assert_eq!(post(&hasty, &url).await, Exchange::NotSent(NotSent::ConnectTimeout));
}

#[tokio::test]
async fn private_addresses_are_refused_in_urls_and_behind_names() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost"] {
        let exchange = post(&settings(&[]), &format!("https://{host}:{port}/")).await;
        assert_eq!(exchange, Exchange::NotSent(NotSent::Forbidden(Forbidden::Private)), "{host}");
    }
    let plain = post(&settings(&[]), "http://shop.example.com/").await;
    assert_eq!(plain, Exchange::NotSent(NotSent::Forbidden(Forbidden::Plain)));
}

#[tokio::test]
async fn a_named_host_may_be_private() {
    let address = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into()).await;
    let exchange = post(&settings(&["localhost"]), &format!("http://localhost:{}/", address.port())).await;
    assert!(matches!(exchange, Exchange::Answered { .. }), "{exchange:?}");
}

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use service_kit::Life;
use service_kit::admin::{Admin, serve_on};
use telemetry::testing::{Seen, build};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Dispatch;

struct Port {
    address: SocketAddr,
    life: Life,
    seen: Seen,
    /// Keeps what the log level belongs to.
    _installed: Dispatch,
    client: reqwest::Client,
}

impl Port {
    async fn open() -> Self {
        http_kit::install_crypto();
        let (installed, seen) = build(&telemetry::Settings { level: "error".to_owned(), ..telemetry::Settings::default() }).unwrap();
        let life = Life::new(CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let admin = Admin {
            service: "test",
            versions: BTreeMap::from([("version", "1.2.3".to_owned()), ("librdkafka", "2.12.1".to_owned())]),
            life: life.clone(),
            metrics: seen.guard().metrics(),
            log_level: seen.guard().log_level(),
            shown_settings: "grace = \"1s\"\n".to_owned(),
        };
        tokio::spawn(serve_on(listener, admin, life.stop.clone()));
        Self { address, life, seen, _installed: installed, client: reqwest::Client::new() }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn problem(&self, path: &str) -> (String, String) {
        let (status, text) = self.get(path).await;
        assert_eq!(status, 503, "{text}");
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        (problem["type"].as_str().unwrap().to_owned(), problem["detail"].as_str().unwrap().to_owned())
    }

    async fn put_level(&self, level: &str) -> u16 {
        self.client.put(format!("http://{}/log-level", self.address)).body(level.to_owned()).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn ready_names_the_latch_that_holds_it_back() {
    let port = Port::open().await;
    assert_eq!(port.problem("/ready").await, ("urn:tradewind:error:not_ready".to_owned(), "start: the service has not begun".to_owned()));
    let kafka = port.life.readiness.latch("kafka");
    assert_eq!(port.problem("/ready").await.1, "kafka: not there yet");
    kafka.release();
    assert_eq!(port.get("/ready").await, (200, "ready\n".to_owned()));
    kafka.take_back("no partition for a minute");
    assert_eq!(port.problem("/ready").await.1, "kafka: no partition for a minute");
    kafka.release();
    port.life.readiness.stop();
    assert_eq!(port.problem("/ready").await.1, "stop: the service is stopping");
    assert_eq!(port.get("/live").await.0, 200, "who stops is alive");
}

#[tokio::test]
async fn live_names_the_loop_that_stands_still() {
    let port = Port::open().await;
    assert_eq!(port.get("/live").await, (200, "alive\n".to_owned()));
    port.life.liveness.watch("poll", Duration::from_secs(30), || Duration::from_secs(95));
    let (code, detail) = port.problem("/live").await;
    assert_eq!(code, "urn:tradewind:error:not_alive");
    assert_eq!(detail, "poll: no sign of life for 95s, at most 30s is normal");
}

#[tokio::test]
async fn the_log_level_is_read_and_changed() {
    let port = Port::open().await;
    assert_eq!(port.get("/log-level").await.1, "error\n");
    assert_eq!(port.put_level("info,bus=debug\n").await, 200);
    assert_eq!(port.get("/log-level").await.1, "info,bus=debug\n");
    assert_eq!(port.put_level("loud").await, 400);
    assert_eq!(port.put_level(&"x".repeat(5000)).await, 413);
    assert_eq!(port.seen.guard().log_level().get(), "info,bus=debug");
}

#[tokio::test]
async fn metrics_version_and_settings_are_there_and_unknown_pages_say_so() {
    let port = Port::open().await;
    assert!(port.get("/metrics").await.1.contains("tradewind_build_info{"));
    let version: serde_json::Value = serde_json::from_str(&port.get("/version").await.1).unwrap();
    assert_eq!(version, serde_json::json!({ "service": "test", "version": "1.2.3", "librdkafka": "2.12.1" }));
    assert_eq!(port.get("/config").await, (200, "grace = \"1s\"\n".to_owned()));
    assert!(port.get("/").await.1.contains("/log-level"));
    let (status, text) = port.get("/nowhere").await;
    assert!(status == 404 && text.contains("urn:tradewind:error:not_found"), "{text}");
}

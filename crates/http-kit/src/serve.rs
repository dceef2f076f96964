//! The accept loop. `axum::serve` installs no timers, so a client that sends nothing would hold a connection for ever;
//! here every wait for a client has a deadline, and every kind of connection a cap. HTTP/1 only.

mod connection;
mod limits;
mod peers;
mod watched;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use limits::Limits;

use peers::{Peers, Seat};

/// Wait after an error of `accept` that is about us (no file descriptors left), not about the client.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy when [`Limits::drain`] was over, and were cut.
    pub aborted: usize,
}

/// Serves until `stop`, then takes no more connections and gives running requests [`Limits::drain`] to finish.
///
/// Handlers find the client's address as `ConnectInfo<SocketAddr>`. Request bodies keep the pace of the limits; their size is
/// the handler's to bound, by [`crate::body::read`] or `DefaultBodyLimit`. A stream that sends nothing for [`Limits::idle`] is closed.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) -> Drained {
    let server = Server::new(router, limits);
    let mut connections = JoinSet::new();
    // A full house leaves newcomers in the kernel's backlog, where they wait without costing us anything.
    while let Some(slot) = stop.run_until_cancelled(server.slot()).await {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
        match accepted {
            Ok((stream, peer)) => match server.peers.enter(peer.ip()) {
                Some(seat) => {
                    connections.spawn(server.clone().connection(stream, peer, (slot, seat), stop.clone()));
                }
                None => server.refused.add(1, &[KeyValue::new("reason", "per_ip")]),
            },
            Err(error) if is_of_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections, is the limit of open files too low?");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drain(connections, server.limits.drain).await
}

#[derive(Clone)]
struct Server {
    router: Router,
    limits: Arc<Limits>,
    slots: Arc<Semaphore>,
    peers: Peers,
    refused: Counter<u64>,
    timed_out: Counter<u64>,
}

impl Server {
    fn new(router: Router, limits: Limits) -> Self {
        let meter = opentelemetry::global::meter("http-kit");
        Self {
            router,
            slots: Arc::new(Semaphore::new(limits.connections)),
            peers: Peers::new(limits.connections_per_ip),
            refused: meter
                .u64_counter("tradewind_http_connections_refused")
                .with_description("Connections closed at the door, by reason")
                .build(),
            timed_out: meter
                .u64_counter("tradewind_http_connections_timed_out")
                .with_description("Connections closed because the client was too slow, by phase")
                .build(),
            limits: Arc::new(limits),
        }
    }

    async fn slot(&self) -> OwnedSemaphorePermit {
        self.slots.clone().acquire_owned().await.expect("nobody closes the semaphore")
    }

    async fn connection(
        self,
        stream: TcpStream,
        peer: std::net::SocketAddr,
        _held: (OwnedSemaphorePermit, Option<Seat>),
        stop: CancellationToken,
    ) {
        if let Some(phase) = connection::run(stream, peer, self.router, &self.limits, stop).await {
            self.timed_out.add(1, &[KeyValue::new("phase", phase)]);
        }
    }
}

async fn drain(mut connections: JoinSet<()>, deadline: Duration) -> Drained {
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    let in_time = tokio::time::timeout(deadline, all).await.is_ok();
    let aborted = connections.len();
    if !in_time {
        tracing::warn!(aborted, ?deadline, "cutting connections that are still busy");
        connections.shutdown().await;
    }
    Drained { aborted }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request handler panicked, its connection is closed");
    }
}

/// Errors of one client that hung up before it was accepted.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

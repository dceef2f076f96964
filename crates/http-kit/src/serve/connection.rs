//! One connection: hyper's HTTP/1 over a watched socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::limits::Limits;
use super::watched::{Phase, Watched};
use crate::body::{Pace, Paced};

/// Serves it to its end. What the client was late with, if it was.
pub(super) async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: &Limits,
    stop: CancellationToken,
) -> Option<&'static str> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let phase = Arc::new(Phase::new());
    let (of_requests, pace) = (phase.clone(), limits.body);
    let service = service_fn(move |request| handle(router.clone(), request, peer, pace, of_requests.clone()));
    // No timer for hyper: the watched socket has all deadlines, with one timer per connection and none per request.
    let connection = http1::Builder::new()
        .max_buf_size(limits.header_bytes.max(8 * 1024))
        .serve_connection(TokioIo::new(Watched::new(stream, limits, phase.clone())), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    phase.missed()
}

async fn handle(
    mut router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    pace: Pace,
    phase: Arc<Phase>,
) -> Result<Response, Infallible> {
    phase.request_begins();
    let mut request = request.map(|body| Body::new(Paced::new(body, pace)));
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.call(request).await;
    phase.request_ends();
    response
}

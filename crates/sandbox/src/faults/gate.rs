//! A double's listener. It can be closed, as when a server is really gone: the kernel refuses connections then, and the
//! port stays ours.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::wire::{Dripping, Wire};

const BACKLOG: u32 = 1024;
/// After an error of `accept`: it may last, as when no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: is the port taken?")]
pub struct GateError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// An open listener. Dropping it stops it.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    stop: CancellationToken,
    commands: mpsc::UnboundedSender<Command>,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Command {
    /// Refuse connections, until a time or until told.
    Close(Option<Duration>, oneshot::Sender<()>),
    Open(oneshot::Sender<()>),
}

/// Closes and opens a gate; for those who don't own it.
#[derive(Debug, Clone)]
pub struct GateKeeper {
    stop: CancellationToken,
    commands: mpsc::UnboundedSender<Command>,
}

impl Gate {
    /// Listens on `address`; port 0 takes a free one.
    pub fn open(address: SocketAddr, router: Router) -> Result<Self, GateError> {
        let (address, listener) = listen(address).map_err(|source| GateError { address, source })?;
        let stop = CancellationToken::new();
        let (commands, inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(address, listener, router, inbox, stop.clone()));
        Ok(Self { address, stop, commands, task: Some(task) })
    }

    /// Like [`Gate::open`] for routers that want to close the gate they stand behind.
    pub fn open_with(address: SocketAddr, router: impl FnOnce(GateKeeper) -> Router) -> Result<Self, GateError> {
        let (address, listener) = listen(address).map_err(|source| GateError { address, source })?;
        let stop = CancellationToken::new();
        let (commands, inbox) = mpsc::unbounded_channel();
        let router = router(GateKeeper { stop: stop.clone(), commands: commands.clone() });
        let task = tokio::spawn(run(address, listener, router, inbox, stop.clone()));
        Ok(Self { address, stop, commands, task: Some(task) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn keeper(&self) -> GateKeeper {
        GateKeeper { stop: self.stop.clone(), commands: self.commands.clone() }
    }

    /// Resets all connections and frees the port.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "a double's listener panicked");
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl GateKeeper {
    /// Refuses connections for a time, or until [`GateKeeper::restore`]; open connections are reset. Returns when the port is closed.
    pub async fn refuse(&self, time: Option<Duration>) {
        let (done, closed) = oneshot::channel();
        self.send(Command::Close(time, done), closed).await;
    }

    /// Ends an outage. Returns when the port is open.
    pub async fn restore(&self) {
        let (done, open) = oneshot::channel();
        self.send(Command::Open(done), open).await;
    }

    /// Goes down and up in turns, in the background: first down.
    pub fn flap(&self, down: Duration, up: Duration, times: u32) {
        let keeper = self.clone();
        tokio::spawn(async move {
            for _ in 0..times {
                keeper.refuse(Some(down)).await;
                if keeper.stop.run_until_cancelled(tokio::time::sleep(down + up)).await.is_none() {
                    return;
                }
            }
        });
    }

    async fn send(&self, command: Command, done: oneshot::Receiver<()>) {
        // A gate that is stopped is closed for good: nothing to wait for.
        if self.commands.send(command).is_ok() && done.await.is_err() {
            tracing::debug!("the listener stopped meanwhile");
        }
    }
}

async fn run(
    address: SocketAddr,
    mut listener: TcpListener,
    router: Router,
    mut inbox: mpsc::UnboundedReceiver<Command>,
    stop: CancellationToken,
) {
    loop {
        let life = stop.child_token();
        let closed = serve(&listener, &router, &mut inbox, &life).await;
        life.cancel();
        drop(listener);
        let Some((time, done)) = closed else { return };
        let Some(reopened) = outage(address, time, done, &mut inbox, &stop).await else { return };
        listener = reopened;
    }
}

/// Accepts until told to close. `None`: stopped.
async fn serve(
    listener: &TcpListener,
    router: &Router,
    inbox: &mut mpsc::UnboundedReceiver<Command>,
    life: &CancellationToken,
) -> Option<(Option<Duration>, oneshot::Sender<()>)> {
    loop {
        tokio::select! {
            biased;
            () = life.cancelled() => return None,
            command = inbox.recv() => match command? {
                Command::Close(time, done) => return Some((time, done)),
                Command::Open(done) => tell(done),
            },
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream, router.clone(), life.clone()))),
                Err(error) => {
                    tracing::debug!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Holds the port without listening, so that the kernel refuses. `None`: stopped.
async fn outage(
    address: SocketAddr,
    time: Option<Duration>,
    done: oneshot::Sender<()>,
    inbox: &mut mpsc::UnboundedReceiver<Command>,
    stop: &CancellationToken,
) -> Option<TcpListener> {
    let held = bind(address).expect("the port was ours a moment ago");
    tell(done);
    let far = Duration::from_secs(86_400 * 365);
    let mut ends = tokio::time::Instant::now() + time.unwrap_or(far);
    let told = loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            command = inbox.recv() => match command? {
                Command::Close(time, done) => {
                    ends = tokio::time::Instant::now() + time.unwrap_or(far);
                    tell(done);
                }
                Command::Open(done) => break Some(done),
            },
            () = tokio::time::sleep_until(ends) => break None,
        }
    };
    let listener = held.listen(BACKLOG).expect("a bound socket can listen");
    if let Some(done) = told {
        tell(done);
    }
    Some(listener)
}

fn tell(done: oneshot::Sender<()>) {
    if done.send(()).is_err() {
        tracing::debug!("nobody waits for the gate");
    }
}

async fn connection(stream: TcpStream, router: Router, life: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let wire = Wire::new();
    let of_requests = wire.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, wire) = (router.clone(), of_requests.clone());
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(wire);
            let Ok(response) = router.oneshot(request).await;
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Dripping::new(stream, wire.clone()));
    let mut connection = http1::Builder::new().serve_connection(io, service);
    tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a client left early");
            }
            return;
        }
        () = wire.until_hang_up() => return,
        () = wire.until_reset() => {}
        () = life.cancelled() => {}
    }
    let stream = connection.into_parts().io.into_inner().into_inner();
    // Closing a socket that may not linger sends RST instead of FIN.
    if let Err(error) = stream.set_zero_linger() {
        tracing::warn!(%error, "a connection will be closed, not reset");
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of the time before may still be around.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = bind(address)?;
    let address = socket.local_addr()?;
    Ok((address, socket.listen(BACKLOG)?))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    fn gate() -> Gate {
        Gate::open("127.0.0.1:0".parse().unwrap(), Router::new().route("/", get(|| async { "hi" }))).unwrap()
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<String> {
        stream.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"hi") {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(String::from_utf8(answer).unwrap())
    }

    async fn refused(address: SocketAddr) -> bool {
        matches!(TcpStream::connect(address).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    #[tokio::test]
    async fn a_closed_gate_refuses_resets_what_is_open_and_comes_back_on_its_port() {
        let gate = gate();
        let mut open = TcpStream::connect(gate.address()).await.unwrap();
        assert!(ask(&mut open).await.unwrap().starts_with("HTTP/1.1 200"));

        gate.keeper().refuse(None).await;
        assert!(refused(gate.address()).await);
        let error = open.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

        gate.keeper().restore().await;
        let mut again = TcpStream::connect(gate.address()).await.unwrap();
        assert!(ask(&mut again).await.is_ok());
        gate.stop().await;
    }

    #[tokio::test]
    async fn an_outage_ends_by_itself() {
        let gate = gate();
        gate.keeper().refuse(Some(Duration::from_millis(50))).await;
        assert!(refused(gate.address()).await);
        let back = async { while refused(gate.address()).await {} };
        tokio::time::timeout(Duration::from_secs(5), back).await.unwrap();
    }

    #[tokio::test]
    async fn flapping_goes_down_as_often_as_told() {
        let gate = gate();
        gate.keeper().flap(Duration::from_millis(60), Duration::from_millis(60), 2);
        let mut downs = 0;
        let watch = async {
            while downs < 2 {
                while !refused(gate.address()).await {
                    tokio::task::yield_now().await;
                }
                downs += 1;
                while refused(gate.address()).await {}
            }
        };
        tokio::time::timeout(Duration::from_secs(5), watch).await.unwrap();
    }

    #[tokio::test]
    async fn a_stopped_gate_frees_its_port() {
        let gate = gate();
        let address = gate.address();
        gate.stop().await;
        assert!(refused(address).await);
        let taken = std::net::TcpListener::bind(address);
        assert!(taken.is_ok(), "{taken:?}");
    }
}

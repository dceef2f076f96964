//! A TCP proxy before one server, whose connections can be spoiled: what a network does to those who trust it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::seconds;

/// What is wrong with the way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Toxic {
    /// Nothing.
    Clear,
    /// Every piece arrives late, in each direction, by up to twice this.
    Latency(#[serde(with = "seconds")] Duration),
    /// Nobody listens, and open connections are reset.
    Down,
    /// Connections stay open and nothing comes through.
    Blackhole,
    /// What clients send arrives; answers do not.
    HalfOpen,
    /// Each connection is reset after so many bytes of answers.
    ResetAfter(usize),
    /// Each connection ends in good order after so many bytes of answers.
    EndAfter(usize),
    /// Pieces of this size, with a pause after each.
    Slices(usize),
    /// Bytes in a second, in each direction of each connection.
    Bandwidth(usize),
}

/// Listens on a port of its own until it is dropped.
pub(crate) struct Proxy {
    port: u16,
    toxic: watch::Sender<Toxic>,
    servers: watch::Sender<Arc<[SocketAddr]>>,
    _listening: AbortOnDropHandle<()>,
}

impl Proxy {
    /// To nobody yet.
    pub(crate) fn open() -> io::Result<Self> {
        let listener = listen(0)?;
        let port = listener.local_addr()?.port();
        let (toxic, now) = watch::channel(Toxic::Clear);
        let (servers, to) = watch::channel(Arc::from([]));
        let listening = AbortOnDropHandle::new(tokio::spawn(serve(listener, port, now, to)));
        Ok(Self { port, toxic, servers, _listening: listening })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// New connections take them in turn.
    pub(crate) fn lead_to(&self, servers: impl IntoIterator<Item = SocketAddr>) {
        self.servers.send_replace(servers.into_iter().collect());
    }

    pub(crate) fn set(&self, toxic: Toxic) {
        self.toxic.send_replace(toxic);
    }

    /// For so long, unless something else is set meanwhile.
    pub(crate) fn set_for(&self, toxic: Toxic, lasting: Duration) {
        self.set(toxic);
        let set = self.toxic.clone();
        tokio::spawn(async move {
            sleep(lasting).await;
            set.send_if_modified(|now| {
                let is_ours = *now == toxic;
                if is_ours {
                    *now = Toxic::Clear;
                }
                is_ours
            });
        });
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(1_024)
}

async fn serve(listener: TcpListener, port: u16, mut toxic: watch::Receiver<Toxic>, servers: watch::Receiver<Arc<[SocketAddr]>>) {
    let mut listener = Some(listener);
    let mut turn = 0..;
    loop {
        let is_down = *toxic.borrow_and_update() == Toxic::Down;
        if is_down {
            listener = None;
        } else if listener.is_none() {
            // It is ours: nobody else was given it in between. Should it still be held, the next round finds it free.
            listener = listen(port).ok();
        }
        let is_missing = listener.is_none() && !is_down;
        tokio::select! {
            () = sleep(BRIEFLY), if is_missing => {}
            changed = toxic.changed() => if changed.is_err() { return },
            Ok((client, _)) = async { match &listener { Some(it) => it.accept().await, None => std::future::pending().await } } => {
                let to = servers.borrow().clone();
                if let Some(server) = to.get(turn.next().unwrap_or_default() % to.len().max(1)) {
                    tokio::spawn(connection(client, *server, toxic.clone()));
                }
            }
        }
    }
}

async fn connection(mut client: TcpStream, server: SocketAddr, toxic: watch::Receiver<Toxic>) -> io::Result<()> {
    let Ok(mut upstream) = TcpStream::connect(server).await else { return client.set_zero_linger() };
    // Late pieces are our doing and nobody else's.
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let mut watching = toxic.clone();
    let end = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), upstream.split());
        tokio::select! {
            end = pump(from_client, to_server, Way::There, toxic.clone()) => end,
            end = pump(from_server, to_client, Way::Back, toxic) => end,
            _ = watching.wait_for(|it| *it == Toxic::Down) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    };
    if end.is_err() {
        // Without time to linger, the end of a socket is a reset.
        client.set_zero_linger()?;
        upstream.set_zero_linger()?;
    }
    end
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

/// Copies one direction until it ends; an error is how the other direction has to end as well.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, way: Way, mut toxic: watch::Receiver<Toxic>) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let now = *toxic.wait_for(|it| !holds_back(*it, way)).await.map_err(|_| io::ErrorKind::ConnectionAborted)?;
        match now {
            Toxic::ResetAfter(bytes) | Toxic::EndAfter(bytes) if way == Way::Back && passed + read > bytes => {
                to.write_all(&buffer[..bytes.saturating_sub(passed).min(read)]).await?;
                return if matches!(now, Toxic::ResetAfter(_)) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) };
            }
            Toxic::Latency(by) => {
                sleep(by.mul_f64(rand::random_range(0.0..2.0))).await;
                to.write_all(&buffer[..read]).await?;
            }
            Toxic::Slices(size) => in_slices(&mut to, &buffer[..read], size, BRIEFLY).await?,
            Toxic::Bandwidth(bytes) => in_slices(&mut to, &buffer[..read], (bytes / 20).max(1), BRIEFLY * 10).await?,
            _ => to.write_all(&buffer[..read]).await?,
        }
        passed += read;
    }
}

/// As a network without a way does it: what was sent arrives once there is one again, if anybody still waits.
fn holds_back(toxic: Toxic, way: Way) -> bool {
    toxic == Toxic::Blackhole || (toxic == Toxic::HalfOpen && way == Way::Back)
}

async fn in_slices(to: &mut WriteHalf<'_>, bytes: &[u8], size: usize, pause: Duration) -> io::Result<()> {
    for slice in bytes.chunks(size) {
        to.write_all(slice).await?;
        sleep(pause).await;
    }
    Ok(())
}

const BRIEFLY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// An echo, and a proxy before it.
    async fn echo() -> Proxy {
        let listener = listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let proxy = Proxy::open().unwrap();
        proxy.lead_to([address]);
        proxy
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.address()).await.unwrap()
    }

    async fn ask(stream: &mut TcpStream, size: usize) -> io::Result<usize> {
        stream.write_all(&vec![b'x'; size]).await?;
        let mut answer = Vec::new();
        while answer.len() < size {
            if stream.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        Ok(answer.len())
    }

    #[tokio::test]
    async fn what_is_clear_passes_whole_and_slices_do_too() {
        let proxy = echo().await;
        assert_eq!(ask(&mut connect(&proxy).await, 100_000).await.unwrap(), 100_000);
        for toxic in [Toxic::Slices(7), Toxic::Latency(Duration::from_millis(1)), Toxic::Bandwidth(100_000)] {
            proxy.set(toxic);
            assert_eq!(ask(&mut connect(&proxy).await, 50).await.unwrap(), 50, "{toxic:?}");
        }
    }

    #[tokio::test]
    async fn down_resets_what_is_open_and_refuses_what_comes_until_it_is_over() {
        let proxy = echo().await;
        let mut open = connect(&proxy).await;
        ask(&mut open, 5).await.unwrap();
        proxy.set(Toxic::Down);
        assert_eq!(ask(&mut open, 5).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        testkit::eventually_eq(SOON, true, async || TcpStream::connect(proxy.address()).await.is_err()).await;
        proxy.set(Toxic::Clear);
        testkit::eventually_eq(SOON, true, async || TcpStream::connect(proxy.address()).await.is_ok()).await;
    }

    #[tokio::test]
    async fn a_black_hole_is_silent_and_gives_up_what_it_holds_when_it_closes() {
        let proxy = echo().await;
        for toxic in [Toxic::Blackhole, Toxic::HalfOpen] {
            let mut open = connect(&proxy).await;
            proxy.set(toxic);
            assert!(timeout(Duration::from_millis(50), ask(&mut open, 5)).await.is_err(), "{toxic:?}");
            proxy.set(Toxic::Clear);
            let mut answer = [0; 5];
            open.read_exact(&mut answer).await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_answer_is_cut_off_after_so_many_bytes() {
        let proxy = echo().await;
        proxy.set(Toxic::EndAfter(10));
        assert_eq!(ask(&mut connect(&proxy).await, 50).await.unwrap(), 10);
        proxy.set(Toxic::ResetAfter(0));
        assert_eq!(ask(&mut connect(&proxy).await, 50).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    const SOON: Duration = Duration::from_secs(10);
}

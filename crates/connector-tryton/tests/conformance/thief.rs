//! Stands before the server and keeps the answers to some requests for itself: they are carried out, and nobody hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) struct Thief {
    /// The server's URL, by way of the thief.
    pub(crate) url: String,
    stolen: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Thief {
    /// Steals the answers to calls of `method`.
    pub(crate) async fn of(server: &str, method: &'static str) -> Self {
        let (host, path) = server.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{path}", listener.local_addr().unwrap());
        let (host, stolen) = (host.to_owned(), Arc::new(AtomicUsize::new(0)));
        let counted = stolen.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (host, counted) = (host.clone(), counted.clone());
                tokio::spawn(async move { serve(client, &host, method, &counted).await });
            }
        });
        Self { url, stolen, accepting }
    }

    /// Returns when the server has answered that many stolen calls.
    pub(crate) async fn has_stolen(&self, count: usize) {
        let counted = async {
            while self.stolen() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), counted).await.expect("the server answers");
    }

    pub(crate) fn stolen(&self) -> usize {
        self.stolen.load(Ordering::SeqCst)
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One request and its answer.
async fn serve(mut client: TcpStream, host: &str, method: &str, stolen: &AtomicUsize) {
    let Some(request) = request(&mut client).await else { return };
    let answer = forward(&request, host).await;
    if request.windows(method.len()).any(|it| it == method.as_bytes()) {
        stolen.fetch_add(1, Ordering::SeqCst);
        // Until the client has had enough.
        let mut nothing = [0];
        while client.read(&mut nothing).await.is_ok_and(|it| it > 0) {}
        return;
    }
    client.write_all(&answer).await.unwrap();
}

/// The whole request, which ends the connection.
async fn request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|it| it.strip_prefix("content-length:")?.trim().parse::<usize>().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                bytes.splice(end..end, *b"\r\nconnection: close");
                return Some(bytes);
            }
        }
        match client.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

async fn forward(request: &[u8], host: &str) -> Vec<u8> {
    let mut server = TcpStream::connect(host).await.unwrap();
    server.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.unwrap();
    let head = b"HTTP/1.1 200 OK\r\n".len().min(answer.len());
    let line = answer.iter().position(|it| *it == b'\n').unwrap_or(head) + 1;
    answer.splice(line..line, *b"connection: close\r\n");
    answer
}

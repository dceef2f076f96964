//! The outbound client. Its answer says what the caller must know before it may try again: whether the request can have
//! arrived. It follows no redirects, unpacks nothing, reads no answer without end, and connects to no address of our own
//! network that the settings don't name.

mod exchange;
pub mod guard;
mod retry_after;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, header};
use kill_point::{Point, reach};
use reqwest::Url;

pub use exchange::{Exchange, NotSent, Unknown};
pub use guard::{Allowed, AllowedError};
pub use retry_after::{RETRY_AFTER_MAX, retry_after};

use guard::Guard;

/// How a client reaches one foreign system.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For name look-up, TCP and TLS together.
    pub connect: Duration,
    /// Between two pieces of an answer, and from the request to its first piece.
    pub read: Duration,
    /// For the whole exchange.
    pub total: Duration,
    /// Bytes of an answer's body; a longer one is given up.
    pub response_max: usize,
    /// Hosts, addresses and networks (`erp.internal`, `10.1.2.3`, `10.0.0.0/8`) that may be private, and plain `http`.
    pub allow_private: Vec<Allowed>,
    /// Connections kept open between requests.
    pub pool: usize,
    pub user_agent: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            read: Duration::from_secs(20),
            total: Duration::from_secs(30),
            response_max: 16 * 1024 * 1024,
            allow_private: Vec::new(),
            pool: 64,
            user_agent: format!("tradewind/{}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// The TLS stack could not be set up; nothing can be sent.
#[derive(Debug, thiserror::Error)]
#[error("could not set up the HTTP client; are the system's root certificates installed?")]
pub struct ClientError(#[source] reqwest::Error);

/// What to send. Header values that are secrets are to be marked `set_sensitive`.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// After that it is not sent any more.
    pub not_after: Option<Instant>,
}

impl Outgoing {
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: HeaderMap::new(), body: None, not_after: None }
    }

    /// A POST of bytes that are JSON already: what was stored is what is sent.
    pub fn post_json(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Self { method: Method::POST, url: url.into(), headers, body: Some(body.into()), not_after: None }
    }

    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// A client of one foreign system. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    guard: Arc<Guard>,
    response_max: usize,
}

impl Client {
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        install_crypto();
        let guard = Arc::new(Guard::new(settings.allow_private.clone()));
        let http = reqwest::Client::builder()
            .connect_timeout(settings.connect)
            .read_timeout(settings.read)
            .timeout(settings.total)
            .pool_max_idle_per_host(settings.pool)
            .user_agent(&settings.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            // Whether to send again is decided by who knows what a second time would do.
            .retry(reqwest::retry::never())
            // A proxy would resolve names behind our back.
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .dns_resolver(guard::Resolver::new(guard.clone()))
            .build()
            .map_err(ClientError)?;
        Ok(Self { http, guard, response_max: settings.response_max })
    }

    /// Sends it once. What went wrong is in the [`Exchange`], and so is every status of an answer.
    pub async fn send(&self, outgoing: Outgoing) -> Exchange {
        let url = match self.admit(&outgoing.url) {
            Ok(url) => url,
            Err(refused) => return Exchange::NotSent(refused),
        };
        let mut request = self.http.request(outgoing.method, url).headers(outgoing.headers);
        if let Some(body) = outgoing.body {
            request = request.body(body);
        }
        // A process may have stood still since it was decided to send this.
        if outgoing.not_after.is_some_and(|at| Instant::now() >= at) {
            return Exchange::NotSent(NotSent::TooLate);
        }
        match request.send().await {
            Ok(response) => {
                reach(Point::HttpAnswered);
                self.read(response).await
            }
            Err(error) => exchange::of_error(&error),
        }
    }

    fn admit(&self, url: &str) -> Result<Url, NotSent> {
        let url = Url::parse(url).map_err(|_| NotSent::Invalid("the URL cannot be parsed"))?;
        self.guard.admit(&url)?;
        Ok(url)
    }

    async fn read(&self, mut response: reqwest::Response) -> Exchange {
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.response_max => return Exchange::Unknown(Unknown::TooLarge),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Exchange::Answered { status, headers, body: body.freeze() },
                Err(error) if error.is_timeout() => return Exchange::Unknown(Unknown::ReadTimeout),
                Err(_) => return Exchange::Unknown(Unknown::Truncated),
            }
        }
    }
}

/// Makes ring the process's TLS provider. Safe to call again: the first one stays.
pub fn install_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() && rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("another thread installed a TLS provider at the same time");
    }
}

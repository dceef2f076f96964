use std::error::Error;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::guard::{Forbidden, LookupFailed};

/// How one exchange with a foreign system ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// Not a byte of the request was sent: trying again cannot do anything twice.
    NotSent(NotSent),
    /// Sent, and no whole answer: the request may have been carried out.
    Unknown(Unknown),
    /// Any status, also 3xx, which is not followed.
    Answered { status: StatusCode, headers: HeaderMap, body: Bytes },
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotSent {
    #[error("the connection was refused or the host cannot be reached")]
    Refused,
    #[error("the host name could not be resolved")]
    Dns,
    #[error("no TLS session: the certificate was refused or the other side does not speak TLS")]
    Tls,
    #[error("connecting took too long")]
    ConnectTimeout,
    /// It was to be sent earlier or not at all.
    #[error("it is too late to send it")]
    TooLate,
    /// Our settings forbid it; waiting will not help.
    #[error("forbidden: {0}")]
    Forbidden(#[from] Forbidden),
    /// The request is none; waiting will not help.
    #[error("invalid request: {0}")]
    Invalid(&'static str),
}

/// Why there is no answer to rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unknown {
    #[error("no answer in time")]
    ReadTimeout,
    #[error("the connection broke before an answer")]
    Reset,
    #[error("the answer broke off")]
    Truncated,
    #[error("the answer is larger than allowed")]
    TooLarge,
}

impl NotSent {
    /// A metric label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::TooLate => "too_late",
            Self::Forbidden(_) => "forbidden",
            Self::Invalid(_) => "invalid",
        }
    }
}

impl Unknown {
    /// A metric label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ReadTimeout => "read_timeout",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::TooLarge => "too_large",
        }
    }
}

/// An error of sending, before there was an answer's head. What is not known to be unsent counts as sent.
pub(super) fn of_error(error: &reqwest::Error) -> Exchange {
    if error.is_builder() {
        return Exchange::NotSent(NotSent::Invalid("a header or the URL has characters that HTTP forbids"));
    }
    if error.is_connect() {
        return Exchange::NotSent(of_connect(error));
    }
    Exchange::Unknown(if error.is_timeout() { Unknown::ReadTimeout } else { Unknown::Reset })
}

fn of_connect(error: &reqwest::Error) -> NotSent {
    if let Some(forbidden) = cause::<Forbidden>(error) {
        return NotSent::Forbidden(*forbidden);
    }
    if cause::<LookupFailed>(error).is_some() || error.is_dns() {
        return NotSent::Dns;
    }
    if cause::<rustls::Error>(error).is_some() {
        return NotSent::Tls;
    }
    let is_io = |kinds: &[io::ErrorKind]| chain(error).filter_map(|it| it.downcast_ref::<io::Error>()).any(|it| kinds.contains(&it.kind()));
    if error.is_timeout() || is_io(&[io::ErrorKind::TimedOut]) {
        return NotSent::ConnectTimeout;
    }
    // A server that hangs up or babbles during the handshake.
    if is_io(&[io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData]) { NotSent::Tls } else { NotSent::Refused }
}

/// The first cause of that type.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|it| it.downcast_ref())
}

/// The error and its causes. An `io::Error` hides what it wraps from `source`, so that is looked into as well.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&current| match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
        None => current.source(),
    })
}

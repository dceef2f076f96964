use std::time::Duration;

use crate::body::Pace;

/// What a client may take of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the connection to its first byte.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its headers.
    pub header: Duration,
    /// Bytes of a request's headers; more are answered 431. At least 8 KiB.
    pub header_bytes: usize,
    /// How fast a request's body must come.
    pub body: Pace,
    /// Between two requests of one connection.
    pub idle: Duration,
    /// How long a client may refuse to take what we send.
    pub write_stall: Duration,
    /// Connections at once; more wait in the kernel's backlog.
    pub connections: usize,
    /// Connections at once of one address (of one /64 in IPv6); more are closed. `None` behind a load balancer, whose
    /// address all of them have.
    pub connections_per_ip: Option<usize>,
    /// Time that running requests have to finish after the stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(5),
            header: Duration::from_secs(5),
            header_bytes: 64 * 1024,
            body: Pace { grace: Duration::from_secs(3), rate: 8 * 1024, total: Duration::from_secs(30) },
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(15),
            connections: 4096,
            connections_per_ip: Some(256),
            drain: Duration::from_secs(10),
        }
    }
}

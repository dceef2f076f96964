//! What tests need of the world: real servers, a fresh database each, processes to kill, and one way to wait.
//!
//! Servers are shared by all test binaries of a run (see [`shared`]) and run on loopback. A test is alone in them by its
//! [`prefix`] and its [`database`]; one that kills a server takes its [`own`].

pub mod commits;
mod database;
mod eventually;
mod orders;
pub mod own;
pub mod records;
mod roles;
mod scripts;
mod service;
pub mod shared;

pub use database::{database, empty_database};
pub use eventually::{eventually, eventually_eq};
pub use orders::order;
pub use own::Server;
pub use roles::Logins;
pub use service::{Service, ServiceBuilder};
pub use shared::{Tryton, kafka, postgres, tryton};

use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Before every topic and group name of a test, so that it is alone on a shared broker.
pub fn prefix() -> String {
    format!("t{}.", &uuid::Uuid::new_v4().simple().to_string()[..10])
}

/// How often a test repeats what goes wrong once in a thousand times: `usual` in every run, `nightly` where `TRADEWIND_TESTS=nightly`.
pub fn rounds(usual: usize, nightly: usize) -> usize {
    if std::env::var("TRADEWIND_TESTS").is_ok_and(|it| it == "nightly") { nightly } else { usual }
}

/// A port on which nobody listens, and that nobody else in this process is given. The kernel takes the ports of outgoing connections
/// from another range, so it is still free when it is used.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        // Processes that run side by side begin at different places.
        let spread = u16::try_from(std::process::id().wrapping_mul(7_919) % u32::from(PORTS.end - PORTS.start)).unwrap_or_default();
        AtomicU16::new(PORTS.start + spread)
    });
    let next = || {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        PORTS.start + port % (PORTS.end - PORTS.start)
    };
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(next).take(usize::from(PORTS.end - PORTS.start)).find(is_free).expect("loopback has a free port")
}

/// Below what Linux gives to outgoing connections and what the scripts of `deploy/local` choose from.
const PORTS: Range<u16> = 10_000..20_000;

/// Where the checkout is.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A program of this workspace, of the same build as the running one: `tradewind`, `order-router`.
pub fn binary(name: &str) -> PathBuf {
    let path = programs().join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}

/// Where cargo puts programs: `target/<profile>`. Tests are in `deps` below it.
pub fn programs() -> PathBuf {
    let running = std::env::current_exe().expect("a running program has a path");
    let folder = running.parent().expect("a program is in a folder");
    if folder.ends_with("deps") { folder.parent().expect("it is below target/<profile>").to_owned() } else { folder.to_owned() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_port_is_given_twice() {
        let mut ports: Vec<u16> = (0..500).map(|_| super::free_port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 500);
    }

    #[test]
    fn two_tests_have_two_prefixes() {
        assert_ne!(super::prefix(), super::prefix());
    }
}

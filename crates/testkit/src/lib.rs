//! What tests need of the world: real servers, a fresh database each, processes to kill, and one way to wait.
//!
//! Servers are shared by all test binaries of a run (see [`shared`]) and run on loopback. A test is alone in them by its
//! [`prefix`] and its [`database`]; one that kills a server takes its [`own`].

mod database;
mod eventually;
pub mod own;
mod roles;
mod scripts;
mod service;
pub mod shared;

pub use database::{database, empty_database};
pub use eventually::{eventually, eventually_eq};
pub use own::Server;
pub use roles::Logins;
pub use service::{Service, ServiceBuilder};
pub use shared::{Tryton, kafka, postgres, tryton};

use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Before every topic and group name of a test, so that it is alone on a shared broker.
pub fn prefix() -> String {
    format!("t{}.", &uuid::Uuid::new_v4().simple().to_string()[..10])
}

/// A port on which nobody listens right now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("loopback has a free port").port()
}

/// Where the checkout is.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A program of this workspace, next to the running test: `tradewind`, `order-router`.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let deps = test.parent().expect("a program is in a folder");
    let path = deps.parent().expect("cargo puts tests into target/<profile>/deps").join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_tests_have_two_prefixes() {
        assert_ne!(super::prefix(), super::prefix());
    }
}

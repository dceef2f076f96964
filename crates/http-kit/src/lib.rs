//! HTTP as every service of ours speaks it: a server that slow or greedy clients cannot hold, bodies read within limits,
//! signature checks over raw bytes, problem documents, and an outbound client that says whether a request may have arrived.

pub mod body;
pub mod client;
pub mod problem;
pub mod serve;
pub mod signature;

pub use body::BodyError;
pub use client::{Client, Exchange, NotSent, Unknown, install_crypto};
pub use problem::Problem;
pub use serve::{Limits, serve};
pub use signature::{Encoding, SecretFiles, Secrets};

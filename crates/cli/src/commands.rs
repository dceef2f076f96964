//! One file per command.

pub(crate) mod account;
pub(crate) mod backfill;
pub(crate) mod connectors;
pub(crate) mod dev;
pub(crate) mod dlq;
pub(crate) mod local_config;
pub(crate) mod migrate;
pub(crate) mod rules;
pub(crate) mod sandbox;
pub(crate) mod topics;
pub(crate) mod trace;

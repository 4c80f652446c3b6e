//! A whole server over loopback: devices on one side, HTTP on the other.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod access;
mod bad_http;
mod bodies;
mod bootstrap;
mod bootstrap_trace;
mod bulk;
mod certificates;
mod commands;
mod composite;
mod credentials;
mod crowd;
mod damaged;
mod definitions;
mod described;
mod deviations;
mod durable;
mod event_types;
mod events;
mod failing;
mod fleet;
mod history;
mod models;
mod operations;
mod queue;
mod resumption;
mod secured;
mod sessions;
mod support;
mod trace;
mod values;
mod verdicts;
mod versions;

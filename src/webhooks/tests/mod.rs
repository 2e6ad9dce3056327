//! Tests of the webhooks: payloads, response checks, delivery order, long outages, operators' commands, and the client
//! against receivers that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod circuit_breaker;
mod delivery_order;
mod fixture;
mod labels;
mod operators;
mod payloads_and_store;
mod receiver_client;
mod resync_pace;
mod retry_timing;
mod signatures;

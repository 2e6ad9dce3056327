//! Tests of the webhooks: words, verdicts, order, hours in which receivers fail, what operators do meanwhile, and the
//! client against receivers that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod circuit_breaker;
mod delivery_order;
mod fixture;
mod operators;
mod payloads_and_store;
mod receiver_client;
mod retry_timing;
mod signatures;

//! Tests of the webhooks: words, verdicts, order, and the client against receivers that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod breaker;
mod client;
mod order;
mod signatures;
mod words;

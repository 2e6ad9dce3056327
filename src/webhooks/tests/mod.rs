//! Tests of the webhooks: words, verdicts, order, hours in which receivers fail, what operators do meanwhile, and the
//! client against receivers that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod breaker;
mod client;
mod fixture;
mod hours;
mod operators;
mod order;
mod signatures;
mod words;

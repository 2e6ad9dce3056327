//! The whole product, from outside: the real binary, real HTTP, real disks, real kills.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod access;
mod audit;
mod authorization;
mod bridge;
mod calls;
mod clock;
mod cloud_api;
mod command_line;
mod console;
mod contract;
mod crash;
mod delivery;
mod disk;
mod faults;
mod fixture;
mod frozen;
mod gateway_check;
mod gateways;
mod graph;
mod listen;
mod log;
mod management;
mod metrics;
mod muster;
mod once;
mod openapi;
mod operators;
mod packaging;
mod power;
mod proxied;
mod readme;
mod reference_gateway;
mod secrets;
mod signals;
mod starts;
#[path = "../testkit/mod.rs"]
mod testkit;
mod tidy;
mod tls;
mod traces;
mod vault;

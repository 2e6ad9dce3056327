//! The whole product, from outside: the real binary, real HTTP, real disks, real kills.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod access;
mod audit;
mod authorization;
mod backups;
mod bridge;
mod calls;
mod clock;
mod cloud_api;
mod command_line;
mod console;
mod contents;
mod contract;
mod crash;
mod delivery;
mod disk;
mod fake_graph;
mod faults;
mod fixture;
mod frozen;
mod gateway_check;
mod gateways;
mod generations;
mod idempotency;
mod kept_checkpoints;
mod labels;
mod listen;
mod log_masking;
mod metrics;
mod openapi;
mod operator_requests;
mod order_reasons;
mod packaging;
mod power;
mod proxies;
mod readme;
mod reference_gateway;
mod resync;
mod secrets;
mod service_process;
mod settings_changes;
mod signals;
#[path = "../testkit/mod.rs"]
mod testkit;
mod tidy;
mod tls;
mod traces;
mod unreliable_network;
mod vault;
mod webhook_management;

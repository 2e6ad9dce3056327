//! Muster: the register of a company's WhatsApp customer-service accounts.
//!
//! Each account is an actor. Each change is stored as an event and is never lost. Webhook receivers get the events of each
//! account in order.
//!
//! ```text
//!    callers            gateways' reports           deadlines
//!       │ http                │ gateway                 │ actors::deadline_queue
//!       └──────────┬──────────┴─────────────────────────┘
//!                  ▼ Command
//!        actors::Accounts ── one actor per account, one command at a time
//!                  │  domain::decide(state, command, now) → events, or a rejection    pure
//!                  │  journal.append(account, expected version, events)               durable, or an error
//!                  │  state.evolve(event)                                             cannot fail
//!                  ▼
//!              response       journal ── in commit order ──▶ projections::Roster      before the response
//!                                └────── by position ──────▶ webhooks                 after it, from a durable cursor
//!                             state ──── pending effects ────▶ gateway                 its reports enter at the top
//! ```
//!
//! An account changes in no other way. A module uses only modules that are listed before it in the table. Further rules:
//! `projections` does not use `actors`. `http` does not use `store`. `gateway` does not use `journal`. `cli` uses `actors`,
//! `gateway`, `http` and `webhooks` only through `service`. `tests/it/tidy/module_order.rs` checks this.
//!
//! | module | what it is | what only it knows |
//! |---|---|---|
//! | [`limits`] | every bound, with its unit and reason | |
//! | [`domain`] | accounts, commands, events, `decide` and `evolve`: pure | the rules |
//! | [`clock`] | the wall clock, which an operator may set, and elapsed time | |
//! | [`files`] | files that operators name: opened without blocking, read up to a size limit | |
//! | [`metrics`] | metrics, with their dashboard and alerting rules | prometheus-client |
//! | [`client`] | HTTP clients, and the addresses that they may reach | rustls |
//! | [`config`] | settings, from defaults, file, environment and flags | figment |
//! | [`store`] | durable bytes: write-ahead log, blocks, small tables, caches | sled |
//! | [`journal`] | every event of every account, in one order, permanently | bincode |
//! | [`vault`] | secrets, sealed before they are stored | the ciphers |
//! | [`traces`] | traces of requests and tasks; sends their spans to a collector | OpenTelemetry |
//! | [`actors`] | one actor per account | actix |
//! | [`projections`] | views that follow from the journal, kept for queries | |
//! | [`audit`] | reading and proving the journal: history, proofs, exports, backups | |
//! | [`access`] | authentication and permissions | |
//! | [`idempotency`] | stored responses for repeated requests | |
//! | [`webhooks`] | deliveries to receivers, in order, until they succeed | |
//! | [`gateway`] | the gateways to WhatsApp | |
//! | [`api`] | what can be asked of the service, whichever way the request comes | |
//! | [`http`] | the API that callers use | warp, the JSON of the contract |
//! | [`console`] | pages for operators and auditors, over the API | maud, the browser |
//! | [`service`] | the order in which modules are opened, what runs, and how it ends | |
//! | [`receiver`] | a sample webhook receiver for both channels, as a caller's back-end would have | |
//! | [`conformance`] | the test suite for gateways that speak the bridge protocol | |
//! | [`demo`] | a demonstration: service, caller and receiver on one terminal | |
//! | [`cli`] | the command line, one file per verb | clap |
//!
//! `fuzzing` and `testkit` are not in the table. `fuzzing` lists the fuzz targets, which are in the `fuzz.rs` of each module.
//! It is compiled only for tests and fuzzing. `testkit` is the shared code of tests and benches.

// The testkit is also compiled outside this crate, so it writes `muster::…`. This makes that valid inside.
#[cfg(any(test, fuzzing))]
extern crate self as muster;

pub mod access;
pub mod actors;
pub mod api;
pub mod audit;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod conformance;
pub mod console;
pub mod demo;
pub mod domain;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gateway;
pub mod http;
pub mod idempotency;
pub mod journal;
pub mod limits;
pub mod metrics;
pub mod projections;
pub mod receiver;
pub mod service;
pub mod store;
#[cfg(any(test, fuzzing))]
#[path = "../tests/testkit/mod.rs"]
mod testkit;
pub mod traces;
pub mod vault;
pub mod webhooks;

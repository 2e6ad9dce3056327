//! Muster: the register of a company's WhatsApp customer-service accounts.
//!
//! Each account is an actor, each change of it an event that is never lost, and whoever needs to know is told in order.
//!
//! ```text
//!    callers            gateways' reports           deadlines
//!       │ http                │ gateway                 │ actors::agenda
//!       └──────────┬──────────┴─────────────────────────┘
//!                  ▼ Command
//!        actors::Accounts ── one actor per account, one command at a time
//!                  │  domain::decide(state, command, now) → events, or a refusal      pure
//!                  │  journal.append(account, expected version, events)               durable, or an error
//!                  │  state.evolve(event)                                             cannot fail
//!                  ▼
//!               answer        journal ── in commit order ──▶ projections::Roster      before the answer
//!                                └────── by position ──────▶ webhooks                 after it, from a durable cursor
//!                             state ──── what is outstanding ▶ gateway                 whose reports come in at the top
//! ```
//!
//! There is no other arrow. Rooms, lowest first; each uses only rooms above it in this table, except that `actors` and
//! `projections` do not see each other, `http` does not see the `store`, a `gateway` does not see the `journal`, and
//! `cli` leaves to the `service` whatever runs. `tests/it/tidy.rs` is the wall.
//!
//! | room | what it is | what only it knows |
//! |---|---|---|
//! | [`limits`] | every bound, with its unit and reason | |
//! | [`domain`] | accounts, commands, events, `decide` and `evolve`: pure | the rules |
//! | [`clock`] | the wall clock, which may be set, and elapsed time | |
//! | [`files`] | files that operators name: opened without waiting, read within a bound | |
//! | [`metrics`] | what is measured, and how it is shown | prometheus-client |
//! | [`client`] | the way out: HTTP clients, and whom they may reach | rustls |
//! | [`config`] | settings, from defaults, file, environment and flags | figment |
//! | [`store`] | durable bytes: blocks, small tables, caches | sled |
//! | [`journal`] | every event of every account, in one order, for ever | bincode |
//! | [`vault`] | secrets, sealed before they reach anything that is kept | the ciphers |
//! | [`traces`] | which trace work belongs to, and its spans for a collector | OpenTelemetry |
//! | [`actors`] | one actor per account | actix |
//! | [`projections`] | what follows from the journal, kept for questions | |
//! | [`audit`] | the journal as others read and prove it: history, proofs, exports, backups | |
//! | [`access`] | who is asking, and whether they may | |
//! | [`answers`] | what callers were answered, for those who ask the same again | |
//! | [`webhooks`] | what is told to receivers, in order, until they have it | |
//! | [`gateway`] | the ways to WhatsApp | |
//! | [`http`] | the API that callers use | warp, the JSON of the contract |
//! | [`console`] | the pages, for operators and auditors, over the API | maud, the browser |
//! | [`service`] | which room is opened when, what runs, and how it ends | |
//! | [`receiver`] | a receiver of both webhooks, as a caller's back-end has one | |
//! | [`conformance`] | whether a gateway speaks the bridge's protocol | |
//! | [`demo`] | the product, shown: service, caller and receiver on one terminal | |
//! | [`cli`] | the command line, one file per verb | clap |
//!
//! `fuzzing` is no room: it lists what the `fuzz.rs` of each room tries, and only tests compile it. Nor is `testkit`, which
//! is what tests and benches share.

// What tests and benches share names the crate as they do.
#[cfg(any(test, fuzzing))]
extern crate self as muster;

pub mod access;
pub mod actors;
pub mod answers;
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

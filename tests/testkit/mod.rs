//! Helpers shared by tests and benches. The crate's own tests, `tests/it` and the benches each compile it for
//! themselves, by `#[path]`; in all of them `muster` is the crate.
//!
//! | file | content |
//! |---|---|
//! | `clock` | a wall clock that a test can set |
//! | `fixture` | a data directory, and what a start opens on it first |
//! | `proxy` | a TCP proxy that delays and cuts connections |
//! | `requests` | paths and bodies of callers' requests |
//! | `sample` | accounts, contents and events |

// No test binary uses all of it.
#![allow(dead_code, clippy::unwrap_used)]

pub mod clock;
pub mod fixture;
pub mod proxy;
pub mod requests;
pub mod sample;

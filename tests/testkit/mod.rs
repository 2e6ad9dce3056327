//! What tests and benches share. The crate's own tests, `tests/it` and the benches each compile it for themselves, by
//! `#[path]`; in all of them `muster` is the crate.
//!
//! | file | what it is |
//! |---|---|
//! | `clock` | a wall clock that a test moves |
//! | `fixture` | a data directory, and what a start opens on it first |
//! | `proxy` | stands between two sides, delays and cuts what they say |
//! | `requests` | paths and bodies that callers send |
//! | `sample` | accounts, contents and events |

// Nobody uses all of it.
#![allow(dead_code, clippy::unwrap_used)]

pub mod clock;
pub mod fixture;
pub mod proxy;
pub mod requests;
pub mod sample;

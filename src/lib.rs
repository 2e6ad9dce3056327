//! Muster.
pub mod limits;
pub mod domain;
pub mod clock;
pub mod config;
pub mod store;

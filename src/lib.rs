//! Muster.
pub mod limits;
pub mod domain;
pub mod clock;
pub mod config;
pub mod store;
pub mod journal;
pub mod vault;
pub mod actors;
pub mod projections;

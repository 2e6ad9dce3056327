//! Muster.
pub mod limits;
pub mod domain;

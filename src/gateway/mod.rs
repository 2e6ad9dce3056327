//! The ways to WhatsApp, behind the port that the actors define ([`actors::Gateway`](crate::actors::Gateway)).
//!
//! | file | what it is |
//! |---|---|
//! | `simulator` | the default: everything can be tried with no WhatsApp account |
//!
//! A gateway is asked what the accounts wait for, and reports what it sees. It never touches the journal.

mod simulator;

#[cfg(test)]
mod tests;

pub use simulator::Simulator;

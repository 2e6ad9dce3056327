//! What callers, operators and gateways can ask of the service, whichever way the request comes.
//!
//! | file | what it knows |
//! |---|---|
//! | `operation` | every operation: its name, who may ask for it, which accounts it touches, whether it writes |

pub mod operation;

pub use operation::{Access, AccountScope, AccountSelection, Effect, Operation, TimeLimit};

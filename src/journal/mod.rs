//! The journal: every event of every account, in one order, for ever.
//!
//! | file | what it knows |
//! |---|---|
//! | `record` | one event as bytes: a fixed header, readable for ever, and a payload |
//! | `schema` | the payloads: registered types, frozen versions, upcasts. Only it knows bincode |
//! | `block` | records that were committed together: the unit that is written, whole or not at all |
//! | `tree` | the tree hash over all records (RFC 6962), whose root stands in each block |
//! | `heads` | where each account's history ends |
//! | `writer` | the one thread that appends |
//! | `read` | by position and by account |
//! | `snapshot` | an account's state as bytes: a cache |
//! | `verify` | one pass over everything |

mod block;
mod heads;
mod read;
mod record;
mod schema;
mod snapshot;
mod tree;
mod verify;
mod writer;

use std::sync::Arc;

use tokio::sync::watch;

pub use heads::Head;
pub use record::{Origin, Principal, Recorded, RequestId};
pub use snapshot::Snapshot;
pub use tree::Root;
pub use verify::{Fault, Report, verify};

use crate::domain::{AccountNumber, Event, Timestamp};
use crate::store::{self, Store};

/// The journal, open. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

/// Events of one account, to be appended together or not at all.
#[derive(Debug)]
pub struct Append {
    /// Whose.
    pub account: AccountNumber,
    /// The version that the account had when this was decided; 0 if nothing had happened to it.
    pub expected_version: u64,
    /// What happened, at least one event.
    pub events: Vec<Event>,
    /// Who asked.
    pub origin: Origin,
    /// When.
    pub at: Timestamp,
}

/// Why an append or a read failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Someone else appended to this account first: load it again, and decide again.
    #[error("account {account:?} is at version {actual}, not {expected}: load it again and decide again")]
    Conflict {
        /// Whose.
        account: AccountNumber,
        /// What the appender thought.
        expected: u64,
        /// What is.
        actual: u64,
    },
    /// The events of one append are too large for a block.
    #[error("{bytes} bytes of events in one append are over the limit of {limit}")]
    TooLarge {
        /// Their size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// Stored bytes are not what was written.
    #[error("the journal is damaged at position {position}: {what}; restore it from a backup")]
    Damaged {
        /// The first position that cannot be trusted.
        position: u64,
        /// What is wrong there.
        what: String,
    },
    /// A record was written by a newer program.
    #[error("position {position} holds event type {event_type} version {schema}, which this program does not know; use the program that wrote it, or a newer one")]
    UnknownEvent {
        /// Where.
        position: u64,
        /// The registered number of its type.
        event_type: u16,
        /// The version of its payload.
        schema: u16,
    },
    /// The store failed. Final.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The writer ended, because the store failed or the service stops. Final.
    #[error("the journal is closed")]
    Closed,
}

/// What is called with each commit, in order, after it is durable and before anyone is answered.
pub type OnCommit = Box<dyn FnMut(&[Recorded]) + Send>;

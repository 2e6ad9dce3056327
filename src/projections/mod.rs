//! Projections: views that follow from the journal, kept for queries. They can be deleted and rebuilt from the first
//! event.
//!
//! | file | what it knows |
//! |---|---|
//! | `roster` | the account list: follows the journal, answers `queryWhatsAppStatus` |
//! | `roster_state` | the state of the roster: the fold of all events up to a position |
//! | `account_list` | the list at one moment, as a response |
//! | `account_counts` | the number of accounts for each status and online status |
//! | `roster_rows` | an account's row in the list, and the chunks that hold rows |
//! | `gzip` | one gzip stream, joined from pieces that are compressed separately |
//! | `roster_checkpoint` | the roster as bytes, which are stored as a cache |
//! | `fuzz` | fuzz target of the checkpoint; only tests compile it |

mod account_counts;
mod account_list;
mod gzip;
mod roster;
mod roster_checkpoint;
mod roster_rows;
mod roster_state;

pub use account_counts::AccountCounts;
pub use account_list::AccountList;
pub use roster::{Roster, ServedAccount};

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

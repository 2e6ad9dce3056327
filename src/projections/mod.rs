//! What follows from the journal, kept for questions. It can be thrown away and made again from the first event.
//!
//! | file | what it knows |
//! |---|---|
//! | `roster` | the account list: follows the journal, answers `queryWhatsAppStatus` |
//! | `roster_state` | what the events up to a position lead to |
//! | `account_list` | the list as it was at one moment, as an answer |
//! | `account_counts` | how many accounts stand how |
//! | `roster_rows` | one account's row in the list, and the chunks that rows are kept in |
//! | `gzip` | one gzip stream, put together from pieces that are compressed once |
//! | `roster_checkpoint` | the roster as bytes: a cache |
//! | `fuzz` | its parsers under any bytes: for tests alone |

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

//! What follows from the journal, kept for questions. It can be thrown away and made again from the first event.
//!
//! | file | what it knows |
//! |---|---|
//! | `roster` | the account list: follows the journal, answers `queryWhatsAppStatus` |
//! | `state` | what the events up to a position lead to |
//! | `list` | the list as it was at one moment, as an answer |
//! | `counts` | how many accounts stand how |
//! | `rows` | one account's row in the list, and the chunks that rows are kept in |
//! | `gzip` | one gzip stream, put together from pieces that are compressed once |
//! | `checkpoint` | the roster as bytes: a cache |
//! | `fuzz` | its parsers under any bytes: for tests alone |

mod checkpoint;
mod counts;
mod gzip;
mod list;
mod roster;
mod rows;
mod state;

pub use counts::Counts;
pub use list::AccountList;
pub use roster::{Roster, ServedAccount};

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

//! The rules of an account: what may be asked of it, what then happens, what others are told.
//!
//! Pure. Nothing here does IO, reads the clock, draws random numbers, awaits or logs, and nothing here can fail for a
//! reason outside itself: time and fresh ids come in as arguments.
//!
//! | file | what it says |
//! |---|---|
//! | `account_number` | the shape of a number |
//! | `calling_code` | which countries a calling code serves |
//! | `chance` | chance that is always the same, for waits |
//! | `terms` | the small enumerations of the contract |
//! | `content` | what is imported with an account |
//! | `command` | what may be asked |
//! | `gateway` | which way to WhatsApp serves which account |
//! | `event` | what happened, and which statuses it leads to |
//! | `account` | the state, folded from events: `evolve`, `outstanding` |
//! | `decide` | command + state → events or a refusal |
//! | `access` | who may do what with an API key |
//! | `act` | what somebody did to the service itself |
//! | `line` | text on one line, as people write it into the history |
//! | `legal` | which events may follow which state |
//! | `notice` | which event is told to receivers, and in which words |

mod access;
mod account;
mod account_number;
mod act;
mod calling_code;
mod chance;
mod command;
mod content;
mod decide;
mod event;
mod gateway;
mod legal;
mod line;
mod notice;
mod terms;

pub use access::{Grant, Need, Proof, Role};
pub use account::{Account, Attempt, Outstanding, Registration};
pub use account_number::{AccountNumber, MalformedNumber, masked};
pub use act::{Act, Deed, Order, SigningScheme};
pub use calling_code::{CallingCode, MalformedCallingCode};
pub use chance::{drawn, sooner};
pub use command::{Command, Report};
pub use content::{Content, Fingerprint, Sealed};
pub use decide::{Refusal, decide};
pub use event::Event;
#[cfg(test)]
pub(crate) use event::tests::events as sample_events;
pub use gateway::{Choice, GatewayKind, MalformedRule, ProviderCall, Routing, Rule, Whom};
pub use line::{is_line, printable};
pub use notice::{Channel, Notice};
pub use terms::{AccountType, OnlineStatus, Reason, Status, TaskId, Timestamp, UnknownTerm, VerifyType};

#[cfg(test)]
mod tests;

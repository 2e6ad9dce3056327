//! Settings: what can be set, where it is read from, and what is wrong with it.
//!
//! | file | what it knows |
//! |---|---|
//! | `settings` | what can be set, with its default: what the other rooms work with |
//! | `gateway` | those of the ways to WhatsApp, and what each lacks |
//! | `table` | every setting by its name: the one line that a new setting needs beside its field |
//! | `kind` | the kinds of settings: how a value is read, checked and written |
//! | `text` | texts that are checked: addresses, URLs, durations, filters of the log |
//! | `given` | what was given, in the file, the environment and flags, and whether such settings exist |
//! | `secret` | a setting that is a secret |
//! | `fault` | what is wrong with one of them, and the mend |
//! | `load` | from all that was given to settings, or to all faults at once |
//! | `shown` | values as they are shown to people, without secrets |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! Later sources win: defaults, then the file, then the environment, then flags. `figment` keeps the layers and the
//! source of each value; nothing outside this room knows it.

mod fault;
mod gateway;
mod given;
mod kind;
mod load;
mod secret;
mod settings;
mod shown;
mod table;
mod text;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use gateway::{Bridge, CloudApi, CodeRequest, Gateway};
pub use given::{File, Flag};
pub use load::{Effective, Error, Row, load, load_from_process};
pub use secret::{SecretText, headers};
pub use settings::{
    Accounts, Actors, AfterLastTry, ChannelSettings, Deliver, Http, Log, LogFormat, Settings, Simulator, Store,
    Telemetry, Tls, Vault, Webhooks, Word,
};
pub use table::{API_KEY_VARIABLE, CA_FILE_VARIABLE, CLIENT_CERT_FILE_VARIABLE, SERVER_VARIABLE};
pub use text::{duration, is_address, receiver as receiver_url};

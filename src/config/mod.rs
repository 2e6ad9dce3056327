//! Settings: what can be set, where it is read from, and what is wrong with it.
//!
//! | file | what it knows |
//! |---|---|
//! | `settings` | what can be set, with its default: what the other rooms work with |
//! | `gateway_settings` | those of the ways to WhatsApp, and what each lacks |
//! | `setting_list` | every setting by its name: the one line that a new setting needs beside its field |
//! | `setting_kind` | the kinds of settings: how a value is read, checked and written |
//! | `text_parsing` | texts that are checked: addresses, URLs, durations, filters of the log |
//! | `sources` | what was given, in the file, the environment and flags, and whether such settings exist |
//! | `secret_text` | a setting that is a secret |
//! | `setting_error` | what is wrong with one of them, and the mend |
//! | `load` | from all that was given to settings, or to all faults at once |
//! | `redaction` | values as they are shown to people, without secrets |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! Later sources win: defaults, then the file, then the environment, then flags. `figment` keeps the layers and the
//! source of each value; nothing outside this room knows it.

mod gateway_settings;
mod load;
mod redaction;
mod secret_text;
mod setting_error;
mod setting_kind;
mod setting_list;
mod settings;
mod sources;
mod text_parsing;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

pub use gateway_settings::{BridgeSettings, CloudApiSettings, CodeRequestEncoding, GatewaySettings};
pub use load::{EffectiveSettings, Error, SettingRow, load, load_from_process};
pub use secret_text::{SecretText, parse_headers};
pub use setting_error::SettingError;
pub use setting_list::{API_KEY_VARIABLE, CA_FILE_VARIABLE, CLIENT_CERT_FILE_VARIABLE, SERVER_VARIABLE};
pub use settings::{
    AccountSettings, ActorSettings, ChannelSettings, DeadLetterPolicy, DeliveryMode, HttpSettings, LogFormat,
    LogSettings, NamedEnum, Settings, SimulatorSettings, StoreSettings, TelemetrySettings, TlsSettings, VaultSettings,
    WebhookSettings,
};
pub use sources::{FlagValue, SettingsFile};
pub use text_parsing::{is_listen_address, parse_duration, parse_receiver_url as receiver_url};

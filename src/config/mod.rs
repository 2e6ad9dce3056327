//! Settings: what can be set, where values come from, and what is wrong with them.
//!
//! | file | what it knows |
//! |---|---|
//! | `settings` | every setting: field, default, name and kind. A new setting is one entry here |
//! | `settings_group` | the notation of that file |
//! | `setting_enums` | settings whose value is one of a few words |
//! | `setting_kind` | the kinds of settings: how a value is read, checked and written |
//! | `text_parsing` | checked texts: addresses, URLs, durations, log filters |
//! | `setting_names` | names, environment variables, and what a misspelt name may mean |
//! | `derived_values` | values that follow from settings |
//! | `cross_checks` | checks that concern several settings |
//! | `sources` | the values in the file, the environment and flags, and whether such settings exist |
//! | `secret_text` | a setting that is a secret |
//! | `setting_error` | what is wrong with a setting, and how to fix it |
//! | `load` | from all sources to settings, or to all errors at once |
//! | `redaction` | values as people see them, without secrets |
//! | `fuzz` | its parsers with arbitrary bytes: for tests only |
//!
//! Later sources win: defaults, then the file, then the environment, then flags. `figment` keeps the layers and each
//! value's source; only this module knows it.

mod cross_checks;
mod derived_values;
mod load;
mod redaction;
mod secret_text;
mod setting_enums;
mod setting_error;
mod setting_kind;
mod setting_names;
mod settings;
mod settings_group;
mod sources;
mod text_parsing;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;

pub use load::{EffectiveSettings, Error, SettingRow, load, load_from_process};
pub use secret_text::{SecretText, parse_headers};
pub use setting_enums::{CodeRequestEncoding, DeadLetterPolicy, DeliveryMode, LogFormat, NamedEnum};
pub use setting_error::SettingError;
pub use setting_names::{API_KEY_VARIABLE, CA_FILE_VARIABLE, CLIENT_CERT_FILE_VARIABLE, SERVER_VARIABLE};
pub use settings::{
    AccountSettings, ActorSettings, BridgeSettings, ChannelSettings, CloudApiSettings, GatewaySettings, HttpSettings,
    LogSettings, Settings, SimulatorSettings, StoreSettings, TelemetrySettings, TlsSettings, VaultSettings,
    WebhookSettings,
};
pub use sources::{FlagValue, SettingsFile};
pub use text_parsing::{current_log_filter, is_listen_address, parse_duration, parse_receiver_url};

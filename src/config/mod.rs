//! Settings: what can be set, where values come from, and what is wrong with them.
//!
//! | file | what it knows |
//! |---|---|
//! | `settings` | every setting: field, default, name and kind. A new setting is one entry here |
//! | `settings_group` | the macro with which `settings` declares groups of settings |
//! | `setting_enums` | the enumerations among the settings |
//! | `setting_kind` | the kinds of settings: how a value is read, checked and written |
//! | `text_parsing` | checked texts: addresses, URLs, durations, log filters |
//! | `setting_names` | names, environment variables, and what a misspelt name may mean |
//! | `derived_values` | values that follow from settings |
//! | `cross_checks` | checks that concern several settings |
//! | `sources` | reading the file, the environment and flags, and finding unknown settings |
//! | `secret_text` | the type of secret settings |
//! | `setting_error` | what is wrong with a setting, and how to fix it |
//! | `load` | loads settings from all sources, or reports all errors at once |
//! | `redaction` | showing values without secrets |
//! | `fuzz` | fuzzing of the parsers, for tests only |
//!
//! Later sources win: defaults, then the file, then the environment, then flags. The crate `figment` merges the sources
//! and remembers the source of each value. Only this module uses it.

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

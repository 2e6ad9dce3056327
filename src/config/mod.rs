//! Settings: what can be set (`settings`), and where it is read from (`load`).

mod settings;

pub use settings::{
    Accounts, Actors, ChannelSettings, Http, Log, LogFormat, Settings, Simulator, Store, Vault, Webhooks,
};

//! The flags that set settings, for every verb that needs them.

use std::path::PathBuf;

use crate::config::{EffectiveSettings, Error, FlagValue, load_from_process};

/// The settings that are given most often. All others are set in the file or the environment.
#[derive(Clone, clap::Args)]
pub(super) struct SettingFlags {
    /// Read settings from this TOML file [env: MUSTER_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve on this address; port 0 uses a free port [env: MUSTER_HTTP__LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Store all data in this directory [env: MUSTER_DATA_DIR] [default: ./muster-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Send webhooks below this URL; without it, none are sent [env: MUSTER_WEBHOOKS__BASE_URL]
    #[arg(long, value_name = "URL")]
    webhook_base_url: Option<String>,
}

impl SettingFlags {
    /// Loads the settings, with these flags as the strongest source.
    pub(super) fn load(&self) -> Result<EffectiveSettings, Error> {
        let values = [
            ("--listen", "http.listen", &self.listen),
            ("--data-dir", "data_dir", &self.data_dir),
            ("--webhook-base-url", "webhooks.base_url", &self.webhook_base_url),
        ];
        let values = values.into_iter().filter_map(|(flag, setting, value)| {
            value.as_ref().map(|value| FlagValue { flag, setting, value: value.clone() })
        });
        load_from_process(self.config.clone(), &values.collect::<Vec<_>>())
    }
}

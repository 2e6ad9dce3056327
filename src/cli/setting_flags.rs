//! The flags that set settings, for every verb that needs them.

use std::path::PathBuf;

use crate::config::{EffectiveSettings, Error, FlagValue, load_from_process};

/// Settings that are given most often. All others are set in the file or the environment.
#[derive(Clone, clap::Args)]
pub(super) struct SettingFlags {
    /// Read settings from this TOML file [env: MUSTER_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve on this address; port 0 takes a free one [env: MUSTER_HTTP__LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Keep everything durable in this directory [env: MUSTER_DATA_DIR] [default: ./muster-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Tell receivers below this URL what happens; without one nobody is told [env: MUSTER_WEBHOOKS__BASE_URL]
    #[arg(long, value_name = "URL")]
    webhook_base_url: Option<String>,
}

impl SettingFlags {
    /// The settings that are in effect with these flags.
    pub(super) fn load(&self) -> Result<EffectiveSettings, Error> {
        let given = [
            ("--listen", "http.listen", &self.listen),
            ("--data-dir", "data_dir", &self.data_dir),
            ("--webhook-base-url", "webhooks.base_url", &self.webhook_base_url),
        ];
        let given = given.into_iter().filter_map(|(flag, setting, value)| {
            value.as_ref().map(|value| FlagValue { flag, setting, value: value.clone() })
        });
        load_from_process(self.config.clone(), &given.collect::<Vec<_>>())
    }
}

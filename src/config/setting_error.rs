//! What is wrong with one setting.

use std::fmt;

use crate::domain::escape_controls;

/// What is wrong with one setting, and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The setting.
    pub setting: String,
    /// Where its value comes from.
    pub source: String,
    /// What is wrong, to go on after the setting's name.
    pub problem: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SettingError { setting, source, problem: wrong } = self;
        // Names and values are as they were given.
        formatter.write_str(&escape_controls(&format!("{setting} (from {source}) {wrong}")))
    }
}

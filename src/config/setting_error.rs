//! What is wrong with one setting.

use std::fmt;

use crate::domain::escape_controls;

/// What is wrong with one setting, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The setting's name.
    pub setting: String,
    /// The source of its value.
    pub source: String,
    /// What is wrong, as a continuation of the setting's name.
    pub problem: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SettingError { setting, source, problem } = self;
        // Names and values are the text that the operator wrote, so they may have control characters.
        formatter.write_str(&escape_controls(&format!("{setting} (from {source}) {problem}")))
    }
}

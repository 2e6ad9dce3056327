//! What is wrong with one setting.

use std::fmt;

use crate::domain::printable;

/// What is wrong with one setting, and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The setting.
    pub setting: String,
    /// Where its value comes from.
    pub source: String,
    /// What is wrong, to go on after the setting's name.
    pub wrong: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { setting, source, wrong } = self;
        // Names and values are as they were given.
        formatter.write_str(&printable(&format!("{setting} (from {source}) {wrong}")))
    }
}

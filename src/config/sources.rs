//! Reads the values in the file, the environment and flags, and finds unknown settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::setting_error::SettingError;
use super::setting_kind::SettingKind;
use super::setting_names::{
    CLIENT_VARIABLES, CONFIG_VARIABLE, VARIABLE_PREFIX, find_setting, is_group, suggest_name, suggest_variable,
};
use super::settings::{SETTINGS, SettingDefinition};
use crate::domain::escape_controls;

/// A settings file that was read.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    /// Its path.
    pub path: PathBuf,
    /// Its content: TOML.
    pub text: String,
}

/// A setting that was given on the command line.
#[derive(Clone, Debug)]
pub struct FlagValue {
    /// The flag as written, as in `--listen`.
    pub flag: &'static str,
    /// The setting that it sets.
    pub setting: &'static str,
    /// The value.
    pub value: String,
}

/// A value for a setting. No `Debug`: it may be the master key.
pub(super) struct SourcedValue {
    setting: &'static str,
    value: Value,
    source: String,
}

impl Provider for SourcedValue {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(nest(self.setting, self.value.clone()).into_dict().unwrap_or_default()))
    }
}

/// The values in the file.
pub(super) fn collect_from_file(file: &SettingsFile, faults: &mut Vec<SettingError>) -> Vec<SourcedValue> {
    let mut values = Vec::new();
    match Toml::from_str::<Dict>(&file.text) {
        Ok(dict) => collect_from_table(&file.path, "", dict, &mut values, faults),
        Err(error) => faults.push(SettingError {
            setting: "config".to_owned(),
            source: file.path.display().to_string(),
            problem: format!("must be a TOML file; {}", summarize_toml_error(&error.to_string())),
        }),
    }
    values
}

/// The values in the environment. Variables with our prefix that resemble no setting go to `ignored`, because container
/// images and clusters set such variables.
pub(super) fn collect_from_environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    faults: &mut Vec<SettingError>,
    ignored: &mut Vec<String>,
) -> Vec<SourcedValue> {
    let mut values = Vec::new();
    for (variable, value) in variables {
        let variable = variable.to_string_lossy();
        let Some(rest) = variable.strip_prefix(VARIABLE_PREFIX) else { continue };
        let source = variable.to_string();
        let setting = SETTINGS.iter().find(|setting| setting.variable() == variable);
        match (setting, value.to_str()) {
            (Some(setting), Some(value)) => {
                values.push(SourcedValue { setting: setting.name, value: value.into(), source });
            }
            (Some(setting), None) => {
                let problem = format!("must be {}, not bytes that are not text", setting.kind.describe_expected());
                faults.push(SettingError { setting: setting.name.to_owned(), source, problem });
            }
            (None, value) => {
                let value = value.unwrap_or_default();
                let is_ours = variable == CONFIG_VARIABLE || CLIENT_VARIABLES.contains(&&*variable);
                if is_ours || is_service_link(rest, value) {
                    continue;
                }
                let name = rest.to_ascii_lowercase().replace("__", ".");
                let is_in_a_group = name.split_once('.').is_some_and(|(group, _)| is_group(group));
                match suggest_variable(&variable) {
                    Some(other) => faults.push(unknown_setting_error(name, source, &format!("did you mean {other}?"))),
                    // Only a misspelt setting has the name of a group in it.
                    None if is_in_a_group => faults.push(suggest_setting(&name, source, SettingDefinition::variable)),
                    None => ignored.push(escape_controls(&source)),
                }
            }
        }
    }
    values
}

/// The values of flags.
pub(super) fn collect_from_flags(flags: &[FlagValue]) -> Vec<SourcedValue> {
    let sourced = |flag: &FlagValue| SourcedValue {
        setting: flag.setting,
        value: flag.value.as_str().into(),
        source: flag.flag.to_owned(),
    };
    flags.iter().map(sourced).collect()
}

/// Collects the values in a table of the file and in the tables below it. `above` is the name of the table.
fn collect_from_table(
    file: &Path,
    above: &str,
    dict: Dict,
    values: &mut Vec<SourcedValue>,
    faults: &mut Vec<SettingError>,
) {
    for (key, value) in dict {
        let name = if above.is_empty() { key } else { format!("{above}.{key}") };
        let source = file.display().to_string();
        match (find_setting(&name), value) {
            (Some(setting), _) if setting.kind.is_secret() => {
                let variable = setting.variable();
                let has_a_file = matches!(setting.kind, SettingKind::MasterKey(_));
                let file = if has_a_file { "name a separate file with vault.master_key_file, or " } else { "" };
                let problem = format!(
                    "may be set in the environment only ({variable}), because settings files are copied and read by \
                     others; remove it from the file, and {file}set the variable"
                );
                faults.push(SettingError { setting: name, source, problem });
            }
            (Some(setting), value) => values.push(SourcedValue { setting: setting.name, value, source }),
            (None, Value::Dict(_, dict)) if is_group(&name) || !dict.is_empty() => {
                collect_from_table(file, &name, dict, values, faults);
            }
            (None, _) if is_group(&name) => {
                let problem = format!("is a group of settings; write [{name}] and the settings below it");
                faults.push(SettingError { setting: name, source, problem });
            }
            (None, _) => faults.push(suggest_setting(&name, source, |setting| setting.name.to_owned())),
        }
    }
}

/// The error for an unknown setting, with a suggestion. `spell` writes the name of the suggested setting.
fn suggest_setting(name: &str, source: String, spell: fn(&SettingDefinition) -> String) -> SettingError {
    let advice = match suggest_name(name) {
        Some(setting) => format!("did you mean {}?", spell(setting)),
        None => "`muster config` lists all settings".to_owned(),
    };
    unknown_setting_error(name.to_owned(), source, &advice)
}

fn unknown_setting_error(setting: String, source: String, advice: &str) -> SettingError {
    SettingError { setting, source, problem: format!("is not a setting; {advice}") }
}

/// Whether Kubernetes set the variable. Kubernetes describes each service to every container. For a service called
/// `muster` it sets `MUSTER_SERVICE_HOST`, `MUSTER_PORT` (`tcp://10.0.0.1:8080`), `MUSTER_PORT_8080_TCP_ADDR` and others.
fn is_service_link(rest: &str, value: &str) -> bool {
    let names_a_port =
        rest.split_once("PORT_").is_some_and(|(_, port)| port.starts_with(|first: char| first.is_ascii_digit()));
    let is_port = rest.ends_with("PORT") && value.contains("://");
    !rest.contains("__") && (rest.contains("SERVICE_HOST") || rest.contains("SERVICE_PORT") || names_a_port || is_port)
}

/// Where the text stops being TOML, and why. The parser's message also shows the whole line, which may have a password,
/// so those lines are omitted.
fn summarize_toml_error(error: &str) -> String {
    let mut lines = error.lines();
    let place = lines.next().and_then(|line| line.strip_prefix("TOML parse error at ")).unwrap_or_default();
    let why: Vec<&str> = lines.skip(3).collect();
    format!("at {place}: {}", why.join(", "))
}

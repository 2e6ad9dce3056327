//! Loads settings from all sources, or reports all errors at once.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::Figment;

use super::cross_checks;
use super::redaction::{describe_found, redact_value};
use super::setting_error::SettingError;
use super::setting_names::CONFIG_VARIABLE;
use super::settings::{SETTINGS, Settings};
use super::sources::{
    FlagValue, SettingsFile, SourcedValue, collect_from_environment, collect_from_file, collect_from_flags,
};
use crate::files::read_text;
use crate::limits::NAMED_FILE_BYTES;

/// The effective settings.
#[derive(Clone, Debug, Default)]
pub struct EffectiveSettings {
    /// The settings.
    pub settings: Settings,
    /// Each setting with its source, for display.
    pub rows: Vec<SettingRow>,
    /// Environment variables that begin with `MUSTER_` and resemble no setting. They have no effect, except that the
    /// operator gets a warning.
    pub ignored_variables: Vec<String>,
}

impl EffectiveSettings {
    /// The ignored variables, separated by commas; `None` if there are none.
    pub fn ignored_variable_list(&self) -> Option<String> {
        (!self.ignored_variables.is_empty()).then(|| self.ignored_variables.join(", "))
    }
}

/// One setting.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Setting)]
pub struct SettingRow {
    /// The setting's name.
    pub name: &'static str,
    /// The value, with secrets redacted; null if it is not set.
    pub value: serde_json::Value,
    /// `default`, the path of the file, the environment variable or the flag.
    pub source: String,
}

/// All errors in the given settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", error_heading(.0.len()), .0.iter().map(|fault| format!("\n  {fault}")).collect::<String>())]
pub struct Error(pub Vec<SettingError>);

/// Loads settings from defaults, `file`, `environment` and `flags`. Later sources win.
pub fn load(
    file: Option<&SettingsFile>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &[FlagValue],
) -> Result<EffectiveSettings, Error> {
    let (mut faults, mut ignored_variables) = (Vec::new(), Vec::new());
    let mut values = file.map_or_else(Vec::new, |file| collect_from_file(file, &mut faults));
    values.extend(collect_from_environment(environment, &mut faults, &mut ignored_variables));
    values.extend(collect_from_flags(flags));
    Ok(EffectiveSettings { ignored_variables, ..merge_and_check(values, faults)? })
}

/// Like [`load`], but uses this process's environment, and the file that `config` (`--config`) or `MUSTER_CONFIG` names.
pub fn load_from_process(config: Option<PathBuf>, flags: &[FlagValue]) -> Result<EffectiveSettings, Error> {
    let from_variable = || env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let location = match config {
        Some(path) => Some((path, "--config")),
        None => from_variable().map(|path| (path, CONFIG_VARIABLE)),
    };
    let file = location.map(|(path, source)| read_settings_file(&path, source)).transpose();
    match file {
        Ok(file) => load(file.as_ref(), env::vars_os(), flags),
        Err(fault) => {
            let others = load(None, env::vars_os(), flags).map_or_else(|error| error.0, |_| Vec::new());
            Err(Error([vec![fault], others].concat()))
        }
    }
}

fn read_settings_file(path: &Path, source: &str) -> Result<SettingsFile, SettingError> {
    let text = read_text(path, NAMED_FILE_BYTES).map_err(|error| SettingError {
        setting: "config".to_owned(),
        source: source.to_owned(),
        problem: format!("must be a readable TOML file; {}: {error}", path.display()),
    })?;
    Ok(SettingsFile { path: path.to_owned(), text: text.to_string() })
}

/// Merges the values by source, and checks the result. Settings without a value keep their default.
fn merge_and_check(values: Vec<SourcedValue>, mut faults: Vec<SettingError>) -> Result<EffectiveSettings, Error> {
    let layers = values.into_iter().fold(Figment::new(), |below, value| below.merge(value));
    let mut settings = Settings::default();
    let mut rows = Vec::new();
    for setting in SETTINGS.iter() {
        let (name, kind) = (setting.name, &setting.kind);
        let mut source = "default".to_owned();
        if let Ok(value) = layers.find_value(name) {
            source = layers.get_metadata(value.tag()).map(|it| it.name.to_string()).unwrap_or_default();
            if kind.parse_into(&value, &mut settings).is_none() {
                let found = if kind.is_secret() {
                    ", which the current value is not".to_owned()
                } else {
                    describe_found(&value, kind.is_url())
                };
                let problem = format!("must be {}{found}", kind.describe_expected());
                faults.push(SettingError { setting: name.to_owned(), source: source.clone(), problem });
            }
        }
        rows.push(SettingRow { name, value: redact_value(&kind.to_value(&settings), kind.is_url()), source });
    }
    if faults.is_empty() {
        let source_of = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.source.clone());
        faults.extend(cross_checks::check(&settings).into_iter().map(|(name, problem)| SettingError {
            source: source_of(&name).unwrap_or_default(),
            setting: name,
            problem,
        }));
    }
    if faults.is_empty() {
        Ok(EffectiveSettings { settings, rows, ..EffectiveSettings::default() })
    } else {
        Err(Error(faults))
    }
}

fn error_heading(faults: usize) -> String {
    match faults {
        1 => "one setting is invalid:".to_owned(),
        _ => format!("{faults} settings are invalid:"),
    }
}

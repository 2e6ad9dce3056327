//! From all sources to settings, or to all errors at once.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::Figment;

use super::gateway_settings;
use super::redaction::{describe_found, redact_value};
use super::setting_error::SettingError;
use super::setting_list::{CONFIG_VARIABLE, SETTINGS};
use super::settings::{Settings, TlsSettings, VaultSettings};
use super::sources::{
    FlagValue, SettingsFile, SourcedValue, collect_from_environment, collect_from_file, collect_from_flags,
};
use super::text_parsing::parse_receiver_url;
use crate::domain::Channel;
use crate::files::read_text;
use crate::limits::NAMED_FILE_BYTES;

/// The effective settings.
#[derive(Clone, Debug, Default)]
pub struct EffectiveSettings {
    /// The settings.
    pub settings: Settings,
    /// Each setting with its source, for display.
    pub rows: Vec<SettingRow>,
    /// Environment variables that begin with `MUSTER_` and resemble no setting. They have no effect; the operator gets
    /// a warning.
    pub ignored_variables: Vec<String>,
}

impl EffectiveSettings {
    /// The ignored variables, for a sentence; `None` if there are none.
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

/// Settings from defaults, `file`, `environment` and `flags`; later sources win.
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

/// Like [`load`], with this process's environment, and the file that `--config` or `MUSTER_CONFIG` names.
pub fn load_from_process(config: Option<PathBuf>, flags: &[FlagValue]) -> Result<EffectiveSettings, Error> {
    let by_variable = || env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let named = match config {
        Some(path) => Some((path, "--config")),
        None => by_variable().map(|path| (path, CONFIG_VARIABLE)),
    };
    let file = named.map(|(path, source)| read_settings_file(&path, source)).transpose();
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
    for setting in &SETTINGS {
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
                let wrong = format!("must be {}{found}", kind.describe_expected());
                faults.push(SettingError { setting: name.to_owned(), source: source.clone(), problem: wrong });
            }
        }
        rows.push(SettingRow { name, value: redact_value(&kind.to_value(&settings), kind.is_url()), source });
    }
    if faults.is_empty() {
        faults.extend(check_receiver_urls(&settings, &rows));
        faults.extend(check_master_key_source(&settings, &rows));
        faults.extend(check_tls_files(&settings, &rows));
        faults.extend(gateway_settings::check_gateways(&settings, &rows));
    }
    if faults.is_empty() {
        Ok(EffectiveSettings { settings, rows, ..EffectiveSettings::default() })
    } else {
        Err(Error(faults))
    }
}

/// Checks the addresses of receivers as far as their URLs show them; names are checked when they are resolved.
fn check_receiver_urls(settings: &Settings, rows: &[SettingRow]) -> Vec<SettingError> {
    let webhooks = &settings.webhooks;
    let of_channel = |channel: Channel| {
        (format!("webhooks.{}.url", channel.configuration_id().to_ascii_lowercase()), &webhooks.channel(channel).url)
    };
    let urls = [("webhooks.base_url".to_owned(), &webhooks.base_url)];
    let fault = |(name, url): (String, &Option<String>)| {
        let forbidden = settings.address_guard().check_url(&parse_receiver_url(url.as_ref()?)?).err()?;
        let source = rows.iter().find(|row| row.name == name).map(|row| row.source.clone()).unwrap_or_default();
        Some(SettingError { setting: name, source, problem: format!("must point elsewhere: {forbidden}") })
    };
    urls.into_iter().chain(Channel::ALL.map(of_channel)).filter_map(fault).collect()
}

/// Only one setting may say where the master key comes from.
fn check_master_key_source(settings: &Settings, rows: &[SettingRow]) -> Option<SettingError> {
    let VaultSettings { master_key_file, master_key_command, master_key } = &settings.vault;
    let sources = [
        ("vault.master_key_file", master_key_file.is_some()),
        ("vault.master_key_command", master_key_command.is_some()),
        ("vault.master_key", master_key.is_some()),
    ];
    let names: Vec<&str> = sources.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect();
    let [.., before, last] = names[..] else { return None };
    let source = rows.iter().find(|row| row.name == last).map(|row| row.source.clone()).unwrap_or_default();
    let wrong = format!("names a source for the master key, and so does {before}; remove one of them");
    Some(SettingError { setting: last.to_owned(), source, problem: wrong })
}

/// TLS needs both a certificate and its key, and client CAs need TLS.
fn check_tls_files(settings: &Settings, rows: &[SettingRow]) -> Option<SettingError> {
    let TlsSettings { cert, key, client_ca } = &settings.tls;
    let (name, wrong) = match (cert, key, client_ca) {
        (Some(_), None, _) => ("tls.cert", "needs tls.key; set it to the certificate's private key"),
        (None, Some(_), _) => ("tls.key", "needs tls.cert; set it to the key's certificate"),
        (None, None, Some(_)) => ("tls.client_ca", "needs tls.cert and tls.key; set both, or remove this setting"),
        (Some(_), Some(_), _) | (None, None, None) => return None,
    };
    let source = rows.iter().find(|row| row.name == name).map(|row| row.source.clone()).unwrap_or_default();
    Some(SettingError { setting: name.to_owned(), source, problem: wrong.to_owned() })
}

fn error_heading(faults: usize) -> String {
    match faults {
        1 => "one setting is invalid:".to_owned(),
        _ => format!("{faults} settings are invalid:"),
    }
}

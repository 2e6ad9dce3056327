//! From all that was given to settings, or to all faults at once.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::Figment;

use super::fault::Fault;
use super::gateway;
use super::given::{File, Flag, Given, by_environment, by_file, by_flags};
use super::settings::{Settings, Tls, Vault};
use super::shown::{but_found, shown};
use super::table::{FILE_VARIABLE, SETTINGS};
use super::text::receiver;
use crate::files::read_text;
use crate::limits::NAMED_FILE_BYTES;

/// The settings that are in effect.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    /// The settings.
    pub settings: Settings,
    /// Each of them with its source, to be shown.
    pub rows: Vec<Row>,
    /// Environment variables that begin with `MUSTER_` and resemble no setting. They change nothing; an operator is told.
    pub ignored_variables: Vec<String>,
}

impl Effective {
    /// The variables that are ignored, for a sentence; `None` if there are none.
    pub fn ignored_words(&self) -> Option<String> {
        (!self.ignored_variables.is_empty()).then(|| self.ignored_variables.join(", "))
    }
}

/// One setting, to be shown.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Setting)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its value, without secrets; null if it is not set.
    pub value: serde_json::Value,
    /// `default`, the path of the file, the environment variable or the flag.
    pub source: String,
}

/// Why there are no settings: all faults in what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", said(.0.len()), .0.iter().map(|fault| format!("\n  {fault}")).collect::<String>())]
pub struct Error(pub Vec<Fault>);

/// Settings from defaults, `file`, `environment` and `flags`; the later wins.
pub fn load(
    file: Option<&File>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &[Flag],
) -> Result<Effective, Error> {
    let (mut faults, mut ignored_variables) = (Vec::new(), Vec::new());
    let mut given = file.map_or_else(Vec::new, |file| by_file(file, &mut faults));
    given.extend(by_environment(environment, &mut faults, &mut ignored_variables));
    given.extend(by_flags(flags));
    Ok(Effective { ignored_variables, ..settle(given, faults)? })
}

/// As [`load`], with the environment of this process, and the file that `--config` or `MUSTER_CONFIG` names.
pub fn load_from_process(config: Option<PathBuf>, flags: &[Flag]) -> Result<Effective, Error> {
    let by_variable = || env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let named = match config {
        Some(path) => Some((path, "--config")),
        None => by_variable().map(|path| (path, FILE_VARIABLE)),
    };
    let file = named.map(|(path, source)| read(&path, source)).transpose();
    match file {
        Ok(file) => load(file.as_ref(), env::vars_os(), flags),
        Err(fault) => {
            let others = load(None, env::vars_os(), flags).map_or_else(|error| error.0, |_| Vec::new());
            Err(Error([vec![fault], others].concat()))
        }
    }
}

fn read(path: &Path, source: &str) -> Result<File, Fault> {
    let text = read_text(path, NAMED_FILE_BYTES).map_err(|error| Fault {
        setting: "config".to_owned(),
        source: source.to_owned(),
        wrong: format!("must be a TOML file that can be read; {}: {error}", path.display()),
    })?;
    Ok(File { path: path.to_owned(), text: text.to_string() })
}

/// Lays the values over each other, and checks what comes out on top. What nobody gives stays as it is by default.
fn settle(given: Vec<Given>, mut faults: Vec<Fault>) -> Result<Effective, Error> {
    let layers = given.into_iter().fold(Figment::new(), |below, given| below.merge(given));
    let mut settings = Settings::default();
    let mut rows = Vec::new();
    for setting in &SETTINGS {
        let (name, kind) = (setting.name, &setting.kind);
        let mut source = "default".to_owned();
        if let Ok(value) = layers.find_value(name) {
            source = layers.get_metadata(value.tag()).map(|it| it.name.to_string()).unwrap_or_default();
            if kind.read(&value, &mut settings).is_none() {
                let found =
                    if kind.is_secret() { ", not what it is".to_owned() } else { but_found(&value, kind.is_url()) };
                let wrong = format!("must be {}{found}", kind.expected());
                faults.push(Fault { setting: name.to_owned(), source: source.clone(), wrong });
            }
        }
        rows.push(Row { name, value: shown(&kind.write(&settings), kind.is_url()), source });
    }
    if faults.is_empty() {
        faults.extend(forbidden_receivers(&settings, &rows));
        faults.extend(several_master_keys(&settings, &rows));
        faults.extend(half_of_tls(&settings, &rows));
        faults.extend(gateway::faults(&settings, &rows));
    }
    if faults.is_empty() { Ok(Effective { settings, rows, ..Effective::default() }) } else { Err(Error(faults)) }
}

/// Receivers at addresses where none may be, as far as their URLs say: names are checked when they are resolved.
fn forbidden_receivers(settings: &Settings, rows: &[Row]) -> Vec<Fault> {
    let webhooks = &settings.webhooks;
    let urls = [
        ("webhooks.base_url", &webhooks.base_url),
        ("webhooks.channel_sync_status.url", &webhooks.channel_sync_status.url),
        ("webhooks.channel_register_status.url", &webhooks.channel_register_status.url),
    ];
    let fault = |(name, url): (&str, &Option<String>)| {
        let forbidden = settings.guard().check_url(&receiver(url.as_ref()?)?).err()?;
        let source = rows.iter().find(|row| row.name == name).map(|row| row.source.clone()).unwrap_or_default();
        Some(Fault { setting: name.to_owned(), source, wrong: format!("must be elsewhere: {forbidden}") })
    };
    urls.into_iter().filter_map(fault).collect()
}

/// Where the master key comes from is said once.
fn several_master_keys(settings: &Settings, rows: &[Row]) -> Option<Fault> {
    let Vault { master_key_file, master_key_command, master_key } = &settings.vault;
    let given = [
        ("vault.master_key_file", master_key_file.is_some()),
        ("vault.master_key_command", master_key_command.is_some()),
        ("vault.master_key", master_key.is_some()),
    ];
    let names: Vec<&str> = given.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect();
    let [.., before, last] = names[..] else { return None };
    let source = rows.iter().find(|row| row.name == last).map(|row| row.source.clone()).unwrap_or_default();
    let wrong = format!("says where the master key is, and so does {before}; take one of them away");
    Some(Fault { setting: last.to_owned(), source, wrong })
}

/// A certificate is shown with its key, or there is no TLS.
fn half_of_tls(settings: &Settings, rows: &[Row]) -> Option<Fault> {
    let Tls { cert, key, client_ca } = &settings.tls;
    let (name, wrong) = match (cert, key, client_ca) {
        (Some(_), None, _) => ("tls.cert", "is of no use without tls.key; set that to the certificate's private key"),
        (None, Some(_), _) => ("tls.key", "is of no use without tls.cert; set that to the key's certificate"),
        (None, None, Some(_)) => {
            ("tls.client_ca", "is of no use without tls.cert and tls.key; set them too, or take this one away")
        }
        (Some(_), Some(_), _) | (None, None, None) => return None,
    };
    let source = rows.iter().find(|row| row.name == name).map(|row| row.source.clone()).unwrap_or_default();
    Some(Fault { setting: name.to_owned(), source, wrong: wrong.to_owned() })
}

fn said(faults: usize) -> String {
    match faults {
        1 => "one setting is faulty:".to_owned(),
        _ => format!("{faults} settings are faulty:"),
    }
}

//! The names of settings and of environment variables, and suggestions for misspelt names.

use strsim::levenshtein;

use super::settings::{SETTINGS, SettingDefinition};

// Frozen: the names of variables. Service units and scripts set them.
// Variables of the command line as a client of a service. They are not settings of the service.

/// The environment variable with the URL of the service that the command line calls.
pub const SERVER_VARIABLE: &str = "MUSTER_SERVER";
/// The environment variable with the API key that the command line sends to a service.
pub const API_KEY_VARIABLE: &str = "MUSTER_API_KEY";
/// The environment variable that names the file with the CAs that may sign the service's certificate.
pub const CA_FILE_VARIABLE: &str = "MUSTER_CA_FILE";
/// The environment variable that names the file with the client certificate and its key.
pub const CLIENT_CERT_FILE_VARIABLE: &str = "MUSTER_CLIENT_CERT_FILE";
/// All client variables.
pub(super) const CLIENT_VARIABLES: [&str; 4] =
    [SERVER_VARIABLE, API_KEY_VARIABLE, CA_FILE_VARIABLE, CLIENT_CERT_FILE_VARIABLE];
/// The environment variable that names the settings file.
pub(super) const CONFIG_VARIABLE: &str = "MUSTER_CONFIG";

/// The largest edit distance between a variable and a setting's variable that counts as a typing error.
const TYPO_DISTANCE_MAX: usize = 2;

/// The prefix of all environment variables of settings.
pub(super) const VARIABLE_PREFIX: &str = "MUSTER_";

impl SettingDefinition {
    /// Its environment variable: `MUSTER_HTTP__LISTEN` for `http.listen`.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase().replace('.', "__"))
    }
}

/// The names of all settings, in the order of display.
pub(super) fn setting_names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name)
}

/// The setting with this name.
pub(super) fn find_setting(name: &str) -> Option<&'static SettingDefinition> {
    SETTINGS.iter().copied().find(|setting| setting.name == name)
}

/// Whether `name` is a group of settings: whether names of settings begin with `name.`.
pub(super) fn is_group(name: &str) -> bool {
    setting_names().any(|setting| setting.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The variable that `variable` is probably a misspelling of. Ignores case, and allows for [`TYPO_DISTANCE_MAX`]
/// characters that were changed, added or left out.
pub(super) fn suggest_variable(variable: &str) -> Option<String> {
    let variable = variable.to_ascii_uppercase();
    let known = SETTINGS.iter().map(|setting| setting.variable()).chain([CONFIG_VARIABLE.to_owned()]);
    // Names with another length cannot be that close, so they are not compared.
    let similar = known.filter(|known| known.len().abs_diff(variable.len()) <= TYPO_DISTANCE_MAX);
    let distances = similar.map(|known| (levenshtein(&variable, &known), known));
    distances.filter(|(distance, _)| *distance <= TYPO_DISTANCE_MAX).min().map(|(_, known)| known)
}

/// The setting that `name` is probably a misspelling of.
pub(super) fn suggest_name(name: &str) -> Option<&'static SettingDefinition> {
    let name = name.to_ascii_lowercase();
    let distance = |setting: &&SettingDefinition| levenshtein(&name, setting.name);
    // If up to a quarter of the characters are wrong, it is a typing error; otherwise it is another word.
    let is_near = |setting: &&SettingDefinition, distance: usize| distance <= setting.name.len() / 4;
    // Names with another length cannot be that close, so they are not compared.
    let similar = SETTINGS.iter().copied().filter(|setting| is_near(setting, setting.name.len().abs_diff(name.len())));
    similar.min_by_key(distance).filter(|nearest| is_near(nearest, distance(nearest)))
}

//! Every setting by name. Reading, checking, display and the search for misspelt names all use this table. A new
//! setting is a field with a default in `settings`, and a line here.

use strsim::levenshtein;

use super::gateway_settings::{
    is_graph_id, is_graph_version, is_language, is_pin, is_region, is_signing_secret, is_token, is_verified_name,
};
use super::setting_kind::SettingKind;
use crate::domain::Channel;
use crate::limits::{
    SETTABLE_ACTORS, SETTABLE_BATCH_ACCOUNTS, SETTABLE_BODY_BYTES, SETTABLE_CACHE_BYTES, SETTABLE_CALLS_IN_FLIGHT,
    SETTABLE_CALLS_PER_SECOND, SETTABLE_CHECKPOINT, SETTABLE_COMMANDS, SETTABLE_CONNECTIONS, SETTABLE_REDELIVERIES,
    SETTABLE_REQUESTS, SETTABLE_SIMULATOR_DELAY_MS, SETTABLE_WEBHOOKS,
};

/// One setting.
pub(super) struct SettingDefinition {
    /// Its name in the file, with dots between levels.
    pub(super) name: &'static str,
    /// The kind of its values, and their field.
    pub(super) kind: SettingKind,
}

pub(super) static SETTINGS: [SettingDefinition; 72] = [
    define("data_dir", SettingKind::Directory(|it| &mut it.data_dir)),
    define("http.listen", SettingKind::ListenAddress(|it| &mut it.http.listen)),
    define("http.always_200", SettingKind::Bool(|it| &mut it.http.always_200)),
    define("http.max_batch", SettingKind::Count(|it| &mut it.http.max_batch, SETTABLE_BATCH_ACCOUNTS)),
    define("http.max_body_bytes", SettingKind::Count(|it| &mut it.http.max_body_bytes, SETTABLE_BODY_BYTES)),
    define("http.max_connections", SettingKind::Count(|it| &mut it.http.max_connections, SETTABLE_CONNECTIONS)),
    define(
        "http.max_connections_per_address",
        SettingKind::Count(|it| &mut it.http.max_connections_per_address, SETTABLE_CONNECTIONS),
    ),
    define("http.request_timeout", SettingKind::Duration(|it| &mut it.http.request_timeout)),
    define("http.requests_per_second", SettingKind::Count(|it| &mut it.http.requests_per_second, SETTABLE_REQUESTS)),
    define("tls.cert", SettingKind::File(|it| &mut it.tls.cert)),
    define("tls.key", SettingKind::File(|it| &mut it.tls.key)),
    define("tls.client_ca", SettingKind::File(|it| &mut it.tls.client_ca)),
    define("accounts.registration_lifetime", SettingKind::Duration(|it| &mut it.accounts.registration_lifetime)),
    define("accounts.auto_reconnect", SettingKind::Bool(|it| &mut it.accounts.auto_reconnect)),
    define("accounts.reconnect_wait", SettingKind::Duration(|it| &mut it.accounts.reconnect_wait)),
    define("actors.coming_timeout", SettingKind::Duration(|it| &mut it.actors.coming_timeout)),
    define("actors.idle_after", SettingKind::Duration(|it| &mut it.actors.idle_after)),
    define("actors.max_active", SettingKind::Count(|it| &mut it.actors.max_active, SETTABLE_ACTORS)),
    define("actors.max_in_flight", SettingKind::Count(|it| &mut it.actors.max_in_flight, SETTABLE_COMMANDS)),
    define("store.cache_bytes", SettingKind::Size(|it| &mut it.store.cache_bytes, SETTABLE_CACHE_BYTES)),
    define("store.checkpoint_every", SettingKind::Size(|it| &mut it.store.checkpoint_every, SETTABLE_CHECKPOINT)),
    define("vault.master_key_file", SettingKind::File(|it| &mut it.vault.master_key_file)),
    define("vault.master_key_command", SettingKind::Command(|it| &mut it.vault.master_key_command)),
    define("vault.master_key", SettingKind::MasterKey(|it| &mut it.vault.master_key)),
    define("webhooks.base_url", SettingKind::BaseUrl(|it| &mut it.webhooks.base_url)),
    define(
        "webhooks.channel_sync_status.url",
        SettingKind::ReceiverUrl(|it| &mut it.webhooks.channel_mut(Channel::SyncStatus).url),
    ),
    define(
        "webhooks.channel_sync_status.deliver",
        SettingKind::Enum(|it| &mut it.webhooks.channel_mut(Channel::SyncStatus).deliver),
    ),
    define(
        "webhooks.channel_register_status.url",
        SettingKind::ReceiverUrl(|it| &mut it.webhooks.channel_mut(Channel::RegisterStatus).url),
    ),
    define(
        "webhooks.channel_register_status.deliver",
        SettingKind::Enum(|it| &mut it.webhooks.channel_mut(Channel::RegisterStatus).deliver),
    ),
    define("webhooks.allow_networks", SettingKind::Networks(|it| &mut it.webhooks.allow_networks)),
    define("webhooks.retry_waits", SettingKind::Durations(|it| &mut it.webhooks.retry_waits)),
    define("webhooks.after_last_try", SettingKind::Enum(|it| &mut it.webhooks.after_last_try)),
    define("webhooks.timeout", SettingKind::Duration(|it| &mut it.webhooks.timeout)),
    define("webhooks.connection_lifetime", SettingKind::Duration(|it| &mut it.webhooks.connection_lifetime)),
    define("webhooks.max_in_flight", SettingKind::Count(|it| &mut it.webhooks.max_in_flight, SETTABLE_WEBHOOKS)),
    define(
        "webhooks.redeliver_per_second",
        SettingKind::Count(|it| &mut it.webhooks.redeliver_per_second, SETTABLE_REDELIVERIES),
    ),
    define("webhooks.keep_attempts", SettingKind::Duration(|it| &mut it.webhooks.keep_attempts)),
    define("webhooks.accept_plain_2xx", SettingKind::Bool(|it| &mut it.webhooks.accept_plain_2xx)),
    define("webhooks.register_status_as_string", SettingKind::Bool(|it| &mut it.webhooks.register_status_as_string)),
    define("webhooks.register_still_waiting", SettingKind::Bool(|it| &mut it.webhooks.register_still_waiting)),
    define("gateway.default", SettingKind::Enum(|it| &mut it.gateway.routing.default)),
    define("gateway.rules", SettingKind::Rules(|it| &mut it.gateway.routing.rules)),
    define("gateway.reconcile_every", SettingKind::Duration(|it| &mut it.gateway.reconcile_every)),
    define("gateway.bridge.url", SettingKind::BaseUrl(|it| &mut it.gateway.bridge.url)),
    define(
        "gateway.bridge.secret",
        SettingKind::Secret(
            |it| &mut it.gateway.bridge.secret,
            is_signing_secret,
            "whsec_ and the base64 of 24 to 64 random bytes",
        ),
    ),
    define("gateway.bridge.lease", SettingKind::Duration(|it| &mut it.gateway.bridge.lease)),
    define("gateway.bridge.timeout", SettingKind::Duration(|it| &mut it.gateway.bridge.timeout)),
    define(
        "gateway.bridge.max_in_flight",
        SettingKind::Count(|it| &mut it.gateway.bridge.max_in_flight, SETTABLE_CALLS_IN_FLIGHT),
    ),
    define(
        "gateway.bridge.calls_per_second",
        SettingKind::Count(|it| &mut it.gateway.bridge.calls_per_second, SETTABLE_CALLS_PER_SECOND),
    ),
    define("gateway.cloud_api.base_url", SettingKind::BaseUrl(|it| &mut it.gateway.cloud_api.base_url)),
    define(
        "gateway.cloud_api.version",
        SettingKind::Text(
            |it| &mut it.gateway.cloud_api.version,
            is_graph_version,
            "a version of the Graph API, such as v23.0",
        ),
    ),
    define(
        "gateway.cloud_api.waba_id",
        SettingKind::Text(
            |it| &mut it.gateway.cloud_api.waba_id,
            is_graph_id,
            "the digits of a WhatsApp Business Account's id",
        ),
    ),
    define(
        "gateway.cloud_api.token",
        SettingKind::Secret(
            |it| &mut it.gateway.cloud_api.token,
            is_token,
            "an access token of visible ASCII characters",
        ),
    ),
    define(
        "gateway.cloud_api.app_secret",
        SettingKind::Secret(
            |it| &mut it.gateway.cloud_api.app_secret,
            is_token,
            "the app secret, in visible ASCII characters",
        ),
    ),
    define(
        "gateway.cloud_api.verify_token",
        SettingKind::Secret(
            |it| &mut it.gateway.cloud_api.verify_token,
            is_token,
            "a verify token of visible ASCII characters",
        ),
    ),
    define(
        "gateway.cloud_api.verified_name",
        SettingKind::Text(
            |it| &mut it.gateway.cloud_api.verified_name,
            is_verified_name,
            "a name of 2 to 75 characters",
        ),
    ),
    define(
        "gateway.cloud_api.language",
        SettingKind::Text(|it| &mut it.gateway.cloud_api.language, is_language, "a language, such as en_US or de"),
    ),
    define(
        "gateway.cloud_api.region",
        SettingKind::Text(
            |it| &mut it.gateway.cloud_api.region,
            is_region,
            "one of AU, ID, IN, JP, SG, KR, DE, CH, GB, BR, BH, ZA, AE and CA",
        ),
    ),
    define(
        "gateway.cloud_api.pin",
        SettingKind::Secret(|it| &mut it.gateway.cloud_api.pin, is_pin, "a PIN of six digits"),
    ),
    define(
        "gateway.cloud_api.deregister_on_recycle",
        SettingKind::Bool(|it| &mut it.gateway.cloud_api.deregister_on_recycle),
    ),
    define("gateway.cloud_api.code_request", SettingKind::Enum(|it| &mut it.gateway.cloud_api.code_request)),
    define("gateway.cloud_api.timeout", SettingKind::Duration(|it| &mut it.gateway.cloud_api.timeout)),
    define(
        "gateway.cloud_api.max_in_flight",
        SettingKind::Count(|it| &mut it.gateway.cloud_api.max_in_flight, SETTABLE_CALLS_IN_FLIGHT),
    ),
    define(
        "gateway.cloud_api.calls_per_second",
        SettingKind::Count(|it| &mut it.gateway.cloud_api.calls_per_second, SETTABLE_CALLS_PER_SECOND),
    ),
    define("simulator.delay_ms", SettingKind::Milliseconds(|it| &mut it.simulator.delay, SETTABLE_SIMULATOR_DELAY_MS)),
    define("log.filter", SettingKind::LogFilter(|it| &mut it.log.filter)),
    define("log.format", SettingKind::Enum(|it| &mut it.log.format)),
    define("log.full_numbers", SettingKind::Bool(|it| &mut it.log.full_numbers)),
    define("telemetry.otlp_endpoint", SettingKind::BaseUrl(|it| &mut it.telemetry.otlp_endpoint)),
    define("telemetry.otlp_headers", SettingKind::Headers(|it| &mut it.telemetry.otlp_headers)),
    define("telemetry.service_name", SettingKind::ServiceName(|it| &mut it.telemetry.service_name)),
    define("telemetry.sample_ratio", SettingKind::Ratio(|it| &mut it.telemetry.sample_ratio)),
];

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

const fn define(name: &'static str, kind: SettingKind) -> SettingDefinition {
    SettingDefinition { name, kind }
}

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
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// Whether settings begin with `name.`.
pub(super) fn is_group(name: &str) -> bool {
    setting_names().any(|setting| setting.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The variable that `variable` is probably a misspelling of: at most two characters changed, added, missing or in
/// lower case.
pub(super) fn suggest_variable(variable: &str) -> Option<String> {
    let variable = variable.to_ascii_uppercase();
    let known = SETTINGS.iter().map(SettingDefinition::variable).chain([CONFIG_VARIABLE.to_owned()]);
    // A much longer name is not even compared.
    let like = known.filter(|known| known.len().abs_diff(variable.len()) <= TYPO_DISTANCE_MAX);
    let apart = like.map(|known| (levenshtein(&variable, &known), known));
    apart.filter(|(apart, _)| *apart <= TYPO_DISTANCE_MAX).min().map(|(_, known)| known)
}

/// The setting that `name` is probably a misspelling of.
pub(super) fn suggest_name(name: &str) -> Option<&'static SettingDefinition> {
    let name = name.to_ascii_lowercase();
    let apart = |setting: &&SettingDefinition| levenshtein(&name, setting.name);
    // Up to a quarter of wrong characters is a typing error; more is another word. A much longer name is not even
    // compared.
    let is_near = |setting: &&SettingDefinition, apart: usize| apart <= setting.name.len() / 4;
    let like = SETTINGS.iter().filter(|setting| is_near(setting, setting.name.len().abs_diff(name.len())));
    like.min_by_key(apart).filter(|nearest| is_near(nearest, apart(nearest)))
}

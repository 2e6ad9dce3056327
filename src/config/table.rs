//! Every setting by its name. Reading, checking, showing and the search for misspelt names all go through this table,
//! so a new setting is a field with a default in `settings`, and a line here.

use strsim::levenshtein;

use super::gateway::{
    is_graph_id, is_graph_version, is_language, is_pin, is_region, is_signing_secret, is_token, is_verified_name,
};
use super::kind::Kind;
use crate::limits::{
    SETTABLE_ACTORS, SETTABLE_BATCH_ACCOUNTS, SETTABLE_BODY_BYTES, SETTABLE_CACHE_BYTES, SETTABLE_CALLS_IN_FLIGHT,
    SETTABLE_CALLS_PER_SECOND, SETTABLE_CHECKPOINT, SETTABLE_COMMANDS, SETTABLE_CONNECTIONS, SETTABLE_REDELIVERIES,
    SETTABLE_REQUESTS, SETTABLE_SIMULATOR_DELAY_MS, SETTABLE_WEBHOOKS,
};

/// One setting.
pub(super) struct Setting {
    /// Its name in the file, with dots between levels.
    pub(super) name: &'static str,
    /// What its values are, and where they belong.
    pub(super) kind: Kind,
}

pub(super) static SETTINGS: [Setting; 72] = [
    setting("data_dir", Kind::Directory(|it| &mut it.data_dir)),
    setting("http.listen", Kind::Address(|it| &mut it.http.listen)),
    setting("http.always_200", Kind::Switch(|it| &mut it.http.always_200)),
    setting("http.max_batch", Kind::Count(|it| &mut it.http.max_batch, SETTABLE_BATCH_ACCOUNTS)),
    setting("http.max_body_bytes", Kind::Count(|it| &mut it.http.max_body_bytes, SETTABLE_BODY_BYTES)),
    setting("http.max_connections", Kind::Count(|it| &mut it.http.max_connections, SETTABLE_CONNECTIONS)),
    setting(
        "http.max_connections_per_address",
        Kind::Count(|it| &mut it.http.max_connections_per_address, SETTABLE_CONNECTIONS),
    ),
    setting("http.request_timeout", Kind::Duration(|it| &mut it.http.request_timeout)),
    setting("http.requests_per_second", Kind::Count(|it| &mut it.http.requests_per_second, SETTABLE_REQUESTS)),
    setting("tls.cert", Kind::File(|it| &mut it.tls.cert)),
    setting("tls.key", Kind::File(|it| &mut it.tls.key)),
    setting("tls.client_ca", Kind::File(|it| &mut it.tls.client_ca)),
    setting("accounts.registration_lifetime", Kind::Duration(|it| &mut it.accounts.registration_lifetime)),
    setting("accounts.auto_reconnect", Kind::Switch(|it| &mut it.accounts.auto_reconnect)),
    setting("accounts.reconnect_wait", Kind::Duration(|it| &mut it.accounts.reconnect_wait)),
    setting("actors.coming_timeout", Kind::Duration(|it| &mut it.actors.coming_timeout)),
    setting("actors.idle_after", Kind::Duration(|it| &mut it.actors.idle_after)),
    setting("actors.max_active", Kind::Count(|it| &mut it.actors.max_active, SETTABLE_ACTORS)),
    setting("actors.max_in_flight", Kind::Count(|it| &mut it.actors.max_in_flight, SETTABLE_COMMANDS)),
    setting("store.cache_bytes", Kind::Size(|it| &mut it.store.cache_bytes, SETTABLE_CACHE_BYTES)),
    setting("store.checkpoint_every", Kind::Size(|it| &mut it.store.checkpoint_every, SETTABLE_CHECKPOINT)),
    setting("vault.master_key_file", Kind::File(|it| &mut it.vault.master_key_file)),
    setting("vault.master_key_command", Kind::Command(|it| &mut it.vault.master_key_command)),
    setting("vault.master_key", Kind::MasterKey(|it| &mut it.vault.master_key)),
    setting("webhooks.base_url", Kind::BaseUrl(|it| &mut it.webhooks.base_url)),
    setting("webhooks.channel_sync_status.url", Kind::Url(|it| &mut it.webhooks.channel_sync_status.url)),
    setting("webhooks.channel_sync_status.deliver", Kind::Choice(|it| &mut it.webhooks.channel_sync_status.deliver)),
    setting("webhooks.channel_register_status.url", Kind::Url(|it| &mut it.webhooks.channel_register_status.url)),
    setting(
        "webhooks.channel_register_status.deliver",
        Kind::Choice(|it| &mut it.webhooks.channel_register_status.deliver),
    ),
    setting("webhooks.allow_networks", Kind::Networks(|it| &mut it.webhooks.allow_networks)),
    setting("webhooks.retry_waits", Kind::Waits(|it| &mut it.webhooks.retry_waits)),
    setting("webhooks.after_last_try", Kind::Choice(|it| &mut it.webhooks.after_last_try)),
    setting("webhooks.timeout", Kind::Duration(|it| &mut it.webhooks.timeout)),
    setting("webhooks.connection_lifetime", Kind::Duration(|it| &mut it.webhooks.connection_lifetime)),
    setting("webhooks.max_in_flight", Kind::Count(|it| &mut it.webhooks.max_in_flight, SETTABLE_WEBHOOKS)),
    setting(
        "webhooks.redeliver_per_second",
        Kind::Count(|it| &mut it.webhooks.redeliver_per_second, SETTABLE_REDELIVERIES),
    ),
    setting("webhooks.keep_attempts", Kind::Duration(|it| &mut it.webhooks.keep_attempts)),
    setting("webhooks.accept_plain_2xx", Kind::Switch(|it| &mut it.webhooks.accept_plain_2xx)),
    setting("webhooks.register_status_as_string", Kind::Switch(|it| &mut it.webhooks.register_status_as_string)),
    setting("webhooks.register_still_waiting", Kind::Switch(|it| &mut it.webhooks.register_still_waiting)),
    setting("gateway.default", Kind::Choice(|it| &mut it.gateway.routing.default)),
    setting("gateway.rules", Kind::Rules(|it| &mut it.gateway.routing.rules)),
    setting("gateway.reconcile_every", Kind::Duration(|it| &mut it.gateway.reconcile_every)),
    setting("gateway.bridge.url", Kind::BaseUrl(|it| &mut it.gateway.bridge.url)),
    setting(
        "gateway.bridge.secret",
        Kind::Secret(
            |it| &mut it.gateway.bridge.secret,
            is_signing_secret,
            "whsec_ and the base64 of 24 to 64 random bytes",
        ),
    ),
    setting("gateway.bridge.lease", Kind::Duration(|it| &mut it.gateway.bridge.lease)),
    setting("gateway.bridge.timeout", Kind::Duration(|it| &mut it.gateway.bridge.timeout)),
    setting(
        "gateway.bridge.max_in_flight",
        Kind::Count(|it| &mut it.gateway.bridge.max_in_flight, SETTABLE_CALLS_IN_FLIGHT),
    ),
    setting(
        "gateway.bridge.calls_per_second",
        Kind::Count(|it| &mut it.gateway.bridge.calls_per_second, SETTABLE_CALLS_PER_SECOND),
    ),
    setting("gateway.cloud_api.base_url", Kind::BaseUrl(|it| &mut it.gateway.cloud_api.base_url)),
    setting(
        "gateway.cloud_api.version",
        Kind::Text(|it| &mut it.gateway.cloud_api.version, is_graph_version, "a version of the Graph API, as in v23.0"),
    ),
    setting(
        "gateway.cloud_api.waba_id",
        Kind::Text(
            |it| &mut it.gateway.cloud_api.waba_id,
            is_graph_id,
            "the id of a WhatsApp Business Account, which is all digits",
        ),
    ),
    setting(
        "gateway.cloud_api.token",
        Kind::Secret(|it| &mut it.gateway.cloud_api.token, is_token, "an access token, visible ASCII characters"),
    ),
    setting(
        "gateway.cloud_api.app_secret",
        Kind::Secret(|it| &mut it.gateway.cloud_api.app_secret, is_token, "the app's secret, visible ASCII characters"),
    ),
    setting(
        "gateway.cloud_api.verify_token",
        Kind::Secret(|it| &mut it.gateway.cloud_api.verify_token, is_token, "a verify token, visible ASCII characters"),
    ),
    setting(
        "gateway.cloud_api.verified_name",
        Kind::Text(|it| &mut it.gateway.cloud_api.verified_name, is_verified_name, "a name of 2 to 75 characters"),
    ),
    setting(
        "gateway.cloud_api.language",
        Kind::Text(|it| &mut it.gateway.cloud_api.language, is_language, "a language, as in en_US or de"),
    ),
    setting(
        "gateway.cloud_api.region",
        Kind::Text(
            |it| &mut it.gateway.cloud_api.region,
            is_region,
            "one of AU, ID, IN, JP, SG, KR, DE, CH, GB, BR, BH, ZA, AE and CA",
        ),
    ),
    setting("gateway.cloud_api.pin", Kind::Secret(|it| &mut it.gateway.cloud_api.pin, is_pin, "a PIN of six digits")),
    setting(
        "gateway.cloud_api.deregister_on_recycle",
        Kind::Switch(|it| &mut it.gateway.cloud_api.deregister_on_recycle),
    ),
    setting("gateway.cloud_api.code_request", Kind::Choice(|it| &mut it.gateway.cloud_api.code_request)),
    setting("gateway.cloud_api.timeout", Kind::Duration(|it| &mut it.gateway.cloud_api.timeout)),
    setting(
        "gateway.cloud_api.max_in_flight",
        Kind::Count(|it| &mut it.gateway.cloud_api.max_in_flight, SETTABLE_CALLS_IN_FLIGHT),
    ),
    setting(
        "gateway.cloud_api.calls_per_second",
        Kind::Count(|it| &mut it.gateway.cloud_api.calls_per_second, SETTABLE_CALLS_PER_SECOND),
    ),
    setting("simulator.delay_ms", Kind::Milliseconds(|it| &mut it.simulator.delay, SETTABLE_SIMULATOR_DELAY_MS)),
    setting("log.filter", Kind::Filter(|it| &mut it.log.filter)),
    setting("log.format", Kind::Choice(|it| &mut it.log.format)),
    setting("log.full_numbers", Kind::Switch(|it| &mut it.log.full_numbers)),
    setting("telemetry.otlp_endpoint", Kind::BaseUrl(|it| &mut it.telemetry.otlp_endpoint)),
    setting("telemetry.otlp_headers", Kind::Headers(|it| &mut it.telemetry.otlp_headers)),
    setting("telemetry.service_name", Kind::Name(|it| &mut it.telemetry.service_name)),
    setting("telemetry.sample_ratio", Kind::Share(|it| &mut it.telemetry.sample_ratio)),
];

// Variables of the command line as a client of a service; none of them is a setting of the service.

/// The environment variable with the URL of the service that the command line asks.
pub const SERVER_VARIABLE: &str = "MUSTER_SERVER";
/// The environment variable with the API key that the command line shows a service.
pub const API_KEY_VARIABLE: &str = "MUSTER_API_KEY";
/// The environment variable that names the file with the CAs that the service's certificate must be of.
pub const CA_FILE_VARIABLE: &str = "MUSTER_CA_FILE";
/// The environment variable that names the file with the certificate and key that the service is shown.
pub const CLIENT_CERT_FILE_VARIABLE: &str = "MUSTER_CLIENT_CERT_FILE";
/// All of these.
pub(super) const CLIENT_VARIABLES: [&str; 4] =
    [SERVER_VARIABLE, API_KEY_VARIABLE, CA_FILE_VARIABLE, CLIENT_CERT_FILE_VARIABLE];
/// The environment variable that names the file.
pub(super) const FILE_VARIABLE: &str = "MUSTER_CONFIG";

/// Letters in which a variable may differ from a setting's and still be taken for a misspelt one.
const SLIPPED_LETTERS: usize = 2;

/// What the environment variables of settings begin with.
pub(super) const VARIABLE_PREFIX: &str = "MUSTER_";

const fn setting(name: &'static str, kind: Kind) -> Setting {
    Setting { name, kind }
}

impl Setting {
    /// The environment variable for it: `MUSTER_HTTP__LISTEN` for `http.listen`.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase().replace('.', "__"))
    }
}

/// The names of all settings, in the order in which they are shown.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name)
}

/// The setting of that name.
pub(super) fn named(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// Whether settings begin with `name.`.
pub(super) fn is_group(name: &str) -> bool {
    names().any(|setting| setting.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The variable that somebody who wrote `variable` meant: at most two letters were changed, added or left out, or were
/// written small.
pub(super) fn misspelt_variable(variable: &str) -> Option<String> {
    let variable = variable.to_ascii_uppercase();
    let known = SETTINGS.iter().map(Setting::variable).chain([FILE_VARIABLE.to_owned()]);
    // One that is much longer is not even compared.
    let like = known.filter(|known| known.len().abs_diff(variable.len()) <= SLIPPED_LETTERS);
    let apart = like.map(|known| (levenshtein(&variable, &known), known));
    apart.filter(|(apart, _)| *apart <= SLIPPED_LETTERS).min().map(|(_, known)| known)
}

/// The setting that somebody who wrote `name` may have meant.
pub(super) fn nearest(name: &str) -> Option<&'static Setting> {
    let name = name.to_ascii_lowercase();
    let apart = |setting: &&Setting| levenshtein(&name, setting.name);
    // A quarter of the letters wrong is a slip; more is another word, and one that is much longer is not even compared.
    let is_near = |setting: &&Setting, apart: usize| apart <= setting.name.len() / 4;
    let like = SETTINGS.iter().filter(|setting| is_near(setting, setting.name.len().abs_diff(name.len())));
    like.min_by_key(apart).filter(|nearest| is_near(nearest, apart(nearest)))
}

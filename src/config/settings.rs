//! Every setting: its field, default, name and kind of value. A new setting is one entry here.
//!
//! Reading, checking, display and suggestions for misspelt names all use [`SETTINGS`].

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use super::secret_text::SecretText;
use super::setting_enums::{CodeRequestEncoding, DeadLetterPolicy, DeliveryMode, LogFormat};
use super::setting_kind::SettingKind;
use super::settings_group::group;
use super::text_parsing::{
    is_base_path, is_graph_id, is_graph_version, is_language, is_pin, is_region, is_signing_secret, is_token,
    is_verified_name,
};
use crate::client::Network;
use crate::domain::{Channel, GatewayRouting};
use crate::limits;

/// One setting.
pub(super) struct SettingDefinition {
    /// Its name in the file, with dots between levels. The environment variable has the prefix `MUSTER_`, upper case, and
    /// `__` for dots.
    pub(super) name: &'static str,
    /// The kind of its values, and their field.
    pub(super) kind: SettingKind<Settings>,
}

// Frozen: names, kinds of values and their units. Existing settings files and environments must stay valid, and mean
// the same.
/// All settings, in the order of display.
pub(super) static SETTINGS: LazyLock<Vec<&SettingDefinition>> = LazyLock::new(|| {
    let groups = [
        DATA_DIR,
        HttpSettings::LIST,
        TlsSettings::LIST,
        AccountSettings::LIST,
        ActorSettings::LIST,
        StoreSettings::LIST,
        VaultSettings::LIST,
        WebhookSettings::LIST,
        GatewaySettings::LIST,
        BridgeSettings::LIST,
        CloudApiSettings::LIST,
        SimulatorSettings::LIST,
        LogSettings::LIST,
        TelemetrySettings::LIST,
    ];
    groups.into_iter().flatten().collect()
});

const DATA_DIR: &[SettingDefinition] =
    &[SettingDefinition { name: "data_dir", kind: SettingKind::Directory(|it| &mut it.data_dir) }];

/// All settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The directory of all durable data.
    pub data_dir: PathBuf,
    /// The HTTP service.
    pub http: HttpSettings,
    /// TLS of the HTTP service.
    pub tls: TlsSettings,
    /// The account rules that operators may change.
    pub accounts: AccountSettings,
    /// The actors.
    pub actors: ActorSettings,
    /// The store.
    pub store: StoreSettings,
    /// The vault.
    pub vault: VaultSettings,
    /// The webhooks.
    pub webhooks: WebhookSettings,
    /// The gateways.
    pub gateway: GatewaySettings,
    /// The built-in simulator.
    pub simulator: SimulatorSettings,
    /// The log.
    pub log: LogSettings,
    /// Traces.
    pub telemetry: TelemetrySettings,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data_dir: PathBuf::from("./muster-data"),
            http: HttpSettings::default(),
            tls: TlsSettings::default(),
            accounts: AccountSettings::default(),
            actors: ActorSettings::default(),
            store: StoreSettings::default(),
            vault: VaultSettings::default(),
            webhooks: WebhookSettings::default(),
            gateway: GatewaySettings::default(),
            simulator: SimulatorSettings::default(),
            log: LogSettings::default(),
            telemetry: TelemetrySettings::default(),
        }
    }
}

group! {
    /// `http.*`
    HttpSettings at (http) {
        /// Address and port to listen on; port 0 takes a free one.
        listen: String = "127.0.0.1:8080".to_owned() => "http.listen": ListenAddress();
        /// Whether the HTTP status is 200 whatever `code` is, except for 413, 429 and 503.
        always_200: bool = false => "http.always_200": Bool();
        /// Maximum number of accounts in one request.
        max_batch: usize = limits::BATCH_ACCOUNTS => "http.max_batch": Count(limits::SETTABLE_BATCH_ACCOUNTS);
        /// Maximum number of bytes in one request body.
        max_body_bytes: usize = limits::BODY_BYTES => "http.max_body_bytes": Count(limits::SETTABLE_BODY_BYTES);
        /// Maximum number of open connections.
        max_connections: usize = limits::CONNECTIONS => "http.max_connections": Count(limits::SETTABLE_CONNECTIONS);
        /// Maximum number of open connections from one address. IPv6 addresses in the same /64 count as one.
        max_connections_per_address: usize = limits::CONNECTIONS_PER_ADDRESS
            => "http.max_connections_per_address": Count(limits::SETTABLE_CONNECTIONS);
        /// Maximum time from the request head to the response head.
        request_timeout: Duration = limits::REQUEST_TIMEOUT => "http.request_timeout": Duration();
        /// Maximum number of requests per second from one API key, or without a valid key from one address.
        requests_per_second: usize = limits::REQUESTS_PER_SECOND
            => "http.requests_per_second": Count(limits::SETTABLE_REQUESTS);
        /// The path under which a reverse proxy serves the API and the console.
        base_path: Option<String> = None
            => "http.base_path": Text(is_base_path, "a path such as /muster, whose first part is not a path of Muster");
        /// The networks of reverse proxies. Their `Forwarded` or `X-Forwarded-*` says who the caller is.
        trusted_proxies: Option<Vec<Network>> = None => "http.trusted_proxies": Networks();
    }
}

group! {
    /// `tls.*`: PEM files, checked for changes while the service runs.
    TlsSettings at (tls) {
        /// The service's certificate, followed by its intermediate certificates; `None` means plain HTTP.
        cert: Option<PathBuf> = None => "tls.cert": File();
        /// The certificate's private key.
        key: Option<PathBuf> = None => "tls.key": File();
        /// The CAs of client certificates; `None` means that clients need no certificate.
        client_ca: Option<PathBuf> = None => "tls.client_ca": File();
    }
}

group! {
    /// `accounts.*`
    AccountSettings at (accounts) {
        /// How long a registration waits for its code.
        registration_lifetime: Duration = limits::REGISTRATION_LIFETIME => "accounts.registration_lifetime": Duration();
        /// Whether dropped accounts are brought back online, after a growing wait. Never after a failed pairing or a ban.
        auto_reconnect: bool = false => "accounts.auto_reconnect": Bool();
        /// The reconnect wait after the first drop; it doubles with each further drop in a row, up to 5 minutes.
        reconnect_wait: Duration = limits::RECONNECT_WAIT => "accounts.reconnect_wait": Duration();
    }
}

group! {
    /// `actors.*`
    ActorSettings at (actors) {
        /// How long a `-coming` state may last before the account goes offline with reason 1002.
        coming_timeout: Duration = limits::COMING_TIMEOUT => "actors.coming_timeout": Duration();
        /// An actor without work for this long is retired.
        idle_after: Duration = limits::ACTOR_IDLE => "actors.idle_after": Duration();
        /// Maximum number of active actors.
        max_active: usize = limits::ACTORS_ACTIVE => "actors.max_active": Count(limits::SETTABLE_ACTORS);
        /// Maximum number of commands in flight. Further commands get 503.
        max_in_flight: usize = limits::COMMANDS_IN_FLIGHT => "actors.max_in_flight": Count(limits::SETTABLE_COMMANDS);
    }
}

group! {
    /// `store.*`
    StoreSettings at (store) {
        /// Size of the page cache in bytes. The actual memory use is a multiple of it.
        cache_bytes: u64 = limits::STORE_CACHE_BYTES => "store.cache_bytes": Size(limits::SETTABLE_CACHE_BYTES);
        /// After this number of events the checkpoints are saved again. They make the next start quick.
        checkpoint_every: u64 = limits::CHECKPOINT_EVERY => "store.checkpoint_every": Size(limits::SETTABLE_CHECKPOINT);
    }
}

group! {
    /// `vault.*`
    VaultSettings at (vault) {
        /// The file with the master key; `keys/master.key` in the data directory if not set.
        master_key_file: Option<PathBuf> = None => "vault.master_key_file": File();
        /// A program that prints the master key, and its arguments.
        master_key_command: Option<Vec<String>> = None => "vault.master_key_command": Command();
        /// The master key itself; from the environment only.
        master_key: Option<SecretText> = None => "vault.master_key": MasterKey();
    }
}

group! {
    /// `webhooks.*`
    WebhookSettings at (webhooks) {
        /// The base URL of receivers; each channel's path is appended.
        base_url: Option<String> = None => "webhooks.base_url": BaseUrl();
        /// `webhooks.channel_sync_status.*` and so on, in the order of [`Channel::ALL`].
        channels: [ChannelSettings; Channel::ALL.len()] = Channel::ALL.map(|_| ChannelSettings::default())
            => "webhooks.channel_sync_status.url": ReceiverUrl() in ([Channel::SyncStatus as usize].url),
               "webhooks.channel_sync_status.deliver": Enum() in ([Channel::SyncStatus as usize].deliver),
               "webhooks.channel_register_status.url": ReceiverUrl() in ([Channel::RegisterStatus as usize].url),
               "webhooks.channel_register_status.deliver": Enum() in ([Channel::RegisterStatus as usize].deliver);
        /// Private networks where receivers may be; `None` means that the listen address decides.
        allow_networks: Option<Vec<Network>> = None => "webhooks.allow_networks": Networks();
        /// Waits between the attempts of one delivery. Each is shortened or lengthened at random, by up to a fifth.
        retry_waits: Vec<Duration> = limits::RETRY_WAITS.to_vec() => "webhooks.retry_waits": Durations();
        /// What happens to an account's later deliveries after a dead letter.
        after_last_try: DeadLetterPolicy = DeadLetterPolicy::Continue => "webhooks.after_last_try": Enum();
        /// Maximum time for a whole attempt: connecting, headers and body.
        timeout: Duration = limits::WEBHOOK_TIMEOUT => "webhooks.timeout": Duration();
        /// How long a connection to a receiver is reused.
        connection_lifetime: Duration = limits::CONNECTION_LIFETIME => "webhooks.connection_lifetime": Duration();
        /// Maximum number of deliveries in flight per channel.
        max_in_flight: usize = limits::WEBHOOKS_IN_FLIGHT => "webhooks.max_in_flight": Count(limits::SETTABLE_WEBHOOKS);
        /// Maximum number of requested redeliveries and resyncs per second and channel.
        redeliver_per_second: usize = limits::REDELIVERIES_PER_SECOND
            => "webhooks.redeliver_per_second": Count(limits::SETTABLE_REDELIVERIES);
        /// How long the attempts of completed deliveries are remembered.
        keep_attempts: Duration = limits::ATTEMPTS_RETENTION => "webhooks.keep_attempts": Duration();
        /// Whether any 2xx counts as success, whatever the body.
        accept_plain_2xx: bool = false => "webhooks.accept_plain_2xx": Bool();
        /// Whether a registration's `status` is sent as a string, as in the contract's example.
        register_status_as_string: bool = false => "webhooks.register_status_as_string": Bool();
        /// Whether the body of a failed registration says if another code may be tried.
        register_still_waiting: bool = false => "webhooks.register_still_waiting": Bool();
        /// Whether each body has the account's labels.
        include_labels: bool = false => "webhooks.include_labels": Bool();
    }
}

/// One channel of `webhooks.*`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ChannelSettings {
    /// The receiver's whole URL, instead of base URL and default path.
    pub url: Option<String>,
    /// Which events of an account are sent.
    pub deliver: DeliveryMode,
}

group! {
    /// `gateway.*`
    GatewaySettings at (gateway) {
        /// Which gateway serves which account.
        routing: GatewayRouting = GatewayRouting::default()
            => "gateway.default": Enum() in (.default), "gateway.rules": Rules() in (.rules);
        /// How often each gateway is reconciled.
        reconcile_every: Duration = limits::RECONCILE_INTERVAL => "gateway.reconcile_every": Duration();
        /// `gateway.bridge.*`
        bridge: BridgeSettings = BridgeSettings::default();
        /// `gateway.cloud_api.*`
        cloud_api: CloudApiSettings = CloudApiSettings::default();
    }
}

group! {
    /// `gateway.bridge.*`: the operator's own gateway.
    BridgeSettings at (gateway.bridge) {
        /// Where it receives commands; `None` if it fetches them itself.
        url: Option<String> = None => "gateway.bridge.url": BaseUrl();
        /// The signing secret of both sides: `whsec_` and base64. Secret.
        secret: Option<SecretText> = None
            => "gateway.bridge.secret": Secret(is_signing_secret, "whsec_ and the base64 of 24 to 64 random bytes");
        /// How long a gateway has to acknowledge a command that it fetched.
        lease: Duration = limits::WORK_LEASE => "gateway.bridge.lease": Duration();
        /// Maximum time for a whole request with a command: connecting, headers and body.
        timeout: Duration = limits::GATEWAY_TIMEOUT => "gateway.bridge.timeout": Duration();
        /// Maximum number of commands in flight to it.
        max_in_flight: usize = limits::BRIDGE_IN_FLIGHT
            => "gateway.bridge.max_in_flight": Count(limits::SETTABLE_CALLS_IN_FLIGHT);
        /// Maximum number of commands that are sent to it per second.
        calls_per_second: usize = limits::BRIDGE_CALLS_PER_SECOND
            => "gateway.bridge.calls_per_second": Count(limits::SETTABLE_CALLS_PER_SECOND);
    }
}

group! {
    /// `gateway.cloud_api.*`: Meta's WhatsApp Business Cloud API.
    CloudApiSettings at (gateway.cloud_api) {
        /// The URL of the Graph API.
        base_url: Option<String> = Some("https://graph.facebook.com".to_owned())
            => "gateway.cloud_api.base_url": BaseUrl();
        /// Its version, as in `v23.0`.
        version: Option<String> = Some("v23.0".to_owned())
            => "gateway.cloud_api.version": Text(is_graph_version, "a version of the Graph API, such as v23.0");
        /// The id of the WhatsApp Business Account that the numbers belong to.
        waba_id: Option<String> = None
            => "gateway.cloud_api.waba_id":
                Text(is_graph_id, "the digits of a WhatsApp Business Account's id");
        /// The access token. Secret.
        token: Option<SecretText> = None
            => "gateway.cloud_api.token": Secret(is_token, "an access token of visible ASCII characters");
        /// The app's secret, with which Meta signs its webhooks. Secret.
        app_secret: Option<SecretText> = None
            => "gateway.cloud_api.app_secret": Secret(is_token, "the app secret, in visible ASCII characters");
        /// The token that Meta sends when it verifies the webhook. Secret.
        verify_token: Option<SecretText> = None
            => "gateway.cloud_api.verify_token": Secret(is_token, "a verify token of visible ASCII characters");
        /// The name under which numbers are added.
        verified_name: Option<String> = None
            => "gateway.cloud_api.verified_name": Text(is_verified_name, "a name of 2 to 75 characters");
        /// The language of verification codes, as in `en_US`.
        language: Option<String> = Some("en_US".to_owned())
            => "gateway.cloud_api.language": Text(is_language, "a language, such as en_US or de");
        /// The country where Meta stores data of registered numbers, as in `DE`; `None` leaves it to Meta.
        region: Option<String> = None
            => "gateway.cloud_api.region":
                Text(is_region, "one of AU, ID, IN, JP, SG, KR, DE, CH, GB, BR, BH, ZA, AE and CA");
        /// The PIN for registering numbers without a stored PIN. `None` generates one for each number. Secret.
        pin: Option<SecretText> = None => "gateway.cloud_api.pin": Secret(is_pin, "a PIN of six digits");
        /// Whether a recycled account is deregistered at Meta. Meta limits how often a number may be deregistered.
        deregister_on_recycle: bool = false => "gateway.cloud_api.deregister_on_recycle": Bool();
        /// The encoding of a request for a verification code.
        code_request: CodeRequestEncoding = CodeRequestEncoding::Json => "gateway.cloud_api.code_request": Enum();
        /// Maximum time for a whole call: connecting, headers and body.
        timeout: Duration = limits::GATEWAY_TIMEOUT => "gateway.cloud_api.timeout": Duration();
        /// Maximum number of calls in flight.
        max_in_flight: usize = limits::CLOUD_API_IN_FLIGHT
            => "gateway.cloud_api.max_in_flight": Count(limits::SETTABLE_CALLS_IN_FLIGHT);
        /// Maximum number of calls per second.
        calls_per_second: usize = limits::CLOUD_API_CALLS_PER_SECOND
            => "gateway.cloud_api.calls_per_second": Count(limits::SETTABLE_CALLS_PER_SECOND);
    }
}

group! {
    /// `simulator.*`
    SimulatorSettings at (simulator) {
        /// How long the simulator takes to respond.
        delay: Duration = limits::SIMULATOR_DELAY
            => "simulator.delay_ms": Milliseconds(limits::SETTABLE_SIMULATOR_DELAY_MS);
    }
}

group! {
    /// `log.*`
    LogSettings at (log) {
        /// The log filter, as in `info` or `muster=debug,warn`.
        filter: String = "info".to_owned() => "log.filter": LogFilter();
        /// The log format.
        format: LogFormat = LogFormat::Text => "log.format": Enum();
        /// Whether account numbers are logged in full instead of masked.
        full_numbers: bool = false => "log.full_numbers": Bool();
    }
}

group! {
    /// `telemetry.*`: spans for a collector, over OTLP.
    TelemetrySettings at (telemetry) {
        /// The collector's URL, without `/v1/traces`; `None` if no spans are collected.
        otlp_endpoint: Option<String> = None => "telemetry.otlp_endpoint": BaseUrl();
        /// Headers that the collector requires, as in `name=value,other=value`. Secret.
        otlp_headers: Option<SecretText> = None => "telemetry.otlp_headers": Headers();
        /// The service's name at the collector.
        service_name: String = "muster".to_owned() => "telemetry.service_name": ServiceName();
        /// The share of traces that are collected, from 0 to 1, if the caller did not decide.
        sample_ratio: f64 = 1.0 => "telemetry.sample_ratio": Ratio();
    }
}

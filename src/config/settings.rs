//! What can be set, with its default and unit. Names here are the names in the file and, in upper case with `__`
//! between levels, in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::gateway_settings::GatewaySettings;
use super::secret_text::SecretText;
use crate::client::{AddressGuard, Network};
use crate::domain::Channel;
use crate::limits;

/// All settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where everything durable is kept.
    pub data_dir: PathBuf,
    /// The HTTP service.
    pub http: HttpSettings,
    /// TLS of the HTTP service.
    pub tls: TlsSettings,
    /// Rules of accounts that an operator may change.
    pub accounts: AccountSettings,
    /// The actors.
    pub actors: ActorSettings,
    /// The store.
    pub store: StoreSettings,
    /// The vault.
    pub vault: VaultSettings,
    /// The webhooks.
    pub webhooks: WebhookSettings,
    /// The ways to WhatsApp.
    pub gateway: GatewaySettings,
    /// The built-in simulator.
    pub simulator: SimulatorSettings,
    /// The log.
    pub log: LogSettings,
    /// Traces.
    pub telemetry: TelemetrySettings,
}

/// `http.*`
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: String,
    /// Answer HTTP 200 whatever `code` says, except for 413, 429 and 503.
    pub always_200: bool,
    /// Accounts in one request, most.
    pub max_batch: usize,
    /// Bytes in one request body, most.
    pub max_body_bytes: usize,
    /// Open connections, most.
    pub max_connections: usize,
    /// Open connections of one address, most; an IPv6 address counts by its /64.
    pub max_connections_per_address: usize,
    /// From the head of a request to the head of its answer.
    pub request_timeout: Duration,
    /// Requests a second of one API key, or from one address, most.
    pub requests_per_second: usize,
}

/// `tls.*`: PEM files, looked at again while the service runs.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TlsSettings {
    /// The service's certificate, with those between it and its CA behind it; none says plain HTTP.
    pub cert: Option<PathBuf>,
    /// The certificate's private key.
    pub key: Option<PathBuf>,
    /// The CAs of which clients must show a certificate; none says that they need none.
    pub client_ca: Option<PathBuf>,
}

/// `accounts.*`
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSettings {
    /// How long a registration waits for its code.
    pub registration_lifetime: Duration,
    /// Bring accounts that were dropped back online, after a wait that grows; never after pairing failed or a ban.
    pub auto_reconnect: bool,
    /// How long after the first drop; twice as long after each further one in a row, at most 5 minutes.
    pub reconnect_wait: Duration,
}

/// `actors.*`
#[derive(Clone, Debug, PartialEq)]
pub struct ActorSettings {
    /// How long a `-coming` state may last before the account goes offline with reason 1002.
    pub coming_timeout: Duration,
    /// An actor without work for this long is retired.
    pub idle_after: Duration,
    /// Active actors, most.
    pub max_active: usize,
    /// Commands under way, most; beyond it callers get 503.
    pub max_in_flight: usize,
}

/// `store.*`
#[derive(Clone, Debug, PartialEq)]
pub struct StoreSettings {
    /// Bytes of page cache; real memory use is a multiple of it.
    pub cache_bytes: u64,
    /// Events after which the checkpoints for a quick start are saved again.
    pub checkpoint_every: u64,
}

/// `vault.*`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct VaultSettings {
    /// The file with the master key; `keys/master.key` in the data directory if not set.
    pub master_key_file: Option<PathBuf>,
    /// A program that prints the master key, and its arguments.
    pub master_key_command: Option<Vec<String>>,
    /// The master key itself; from the environment only.
    pub master_key: Option<SecretText>,
}

/// `webhooks.*`
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookSettings {
    /// Where receivers are: each channel's path is appended.
    pub base_url: Option<String>,
    /// `webhooks.channel_sync_status.*`
    pub channel_sync_status: ChannelSettings,
    /// `webhooks.channel_register_status.*`
    pub channel_register_status: ChannelSettings,
    /// Networks of private addresses where receivers may be; none says that the address listened on decides.
    pub allow_networks: Option<Vec<Network>>,
    /// Waits between the attempts of one delivery; each is taken up to a fifth shorter or longer.
    pub retry_waits: Vec<Duration>,
    /// What becomes of an account whose delivery is dead.
    pub after_last_try: DeadLetterPolicy,
    /// One deadline over connecting, headers and body of an attempt.
    pub timeout: Duration,
    /// How long a connection to a receiver is used for further deliveries.
    pub connection_lifetime: Duration,
    /// Deliveries under way per channel, most.
    pub max_in_flight: usize,
    /// Deliveries sent again because somebody asked for it, a second and channel, most.
    pub redeliver_per_second: usize,
    /// How long the attempts of what is settled are remembered.
    pub keep_attempts: Duration,
    /// Take any 2xx for success, whatever the body.
    pub accept_plain_2xx: bool,
    /// Send a registration's `status` as a string, as the document's example does.
    pub register_status_as_string: bool,
    /// Say in the body of a failed registration whether another code may be tried.
    pub register_still_waiting: bool,
}

impl WebhookSettings {
    /// The URL of a channel's receiver: its own, or its default path under the base URL; none if neither is set.
    pub fn receiver_url(&self, channel: Channel) -> Option<String> {
        let under_base =
            || Some(format!("{}{}", self.base_url.as_ref()?.trim_end_matches('/'), channel.default_path()));
        self.channel(channel).url.clone().or_else(under_base)
    }

    /// The settings of one channel.
    pub fn channel(&self, channel: Channel) -> &ChannelSettings {
        match channel {
            Channel::SyncStatus => &self.channel_sync_status,
            Channel::RegisterStatus => &self.channel_register_status,
        }
    }
}

impl Settings {
    /// Where receivers may be: at public addresses, and in the networks that are listed. If none are, then at private
    /// addresses too, as long as the service itself can be reached from this machine only.
    pub fn address_guard(&self) -> AddressGuard {
        match &self.webhooks.allow_networks {
            Some(networks) => AddressGuard::new(networks.iter().copied()),
            None if is_loopback(&self.http.listen) => AddressGuard::allow_private(),
            None => AddressGuard::new([]),
        }
    }
}

/// Whether an address to listen on is of this machine alone.
fn is_loopback(listen: &str) -> bool {
    match listen.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => listen.rsplit_once(':').is_some_and(|(host, _)| host.eq_ignore_ascii_case("localhost")),
    }
}

/// One channel of `webhooks.*`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ChannelSettings {
    /// The receiver's whole URL, instead of base URL and default path.
    pub url: Option<String>,
    /// Which of its events are told.
    pub deliver: DeliveryMode,
}

/// Which events of an account are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeliveryMode {
    /// Each.
    #[default]
    All,
    /// Of several that wait and were never tried, the last.
    Latest,
}

/// What becomes of an account's later deliveries when one is dead: no attempt of it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterPolicy {
    /// They go on.
    Continue,
    /// They wait until an operator replays or drops the dead one.
    Block,
}

/// `simulator.*`
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatorSettings {
    /// `simulator.delay_ms`: how long the simulated channel takes for an answer, in milliseconds.
    pub delay: Duration,
}

/// `log.*`
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// What is logged, as in `info` or `muster=debug,warn`.
    pub filter: String,
    /// In which form.
    pub format: LogFormat,
    /// Account numbers in full, and not masked.
    pub full_numbers: bool,
}

/// `telemetry.*`: spans for a collector, over OTLP.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetrySettings {
    /// Where the collector is, without `/v1/traces`; none if nothing is collected.
    pub otlp_endpoint: Option<String>,
    /// Headers that it wants to see, as in `name=value,other=value`. Secret.
    pub otlp_headers: Option<SecretText>,
    /// What the collector knows the service by.
    pub service_name: String,
    /// The share of traces that are collected, where callers do not say.
    pub sample_ratio: f64,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A choice between a few words.
pub trait NamedEnum: Copy + 'static {
    /// What there is.
    const ALL: &'static [Self];

    /// The word for it, in the file and wherever it is shown.
    fn name(self) -> &'static str;
}

impl NamedEnum for LogFormat {
    const ALL: &'static [LogFormat] = &[LogFormat::Text, LogFormat::Json];

    fn name(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

impl NamedEnum for DeliveryMode {
    const ALL: &'static [DeliveryMode] = &[DeliveryMode::All, DeliveryMode::Latest];

    fn name(self) -> &'static str {
        match self {
            DeliveryMode::All => "all",
            DeliveryMode::Latest => "latest",
        }
    }
}

impl NamedEnum for DeadLetterPolicy {
    const ALL: &'static [DeadLetterPolicy] = &[DeadLetterPolicy::Continue, DeadLetterPolicy::Block];

    fn name(self) -> &'static str {
        match self {
            DeadLetterPolicy::Continue => "continue",
            DeadLetterPolicy::Block => "block",
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data_dir: PathBuf::from("./muster-data"),
            http: HttpSettings {
                listen: "127.0.0.1:8080".to_owned(),
                always_200: false,
                max_batch: limits::BATCH_ACCOUNTS,
                max_body_bytes: limits::BODY_BYTES,
                max_connections: limits::CONNECTIONS,
                max_connections_per_address: limits::CONNECTIONS_PER_ADDRESS,
                request_timeout: limits::REQUEST_TIMEOUT,
                requests_per_second: limits::REQUESTS_PER_SECOND,
            },
            tls: TlsSettings::default(),
            accounts: AccountSettings {
                registration_lifetime: limits::REGISTRATION_LIFETIME,
                auto_reconnect: false,
                reconnect_wait: limits::RECONNECT_WAIT,
            },
            actors: ActorSettings {
                coming_timeout: limits::COMING_TIMEOUT,
                idle_after: limits::ACTOR_IDLE,
                max_active: limits::ACTORS_ACTIVE,
                max_in_flight: limits::COMMANDS_IN_FLIGHT,
            },
            store: StoreSettings { cache_bytes: limits::STORE_CACHE_BYTES, checkpoint_every: limits::CHECKPOINT_EVERY },
            vault: VaultSettings::default(),
            webhooks: WebhookSettings {
                base_url: None,
                channel_sync_status: ChannelSettings::default(),
                channel_register_status: ChannelSettings::default(),
                allow_networks: None,
                retry_waits: limits::RETRY_WAITS.to_vec(),
                after_last_try: DeadLetterPolicy::Continue,
                timeout: limits::WEBHOOK_TIMEOUT,
                connection_lifetime: limits::CONNECTION_LIFETIME,
                max_in_flight: limits::WEBHOOKS_IN_FLIGHT,
                redeliver_per_second: limits::REDELIVERIES_PER_SECOND,
                keep_attempts: limits::ATTEMPTS_RETENTION,
                accept_plain_2xx: false,
                register_status_as_string: false,
                register_still_waiting: false,
            },
            gateway: GatewaySettings::default(),
            simulator: SimulatorSettings { delay: limits::SIMULATOR_DELAY },
            log: LogSettings { filter: "info".to_owned(), format: LogFormat::Text, full_numbers: false },
            telemetry: TelemetrySettings {
                otlp_endpoint: None,
                otlp_headers: None,
                service_name: "muster".to_owned(),
                sample_ratio: 1.0,
            },
        }
    }
}

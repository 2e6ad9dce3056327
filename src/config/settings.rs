//! The settings, with their defaults and units. Field names are the names in the file and, in upper case with `__`
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
    /// Rules of accounts that operators may change.
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

/// `http.*`
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: String,
    /// Answer HTTP 200 whatever `code` says, except for 413, 429 and 503.
    pub always_200: bool,
    /// Most accounts in one request.
    pub max_batch: usize,
    /// Most bytes in one request body.
    pub max_body_bytes: usize,
    /// Most open connections.
    pub max_connections: usize,
    /// Most open connections of one address; an IPv6 address counts by its /64.
    pub max_connections_per_address: usize,
    /// Time from the request head to the response head.
    pub request_timeout: Duration,
    /// Most requests a second of one API key, or of one address.
    pub requests_per_second: usize,
}

/// `tls.*`: PEM files, checked for changes while the service runs.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TlsSettings {
    /// The service's certificate, followed by its intermediate certificates; `None` means plain HTTP.
    pub cert: Option<PathBuf>,
    /// The certificate's private key.
    pub key: Option<PathBuf>,
    /// The CAs of client certificates; `None` means that clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// `accounts.*`
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSettings {
    /// How long a registration waits for its code.
    pub registration_lifetime: Duration,
    /// Bring dropped accounts back online, after a growing wait; never after a failed pairing or a ban.
    pub auto_reconnect: bool,
    /// The reconnect wait after the first drop; it doubles with each further drop in a row, up to 5 minutes.
    pub reconnect_wait: Duration,
}

/// `actors.*`
#[derive(Clone, Debug, PartialEq)]
pub struct ActorSettings {
    /// How long a `-coming` state may last before the account goes offline with reason 1002.
    pub coming_timeout: Duration,
    /// An actor without work for this long is retired.
    pub idle_after: Duration,
    /// Most active actors.
    pub max_active: usize,
    /// Most commands in flight; beyond it callers get 503.
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
    /// The base URL of receivers; each channel's path is appended.
    pub base_url: Option<String>,
    /// `webhooks.channel_sync_status.*` and so on, in the order of [`Channel::ALL`].
    pub channels: [ChannelSettings; Channel::ALL.len()],
    /// Private networks where receivers may be; `None` means that the listen address decides.
    pub allow_networks: Option<Vec<Network>>,
    /// Waits between the attempts of one delivery; each is shortened or lengthened by up to a fifth.
    pub retry_waits: Vec<Duration>,
    /// What happens to an account's later deliveries after a dead letter.
    pub after_last_try: DeadLetterPolicy,
    /// One deadline for connecting, headers and body of an attempt.
    pub timeout: Duration,
    /// How long a connection to a receiver is reused.
    pub connection_lifetime: Duration,
    /// Most deliveries in flight per channel.
    pub max_in_flight: usize,
    /// Most requested redeliveries a second and channel.
    pub redeliver_per_second: usize,
    /// How long the attempts of completed deliveries are remembered.
    pub keep_attempts: Duration,
    /// Treat any 2xx as success, whatever the body.
    pub accept_plain_2xx: bool,
    /// Send a registration's `status` as a string, as the document's example does.
    pub register_status_as_string: bool,
    /// Say in the body of a failed registration whether another code may be tried.
    pub register_still_waiting: bool,
}

impl WebhookSettings {
    /// The URL of a channel's receiver: its own, or its default path under the base URL; `None` if neither is set.
    pub fn receiver_url(&self, channel: Channel) -> Option<String> {
        let under_base =
            || Some(format!("{}{}", self.base_url.as_ref()?.trim_end_matches('/'), channel.default_path()));
        self.channel(channel).url.clone().or_else(under_base)
    }

    /// The settings of one channel.
    pub fn channel(&self, channel: Channel) -> &ChannelSettings {
        &self.channels[channel as usize]
    }

    /// The settings of one channel, to change them.
    pub fn channel_mut(&mut self, channel: Channel) -> &mut ChannelSettings {
        &mut self.channels[channel as usize]
    }
}

impl Settings {
    /// Where receivers may be: at public addresses, and in the listed networks. Without a list, private addresses are
    /// allowed too if the service listens on loopback only.
    pub fn address_guard(&self) -> AddressGuard {
        match &self.webhooks.allow_networks {
            Some(networks) => AddressGuard::new(networks.iter().copied()),
            None if is_loopback(&self.http.listen) => AddressGuard::allow_private(),
            None => AddressGuard::new([]),
        }
    }
}

/// Whether a listen address is a loopback address.
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
    /// Which of its events are sent.
    pub deliver: DeliveryMode,
}

/// Which events of an account are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeliveryMode {
    /// Every event.
    #[default]
    All,
    /// Of several waiting events without an attempt, only the last.
    Latest,
}

/// What happens to an account's later deliveries when all attempts of one have failed.
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
    /// `simulator.delay_ms`: how long the simulated channel takes to answer, in milliseconds.
    pub delay: Duration,
}

/// `log.*`
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// The log filter, as in `info` or `muster=debug,warn`.
    pub filter: String,
    /// The log format.
    pub format: LogFormat,
    /// Log account numbers in full instead of masked.
    pub full_numbers: bool,
}

/// `telemetry.*`: spans for a collector, over OTLP.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetrySettings {
    /// The collector's URL, without `/v1/traces`; `None` if no spans are collected.
    pub otlp_endpoint: Option<String>,
    /// Headers that the collector requires, as in `name=value,other=value`. Secret.
    pub otlp_headers: Option<SecretText>,
    /// The service's name at the collector.
    pub service_name: String,
    /// The share of traces that are collected if callers do not decide.
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

/// An enumeration whose values have one-word names.
pub trait NamedEnum: Copy + 'static {
    /// All values.
    const ALL: &'static [Self];

    /// Its name, in the file and on display.
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
                channels: Channel::ALL.map(|_| ChannelSettings::default()),
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

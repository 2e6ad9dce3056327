//! `gateway.*`: which gateway serves which account, and the settings of each gateway.

use std::time::Duration;

use super::load::SettingRow;
use super::secret_text::SecretText;
use super::settings::NamedEnum;
use super::text_parsing::parse_receiver_url;
use super::{SettingError, Settings};
use crate::domain::{GatewayKind, GatewayRouting};
use crate::limits;

/// `gateway.*`
#[derive(Clone, Debug, PartialEq)]
pub struct GatewaySettings {
    /// `gateway.default` and `gateway.rules`: which gateway serves which account.
    pub routing: GatewayRouting,
    /// How often each gateway is reconciled.
    pub reconcile_every: Duration,
    /// `gateway.bridge.*`
    pub bridge: BridgeSettings,
    /// `gateway.cloud_api.*`
    pub cloud_api: CloudApiSettings,
}

/// `gateway.bridge.*`: the operator's own gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct BridgeSettings {
    /// Where it receives commands; `None` if it fetches them itself.
    pub url: Option<String>,
    /// The signing secret of both sides: `whsec_` and base64. Secret.
    pub secret: Option<SecretText>,
    /// How long a gateway has to acknowledge a command that it fetched.
    pub lease: Duration,
    /// One deadline for connecting, headers and body of a command's request.
    pub timeout: Duration,
    /// Most commands in flight to it.
    pub max_in_flight: usize,
    /// Most commands sent to it a second.
    pub calls_per_second: usize,
}

/// `gateway.cloud_api.*`: Meta's WhatsApp Business Cloud API.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudApiSettings {
    /// The URL of the Graph API.
    pub base_url: Option<String>,
    /// Its version, as in `v23.0`.
    pub version: Option<String>,
    /// The id of the WhatsApp Business Account that the numbers belong to.
    pub waba_id: Option<String>,
    /// The access token. Secret.
    pub token: Option<SecretText>,
    /// The app's secret, with which Meta signs its webhooks. Secret.
    pub app_secret: Option<SecretText>,
    /// The token that Meta sends when it verifies the webhook. Secret.
    pub verify_token: Option<SecretText>,
    /// The name under which numbers are added.
    pub verified_name: Option<String>,
    /// The language of verification codes, as in `en_US`.
    pub language: Option<String>,
    /// The country where Meta stores data of registered numbers, as in `DE`; `None` leaves it to Meta.
    pub region: Option<String>,
    /// The PIN for registering numbers that have none here yet; `None` draws one for each. Secret.
    pub pin: Option<SecretText>,
    /// Whether a recycled account is deregistered at Meta; each time counts towards the number's budget.
    pub deregister_on_recycle: bool,
    /// The encoding of a request for a verification code.
    pub code_request: CodeRequestEncoding,
    /// One deadline for connecting, headers and body of a call.
    pub timeout: Duration,
    /// Most calls in flight.
    pub max_in_flight: usize,
    /// Most calls a second.
    pub calls_per_second: usize,
}

/// The encoding in which the Cloud API is asked to send a code: its own documentation shows both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CodeRequestEncoding {
    /// As JSON.
    #[default]
    Json,
    /// As a form.
    Form,
}

impl NamedEnum for CodeRequestEncoding {
    const ALL: &'static [CodeRequestEncoding] = &[CodeRequestEncoding::Json, CodeRequestEncoding::Form];

    fn name(self) -> &'static str {
        match self {
            CodeRequestEncoding::Json => "json",
            CodeRequestEncoding::Form => "form",
        }
    }
}

impl NamedEnum for GatewayKind {
    const ALL: &'static [GatewayKind] = &GatewayKind::ALL;

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Default for GatewaySettings {
    fn default() -> GatewaySettings {
        GatewaySettings {
            routing: GatewayRouting::default(),
            reconcile_every: limits::RECONCILE_INTERVAL,
            bridge: BridgeSettings {
                url: None,
                secret: None,
                lease: limits::WORK_LEASE,
                timeout: limits::GATEWAY_TIMEOUT,
                max_in_flight: limits::BRIDGE_IN_FLIGHT,
                calls_per_second: limits::BRIDGE_CALLS_PER_SECOND,
            },
            cloud_api: CloudApiSettings {
                base_url: Some("https://graph.facebook.com".to_owned()),
                version: Some("v23.0".to_owned()),
                waba_id: None,
                token: None,
                app_secret: None,
                verify_token: None,
                verified_name: None,
                language: Some("en_US".to_owned()),
                region: None,
                pin: None,
                deregister_on_recycle: false,
                code_request: CodeRequestEncoding::Json,
                timeout: limits::GATEWAY_TIMEOUT,
                max_in_flight: limits::CLOUD_API_IN_FLIGHT,
                calls_per_second: limits::CLOUD_API_CALLS_PER_SECOND,
            },
        }
    }
}

/// Finds missing settings of gateways in use, and cleartext URLs to which no secret may be sent.
pub(super) fn check_gateways(settings: &Settings, rows: &[SettingRow]) -> Vec<SettingError> {
    let gateway = &settings.gateway;
    let source_of = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.source.clone());
    let fault = |name: &str, wrong: &str| SettingError {
        setting: name.to_owned(),
        source: source_of(name).unwrap_or_default(),
        problem: wrong.to_owned(),
    };
    let cloud = &gateway.cloud_api;
    let needed = [
        (
            GatewayKind::Bridge,
            "gateway.bridge.secret",
            gateway.bridge.secret.is_some(),
            "is required, because settings route accounts to the bridge; set it to whsec_ and the base64 of 24 to 64 \
             random bytes",
        ),
        (
            GatewayKind::CloudApi,
            "gateway.cloud_api.waba_id",
            cloud.waba_id.is_some(),
            "is required, because settings route accounts to the Cloud API; set it to the WhatsApp Business Account's \
             id",
        ),
        (
            GatewayKind::CloudApi,
            "gateway.cloud_api.token",
            cloud.token.is_some(),
            "is required, because settings route accounts to the Cloud API; set it to the access token of a system \
             user",
        ),
        (
            GatewayKind::CloudApi,
            "gateway.cloud_api.base_url",
            cloud.base_url.is_some(),
            "must not be empty, because settings route accounts to the Cloud API; leave it out to use Meta's server",
        ),
    ];
    let lacking = needed.into_iter().filter(|(kind, _, is_there, _)| gateway.routing.uses(*kind) && !is_there);
    let lacking = lacking.map(|(_, name, _, wrong)| fault(name, wrong));
    let addresses =
        [("gateway.bridge.url", &gateway.bridge.url), ("gateway.cloud_api.base_url", &gateway.cloud_api.base_url)];
    let open = addresses.into_iter().filter(|(_, url)| url.as_deref().is_some_and(is_cleartext));
    let open = open.map(|(name, _)| {
        fault(name, "must begin with https://, because it receives secrets; http:// is allowed for this machine only")
    });
    lacking.chain(open).collect()
}

/// Whether requests to this URL can be read on the way.
fn is_cleartext(url: &str) -> bool {
    parse_receiver_url(url).is_some_and(|url| {
        let is_loopback = match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            None => false,
        };
        url.scheme() == "http" && !is_loopback
    })
}

/// Whether a text is a Meta id: decimal digits.
pub(super) fn is_graph_id(text: &str) -> bool {
    (1..=limits::GRAPH_ID_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is a Graph API version.
pub(super) fn is_graph_version(text: &str) -> bool {
    let is_number = |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix('v')
        .and_then(|text| text.split_once('.'))
        .is_some_and(|(one, two)| is_number(one) && is_number(two))
}

/// Whether a text is a language and a country, as in `en_US`, or a language alone.
pub(super) fn is_language(text: &str) -> bool {
    let is_two = |text: &str, of: fn(&u8) -> bool| text.len() == 2 && text.bytes().all(|byte| of(&byte));
    let (language, country) = text.split_once('_').map_or((text, None), |(one, two)| (one, Some(two)));
    is_two(language, u8::is_ascii_lowercase) && country.is_none_or(|it| is_two(it, u8::is_ascii_uppercase))
}

/// Whether Meta can store data in the country with this code (Cloud API, registration).
pub(super) fn is_region(text: &str) -> bool {
    ["AU", "ID", "IN", "JP", "SG", "KR", "DE", "CH", "GB", "BR", "BH", "ZA", "AE", "CA"].contains(&text)
}

/// Whether a text may be a business name (Cloud API, phone numbers).
pub(super) fn is_verified_name(text: &str) -> bool {
    (2..=75).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Whether a text is a PIN.
pub(super) fn is_pin(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text looks like a token, or another secret that is sent unencoded.
pub(super) fn is_token(text: &str) -> bool {
    (1..=limits::TOKEN_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a text is a Standard Webhooks secret: `whsec_` and the base64 of 24 to 64 bytes.
pub(super) fn is_signing_secret(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    text.strip_prefix("whsec_").is_some_and(|rest| (32..=88).contains(&rest.len()) && rest.bytes().all(is_letter))
}

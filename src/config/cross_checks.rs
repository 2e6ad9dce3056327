//! Checks that concern several settings. A finding has the name of one setting, and what is wrong with it.

use super::settings::{Settings, TlsSettings, VaultSettings};
use super::text_parsing::parse_receiver_url;
use crate::domain::{Channel, GatewayKind};

/// The name of a setting, and what is wrong with it, as a continuation of the name.
type Finding = (String, String);

/// Checks settings that are valid one by one, and returns all findings.
pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = check_receiver_urls(settings);
    findings.extend(check_master_key_source(&settings.vault));
    findings.extend(check_tls_files(&settings.tls));
    findings.extend(check_missing_of_gateways(settings));
    findings.extend(check_cleartext_urls(settings));
    findings
}

/// Checks the IP addresses in the URLs of receivers. Host names are checked when they are resolved.
fn check_receiver_urls(settings: &Settings) -> Vec<Finding> {
    let webhooks = &settings.webhooks;
    let channel_url = |channel: Channel| {
        (format!("webhooks.{}.url", channel.configuration_id().to_ascii_lowercase()), &webhooks.channel(channel).url)
    };
    let urls = [("webhooks.base_url".to_owned(), &webhooks.base_url)];
    let check_url = |(name, url): (String, &Option<String>)| {
        let forbidden = settings.address_guard().check_url(&parse_receiver_url(url.as_ref()?)?).err()?;
        Some((name, format!("must point elsewhere: {forbidden}")))
    };
    urls.into_iter().chain(Channel::ALL.map(channel_url)).filter_map(check_url).collect()
}

/// Only one setting may say where the master key comes from.
fn check_master_key_source(settings: &VaultSettings) -> Option<Finding> {
    let VaultSettings { master_key_file, master_key_command, master_key } = settings;
    let sources = [
        ("vault.master_key_file", master_key_file.is_some()),
        ("vault.master_key_command", master_key_command.is_some()),
        ("vault.master_key", master_key.is_some()),
    ];
    let names: Vec<&str> = sources.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    let [.., other, last] = names[..] else { return None };
    Some((last.to_owned(), format!("names a source for the master key, and so does {other}; remove one of them")))
}

/// TLS needs both a certificate and its key, and client CAs need TLS.
fn check_tls_files(settings: &TlsSettings) -> Option<Finding> {
    let TlsSettings { cert, key, client_ca } = settings;
    let (name, problem) = match (cert, key, client_ca) {
        (Some(_), None, _) => ("tls.cert", "needs tls.key; set it to the certificate's private key"),
        (None, Some(_), _) => ("tls.key", "needs tls.cert; set it to the key's certificate"),
        (None, None, Some(_)) => ("tls.client_ca", "needs tls.cert and tls.key; set both, or remove this setting"),
        (Some(_), Some(_), _) | (None, None, None) => return None,
    };
    Some((name.to_owned(), problem.to_owned()))
}

/// Finds settings that are missing although the gateway is in use.
fn check_missing_of_gateways(settings: &Settings) -> impl Iterator<Item = Finding> {
    let (gateway, cloud) = (&settings.gateway, &settings.gateway.cloud_api);
    let requirements = [
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
    requirements
        .into_iter()
        .filter(|(kind, _, is_set, _)| gateway.routing.uses(*kind) && !is_set)
        .map(|(_, name, _, problem)| (name.to_owned(), problem.to_owned()))
}

/// Finds cleartext URLs of gateways: no secret may be sent there.
fn check_cleartext_urls(settings: &Settings) -> impl Iterator<Item = Finding> {
    let gateway = &settings.gateway;
    let urls =
        [("gateway.bridge.url", &gateway.bridge.url), ("gateway.cloud_api.base_url", &gateway.cloud_api.base_url)];
    urls.into_iter().filter(|(_, url)| url.as_deref().is_some_and(is_cleartext)).map(|(name, _)| {
        let problem = "must begin with https://, because it receives secrets; http:// is allowed for this machine only";
        (name.to_owned(), problem.to_owned())
    })
}

/// Whether requests to this URL cross a network unencrypted.
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

//! The settings of a channel's receiver that operators change at run time: its URL, its secrets, whether it is paused.
//!
//! They are stored sealed (encrypted), because they contain secrets, and a URL may contain a password.

use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::receiver_client::SigningSecrets;
use super::signature::{AppSecret, WebhookSecret};
use crate::config;
use crate::domain::{Channel, Timestamp};
use crate::vault::{self, Vault};

/// The run-time settings of one channel's receiver. It has no `Debug`.
#[derive(Clone, Default)]
pub(super) struct ReceiverEndpoint {
    /// The URL that was set at run time; it overrides the one of the settings.
    pub(super) url_override: Option<Url>,
    pub(super) signing: SigningSecrets,
    pub(super) paused: Option<PauseInfo>,
}

/// The start of a channel's pause, and its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PauseInfo {
    /// µs since 1970.
    pub(super) at: i64,
    pub(super) reason: String,
}

// Frozen: the names and types of the fields, because existing stores hold them. A new field has a default.
/// The JSON that is sealed and stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredEndpoint {
    url: Option<String>,
    secrets: Vec<(Zeroizing<String>, Option<i64>)>,
    app: Option<(String, Zeroizing<String>)>,
    paused: Option<PauseInfo>,
}

impl ReceiverEndpoint {
    /// The receiver's URL: the run-time one, or that of the settings.
    pub(super) fn url(&self, channel: Channel, settings: &config::WebhookSettings) -> Option<Url> {
        self.url_override.clone().or_else(|| config::parse_receiver_url(&settings.receiver_url(channel)?))
    }

    /// Stores the settings, sealed.
    pub(super) fn save(&self, channel: Channel, vault: &Vault) -> Result<(), vault::Error> {
        let SigningSecrets { secrets, app } = &self.signing;
        let stored = StoredEndpoint {
            url: self.url_override.as_ref().map(Url::to_string),
            secrets: secrets.iter().map(|(secret, until)| (secret.to_text(), until.map(|until| until.0))).collect(),
            app: app.as_ref().map(|app| (app.tenant_id.clone(), Zeroizing::new(app.text().to_owned()))),
            paused: self.paused.clone(),
        };
        // Strings and integers always serialize.
        let clear = Zeroizing::new(serde_json::to_vec(&stored).unwrap_or_default());
        vault.put_receiver_settings(channel.short_name(), &clear)
    }

    /// Loads the stored settings, if there are any.
    pub(super) fn load(channel: Channel, vault: &Vault) -> Result<Option<ReceiverEndpoint>, vault::Error> {
        let Some(clear) = vault.get_receiver_settings(channel.short_name())? else { return Ok(None) };
        let unreadable = || vault::Error::ReceiverSettingsDoNotOpen(channel.short_name().to_owned());
        let StoredEndpoint { url, secrets, app, paused } = serde_json::from_slice(&clear).map_err(|_| unreadable())?;
        let secret = |(text, until): (Zeroizing<String>, Option<i64>)| {
            WebhookSecret::parse(&text).map(|secret| (secret, until.map(Timestamp)))
        };
        let secrets = secrets.into_iter().map(secret).collect::<Result<_, _>>().map_err(|_| unreadable())?;
        let app = app.map(|(tenant, secret)| AppSecret::new(&tenant, &secret)).transpose().map_err(|_| unreadable())?;
        let own_url = url.map(|url| url.parse()).transpose().map_err(|_| unreadable())?;
        Ok(Some(ReceiverEndpoint { url_override: own_url, signing: SigningSecrets { secrets, app }, paused }))
    }
}

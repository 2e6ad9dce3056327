//! What is set of a channel's receiver while the service runs: its URL, its secrets, whether it is paused.
//!
//! It is kept sealed, because a URL may hold a password as a secret does.

use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::client::Signing;
use super::signature::{AppSecret, Secret};
use crate::config;
use crate::domain::{Channel, Timestamp};
use crate::vault::{self, Vault};

/// The receiver of one channel. It has no `Debug`.
#[derive(Clone, Default)]
pub(super) struct Endpoint {
    /// The URL that was set while the service ran; it stands above the one of the settings.
    pub(super) own_url: Option<Url>,
    pub(super) signing: Signing,
    pub(super) paused: Option<Paused>,
}

/// Since when nothing is sent, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Paused {
    /// µs since 1970.
    pub(super) at: i64,
    pub(super) reason: String,
}

/// As it is stored, before it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    url: Option<String>,
    secrets: Vec<(Zeroizing<String>, Option<i64>)>,
    app: Option<(String, Zeroizing<String>)>,
    paused: Option<Paused>,
}

impl Endpoint {
    /// Where the receiver is: where it was set to be, or where the settings say.
    pub(super) fn url(&self, channel: Channel, settings: &config::Webhooks) -> Option<Url> {
        self.own_url.clone().or_else(|| config::receiver_url(&settings.url_of(channel)?))
    }

    /// Keeps the endpoint, sealed.
    pub(super) fn keep(&self, channel: Channel, vault: &Vault) -> Result<(), vault::Error> {
        let Signing { secrets, app } = &self.signing;
        let stored = Stored {
            url: self.own_url.as_ref().map(Url::to_string),
            secrets: secrets.iter().map(|(secret, until)| (secret.text(), until.map(|until| until.0))).collect(),
            app: app.as_ref().map(|app| (app.tenant_id.clone(), Zeroizing::new(app.text().to_owned()))),
            paused: self.paused.clone(),
        };
        // Texts and integers always become JSON.
        let clear = Zeroizing::new(serde_json::to_vec(&stored).unwrap_or_default());
        vault.keep_endpoint(channel.short_name(), &clear)
    }

    /// The endpoint that was kept, if one was.
    pub(super) fn kept(channel: Channel, vault: &Vault) -> Result<Option<Endpoint>, vault::Error> {
        let Some(clear) = vault.kept_endpoint(channel.short_name())? else { return Ok(None) };
        let unreadable = || vault::Error::EndpointDoesNotOpen(channel.short_name().to_owned());
        let Stored { url, secrets, app, paused } = serde_json::from_slice(&clear).map_err(|_| unreadable())?;
        let secret = |(text, until): (Zeroizing<String>, Option<i64>)| {
            Secret::parse(&text).map(|secret| (secret, until.map(Timestamp)))
        };
        let secrets = secrets.into_iter().map(secret).collect::<Result<_, _>>().map_err(|_| unreadable())?;
        let app = app.map(|(tenant, secret)| AppSecret::new(&tenant, &secret)).transpose().map_err(|_| unreadable())?;
        let own_url = url.map(|url| url.parse()).transpose().map_err(|_| unreadable())?;
        Ok(Some(Endpoint { own_url, signing: Signing { secrets, app }, paused }))
    }
}

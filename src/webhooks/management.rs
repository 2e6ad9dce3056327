//! Changes by operators at run time: receivers, secrets, pauses.
//!
//! Each change is stored sealed, then recorded in the journal as an administrative event, then applied by the channel.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use url::Url;

use super::attempt_log::DeliveryAttempt;
use super::channel_command::{ChannelCommand, ChannelStatus};
use super::delivery::Delivery;
use super::receiver_endpoint::{PauseInfo, ReceiverEndpoint};
use super::signature::{AppSecret, WebhookSecret};
use super::views::{AttemptView, ChannelView};
use super::{ChannelHandle, Error, Webhooks, build_receiver};
use crate::client::{ForbiddenAddress, redact_url};
use crate::clock;
use crate::config::parse_receiver_url;
use crate::domain::{
    AdministrativeEvent, AuditLogEntry, Channel, SigningScheme, describe_invisible_control, is_single_line, trim_line,
};
use crate::journal::{self, Origin, RequesterIdentity};
use crate::limits::{OPERATOR_REASON_BYTES, RECEIVER_URL_BYTES, SECRET_GRACE_MAX, SIGNING_SECRETS};
use crate::{store, vault};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    /// A field is invalid. The message starts with the name of the field.
    #[error("{field} {words}")]
    InvalidField {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with it and how to fix it.
        words: String,
    },
    /// The requested item does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The present state does not allow the change.
    #[error("{0}")]
    Conflict(String),
    /// The webhooks, the journal or the store failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Webhooks {
    /// The status of a channel, as the API returns it.
    pub async fn channel_view(&self, channel: Channel) -> Result<ChannelView, ManagementError> {
        let live = self.channel_status(channel).await?;
        let (webhooks, endpoint) = (self.clone(), self.channel(channel).endpoint());
        let showing = move || webhooks.build_channel_view(channel, &endpoint, live);
        tokio::task::spawn_blocking(showing).await.map_err(Error::from)?
    }

    /// Fails if a channel has no receiver.
    pub async fn check_receiver(&self, channel: Channel) -> Result<(), ManagementError> {
        if self.channel_status(channel).await?.has_receiver { Ok(()) } else { Err(no_receiver_error(channel)) }
    }

    /// Sends a channel's webhooks to `url` from now on. `None` restores the URL of the settings.
    pub async fn set_url(
        &self,
        channel: Channel,
        url: Option<&str>,
        requester: RequesterIdentity,
    ) -> Result<(), ManagementError> {
        let own_url = match url {
            None => None,
            Some(text) => {
                let wrong =
                    "must be an http or https URL without a #fragment, such as https://example.com/status".to_owned();
                let url =
                    parse_receiver_url(text).ok_or(ManagementError::InvalidField { field: "url", words: wrong })?;
                let bytes = url.as_str().len();
                if bytes > RECEIVER_URL_BYTES {
                    let words = format!("must have at most {RECEIVER_URL_BYTES} bytes after encoding, not {bytes}");
                    return Err(ManagementError::InvalidField { field: "url", words });
                }
                self.inner.guard.check_resolved(&url).await?;
                Some(url)
            }
        };
        self.update_endpoint(channel, requester, |endpoint| {
            let url = own_url.as_ref().map(|url| redact_url(url.as_str())).unwrap_or_default();
            endpoint.url_override = own_url;
            Ok(AdministrativeEvent::WebhookUrlSet { channel, url })
        })
        .await
    }

    /// Signs a channel's webhooks with the Standard Webhooks secret `text`. Generates a random secret if `text` is
    /// `None`. Earlier secrets also sign, but only until `grace` is over. Returns the secret.
    pub async fn set_secret(
        &self,
        channel: Channel,
        text: Option<&str>,
        grace: Duration,
        requester: RequesterIdentity,
    ) -> Result<String, ManagementError> {
        let secret = match text {
            Some(text) => {
                let words = |error| format!("{error}; leave it out to generate one");
                WebhookSecret::parse(text)
                    .map_err(|error| ManagementError::InvalidField { field: "secret", words: words(error) })?
            }
            None => WebhookSecret::from_bytes(&*vault::generate_secret().map_err(Error::from)?),
        };
        if grace > SECRET_GRACE_MAX {
            let words = format!("must be at most {} h", SECRET_GRACE_MAX.as_secs() / 3600);
            return Err(ManagementError::InvalidField { field: "grace", words });
        }
        let (text, name) = (secret.to_text().to_string(), secret.fingerprint());
        self.update_endpoint(channel, requester, |endpoint| {
            let now = clock::trusted();
            let until = now.plus(grace);
            let secrets = &mut endpoint.signing.secrets;
            secrets.retain(|(old, until)| old.fingerprint() != name && until.is_none_or(|until| now < until));
            secrets.iter_mut().for_each(|(_, end)| *end = Some(end.map_or(until, |end| end.min(until))));
            secrets.retain(|(_, until)| until.is_none_or(|until| now < until));
            if secrets.len() >= SIGNING_SECRETS {
                let words = format!(
                    "{SIGNING_SECRETS} secrets already sign; wait until one of them expires, or set grace to 0s"
                );
                return Err(ManagementError::Conflict(words));
            }
            let grace_until = (!secrets.is_empty()).then_some(until);
            secrets.insert(0, (secret, None));
            Ok(AdministrativeEvent::WebhookSecretSet { channel, scheme: SigningScheme::Standard, name, grace_until })
        })
        .await?;
        Ok(text)
    }

    /// Removes all Standard Webhooks secrets of a channel.
    pub async fn remove_secrets(&self, channel: Channel, requester: RequesterIdentity) -> Result<(), ManagementError> {
        self.update_endpoint(channel, requester, |endpoint| {
            endpoint.signing.secrets.clear();
            let (scheme, name) = (SigningScheme::Standard, String::new());
            Ok(AdministrativeEvent::WebhookSecretSet { channel, scheme, name, grace_until: None })
        })
        .await
    }

    /// Sets the tenant and secret of the contract's own signature for a channel. `None` removes them.
    pub async fn set_app_secret(
        &self,
        channel: Channel,
        tenant_and_secret: Option<(&str, &str)>,
        requester: RequesterIdentity,
    ) -> Result<(), ManagementError> {
        let app = tenant_and_secret.map(|(tenant, secret)| AppSecret::new(tenant, secret)).transpose();
        let app = app.map_err(|error| {
            let field = if error == super::signature::SecretError::Tenant { "tenantId" } else { "secret" };
            ManagementError::InvalidField { field, words: error.to_string() }
        })?;
        self.update_endpoint(channel, requester, |endpoint| {
            let name = app.as_ref().map(|app| app.tenant_id.clone()).unwrap_or_default();
            endpoint.signing.app = app;
            Ok(AdministrativeEvent::WebhookSecretSet { channel, scheme: SigningScheme::App, name, grace_until: None })
        })
        .await
    }

    /// Pauses a channel: deliveries wait until it is resumed. No attempt is in flight when this returns.
    pub async fn pause(
        &self,
        channel: Channel,
        reason: &str,
        requester: RequesterIdentity,
    ) -> Result<(), ManagementError> {
        let reason = validate_reason(reason)?;
        self.update_endpoint(channel, requester, |endpoint| {
            endpoint.paused = Some(PauseInfo { at: clock::now().0, reason: reason.clone() });
            Ok(AdministrativeEvent::WebhookPaused { channel, reason })
        })
        .await
    }

    /// Resumes a paused channel.
    pub async fn resume(&self, channel: Channel, requester: RequesterIdentity) -> Result<(), ManagementError> {
        self.update_endpoint(channel, requester, |endpoint| {
            let conflict = || ManagementError::Conflict(format!("{} is not paused", channel.short_name()));
            endpoint.paused.take().ok_or_else(conflict)?;
            Ok(AdministrativeEvent::WebhookResumed { channel })
        })
        .await
    }

    /// Sends the contract's example once, even while the channel is paused. The attempt is not stored.
    pub async fn test(&self, channel: Channel) -> Result<AttemptView, ManagementError> {
        let handle = self.channel(channel);
        let receiver = build_receiver(&handle.endpoint(), channel, &self.inner.guard, &self.inner.settings)?;
        let receiver = receiver.ok_or_else(|| no_receiver_error(channel))?;
        let begun = clock::now();
        let response = receiver.attempt(&handle.payloads, &Delivery::example(&handle.payloads, begun), 1).await;
        Ok(AttemptView::of(1, &DeliveryAttempt::new(begun, response, None)))
    }

    /// Pauses a channel because its receiver at `url` answered HTTP 410.
    pub(super) async fn pause_gone_receiver(&self, channel: Channel, url: &Url) {
        let reason = "the receiver answered HTTP 410: it no longer exists";
        let requester = RequesterIdentity { origin: Origin::SERVICE, from: "receiver".to_owned() };
        let settings = &self.inner.settings;
        let pausing = self.update_endpoint(channel, requester, |endpoint| {
            if endpoint.url(channel, settings).as_ref() != Some(url) {
                return Err(ManagementError::Conflict("the receiver was changed".to_owned()));
            }
            endpoint.paused = Some(PauseInfo { at: clock::now().0, reason: reason.to_owned() });
            Ok(AdministrativeEvent::WebhookPaused { channel, reason: reason.to_owned() })
        });
        match pausing.await {
            Ok(()) => tracing::error!(channel = channel.short_name(), reason, "the channel is paused"),
            Err(ManagementError::Conflict(why)) => {
                tracing::info!(channel = channel.short_name(), why, "the channel is not paused");
            }
            Err(error) => tracing::error!(channel = channel.short_name(), %error, "the pause could not be stored"),
        }
    }

    /// Appends an administrative event to the journal.
    pub(super) async fn append_administrative_event(
        &self,
        event: AdministrativeEvent,
        requester: RequesterIdentity,
    ) -> Result<(), ManagementError> {
        let RequesterIdentity { origin, from } = requester;
        self.inner
            .journal
            .append_administrative_event(AuditLogEntry { event, source: from }, origin, clock::now())
            .await
            .map_err(Error::from)?;
        Ok(())
    }

    /// Asks the channel's task for its status.
    pub(super) async fn channel_status(&self, channel: Channel) -> Result<ChannelStatus, Error> {
        self.channel(channel).send_command(|done| ChannelCommand::GetStatus { done }).await
    }

    /// Changes the settings of a receiver: stores them, records the event, then reconfigures the channel.
    async fn update_endpoint(
        &self,
        channel: Channel,
        requester: RequesterIdentity,
        edit: impl FnOnce(&mut ReceiverEndpoint) -> Result<AdministrativeEvent, ManagementError>,
    ) -> Result<(), ManagementError> {
        let handle = self.channel(channel);
        let _changing = handle.endpoint_lock.lock().await;
        let mut endpoint = ReceiverEndpoint::clone(&handle.endpoint());
        let event = edit(&mut endpoint)?;
        let receiver = build_receiver(&endpoint, channel, &self.inner.guard, &self.inner.settings)?;
        // The commit of the event makes both the settings and the event durable.
        endpoint.save(channel, &self.inner.vault).map_err(Error::from)?;
        self.append_administrative_event(event, requester).await?;
        let is_paused = endpoint.paused.is_some();
        *handle.endpoint.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(endpoint);
        handle.send_command(|done| ChannelCommand::Configure { receiver, is_paused, done }).await?;
        Ok(())
    }
}

impl ChannelHandle {
    /// The present settings of the receiver.
    pub(super) fn endpoint(&self) -> Arc<ReceiverEndpoint> {
        self.endpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a command to the channel's task and waits for the answer.
    pub(super) async fn send_command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> ChannelCommand,
    ) -> Result<T, Error> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| Error::ChannelEnded)?;
        answer.await.map_err(|_| Error::ChannelEnded)
    }
}

/// The error for a channel without a receiver.
pub(super) fn no_receiver_error(channel: Channel) -> ManagementError {
    ManagementError::Conflict(format!("{} has no receiver; set its URL first", channel.short_name()))
}

/// Trims and validates the reason that an operator gives.
pub(super) fn validate_reason(reason: &str) -> Result<String, ManagementError> {
    let reason = trim_line(reason);
    if is_single_line(reason, OPERATOR_REASON_BYTES) {
        return Ok(reason.to_owned());
    }
    let cause = describe_invisible_control(reason);
    let words = format!("must be 1 to {OPERATOR_REASON_BYTES} bytes of text on one line{cause}");
    Err(ManagementError::InvalidField { field: "reason", words })
}

impl From<ForbiddenAddress> for ManagementError {
    fn from(forbidden: ForbiddenAddress) -> ManagementError {
        ManagementError::InvalidField { field: "url", words: format!("must point elsewhere: {forbidden}") }
    }
}

impl From<store::Error> for ManagementError {
    fn from(error: store::Error) -> ManagementError {
        ManagementError::Failed(error.into())
    }
}

impl From<journal::Error> for ManagementError {
    fn from(error: journal::Error) -> ManagementError {
        ManagementError::Failed(error.into())
    }
}

impl From<vault::Error> for ManagementError {
    fn from(error: vault::Error) -> ManagementError {
        ManagementError::Failed(error.into())
    }
}

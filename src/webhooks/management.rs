//! What operators change while the service runs: receivers, secrets, pauses. Each change is kept sealed, remembered in
//! the journal as an act, and then obeyed by the channel, in this order.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use url::Url;

use super::delivery::Delivery;
use super::endpoint::{Endpoint, Paused};
use super::order::{Live, Order};
use super::signature::{AppSecret, Secret};
use super::trail::Attempt;
use super::views::{AttemptView, Shown};
use super::{Desk, Error, Webhooks, receiver_of};
use crate::client::{Forbidden, redact_url};
use crate::clock;
use crate::config::receiver_url;
use crate::domain::{Act, Channel, Deed, SigningScheme, is_line};
use crate::journal::{self, Asker, Origin};
use crate::limits::{RECEIVER_URL_BYTES, REMARK_BYTES, SECRET_GRACE_MAX, SIGNING_SECRETS};
use crate::{store, vault};

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Something that was given is not as it must be; the words go on from its name.
    #[error("{field} {words}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it, and the mend.
        words: String,
    },
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// It does not fit how things stand.
    #[error("{0}")]
    Conflict(String),
    /// The webhooks, the journal or the store failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Webhooks {
    /// How a channel is.
    pub async fn show(&self, channel: Channel) -> Result<Shown, Refused> {
        let live = self.look(channel).await?;
        let (webhooks, endpoint) = (self.clone(), self.desk(channel).endpoint());
        let showing = move || webhooks.shown(channel, &endpoint, live);
        tokio::task::spawn_blocking(showing).await.map_err(Error::from)?
    }

    /// Sends a channel's webhooks to `url` from now on; to where the settings say if it is none.
    pub async fn set_url(&self, channel: Channel, url: Option<&str>, asker: Asker) -> Result<(), Refused> {
        let own_url = match url {
            None => None,
            Some(text) => {
                let wrong = "must be an http or https URL, as in https://example.com/status".to_owned();
                let url = receiver_url(text).ok_or(Refused::Field { field: "url", words: wrong })?;
                let bytes = url.as_str().len();
                if bytes > RECEIVER_URL_BYTES {
                    let words = format!("must have at most {RECEIVER_URL_BYTES} bytes once it is encoded, not {bytes}");
                    return Err(Refused::Field { field: "url", words });
                }
                self.inner.guard.check_resolved(&url).await?;
                Some(url)
            }
        };
        self.change(channel, asker, |endpoint| {
            let url = own_url.as_ref().map(|url| redact_url(url.as_str())).unwrap_or_default();
            endpoint.own_url = own_url;
            Ok(Deed::WebhookUrlSet { channel, url })
        })
        .await
    }

    /// Signs a channel's webhooks with the secret of Standard Webhooks that `text` is, or with a new one if it is none.
    /// Those before it sign beside it for as long as `grace`. Returns the secret.
    pub async fn set_secret(
        &self,
        channel: Channel,
        text: Option<&str>,
        grace: Duration,
        asker: Asker,
    ) -> Result<String, Refused> {
        let secret = match text {
            Some(text) => {
                let words = |error| format!("{error}; leave it out, and one is drawn");
                Secret::parse(text).map_err(|error| Refused::Field { field: "secret", words: words(error) })?
            }
            None => Secret::of(&*vault::draw_secret().map_err(Error::from)?),
        };
        if grace > SECRET_GRACE_MAX {
            let words = format!("must be at most {} h", SECRET_GRACE_MAX.as_secs() / 3600);
            return Err(Refused::Field { field: "grace", words });
        }
        let (text, name) = (secret.text().to_string(), secret.fingerprint());
        self.change(channel, asker, |endpoint| {
            let now = clock::trusted();
            let until = now.plus(grace);
            let secrets = &mut endpoint.signing.secrets;
            secrets.retain(|(old, until)| old.fingerprint() != name && until.is_none_or(|until| now < until));
            secrets.iter_mut().for_each(|(_, end)| *end = Some(end.map_or(until, |end| end.min(until))));
            secrets.retain(|(_, until)| until.is_none_or(|until| now < until));
            if secrets.len() >= SIGNING_SECRETS {
                let words =
                    format!("{SIGNING_SECRETS} secrets sign already; wait until one's time is over, or give no grace");
                return Err(Refused::Conflict(words));
            }
            let grace_until = (!secrets.is_empty()).then_some(until);
            secrets.insert(0, (secret, None));
            Ok(Deed::WebhookSecretSet { channel, scheme: SigningScheme::Standard, name, grace_until })
        })
        .await?;
        Ok(text)
    }

    /// Signs a channel's webhooks with no secret of Standard Webhooks any more.
    pub async fn remove_secrets(&self, channel: Channel, asker: Asker) -> Result<(), Refused> {
        self.change(channel, asker, |endpoint| {
            endpoint.signing.secrets.clear();
            let (scheme, name) = (SigningScheme::Standard, String::new());
            Ok(Deed::WebhookSecretSet { channel, scheme, name, grace_until: None })
        })
        .await
    }

    /// Signs a channel's webhooks as the contract's family does, with this tenant and secret; no more if it is none.
    pub async fn set_app_secret(
        &self,
        channel: Channel,
        tenant_and_secret: Option<(&str, &str)>,
        asker: Asker,
    ) -> Result<(), Refused> {
        let app = tenant_and_secret.map(|(tenant, secret)| AppSecret::new(tenant, secret)).transpose();
        let app = app.map_err(|error| {
            let field = if error == super::signature::NoSecret::Tenant { "tenantId" } else { "secret" };
            Refused::Field { field, words: error.to_string() }
        })?;
        self.change(channel, asker, |endpoint| {
            let name = app.as_ref().map(|app| app.tenant_id.clone()).unwrap_or_default();
            endpoint.signing.app = app;
            Ok(Deed::WebhookSecretSet { channel, scheme: SigningScheme::App, name, grace_until: None })
        })
        .await
    }

    /// Sends nothing on a channel until it is resumed; what happens meanwhile waits. When it returns no attempt is under
    /// way.
    pub async fn pause(&self, channel: Channel, reason: &str, asker: Asker) -> Result<(), Refused> {
        let reason = remark(reason)?;
        self.change(channel, asker, |endpoint| {
            endpoint.paused = Some(Paused { at: clock::now().0, reason: reason.clone() });
            Ok(Deed::WebhookPaused { channel, reason })
        })
        .await
    }

    /// Sends what waited.
    pub async fn resume(&self, channel: Channel, asker: Asker) -> Result<(), Refused> {
        self.change(channel, asker, |endpoint| {
            let conflict = || Refused::Conflict(format!("{} is not paused", channel.short_name()));
            endpoint.paused.take().ok_or_else(conflict)?;
            Ok(Deed::WebhookResumed { channel })
        })
        .await
    }

    /// Sends the contract's example once, now, also while the channel is paused. Nothing is remembered of it.
    pub async fn test(&self, channel: Channel) -> Result<AttemptView, Refused> {
        let desk = self.desk(channel);
        let receiver = receiver_of(&desk.endpoint(), channel, &self.inner.guard, &self.inner.settings)?;
        let receiver = receiver.ok_or_else(|| no_receiver(channel))?;
        let begun = clock::now();
        let answered = receiver.attempt(&desk.form, &Delivery::test(&desk.form, begun), 1).await;
        Ok(AttemptView::of(1, &Attempt::new(begun, answered, None)))
    }

    /// The receiver at `url` says that it is no more.
    pub(super) async fn pause_gone(&self, channel: Channel, url: &Url) {
        let reason = "the receiver answered HTTP 410: it is no more";
        let asker = Asker { origin: Origin::SERVICE, from: "receiver".to_owned() };
        let settings = &self.inner.settings;
        let pausing = self.change(channel, asker, |endpoint| {
            if endpoint.url(channel, settings).as_ref() != Some(url) {
                return Err(Refused::Conflict("there is another receiver already".to_owned()));
            }
            endpoint.paused = Some(Paused { at: clock::now().0, reason: reason.to_owned() });
            Ok(Deed::WebhookPaused { channel, reason: reason.to_owned() })
        });
        match pausing.await {
            Ok(()) => tracing::error!(channel = channel.short_name(), reason, "the channel is paused"),
            Err(Refused::Conflict(why)) => tracing::info!(channel = channel.short_name(), why, "it is not paused"),
            Err(error) => tracing::error!(channel = channel.short_name(), %error, "the pause was not kept"),
        }
    }

    /// Records what was done.
    pub(super) async fn record(&self, deed: Deed, asker: Asker) -> Result<(), Refused> {
        let Asker { origin, from } = asker;
        self.inner.journal.record_act(Act { deed, from }, origin, clock::now()).await.map_err(Error::from)?;
        Ok(())
    }

    /// How a channel is at this moment.
    pub(super) async fn look(&self, channel: Channel) -> Result<Live, Error> {
        self.desk(channel).order(|done| Order::Look { done }).await
    }

    /// Changes what is set of a receiver: kept, remembered, then obeyed.
    async fn change(
        &self,
        channel: Channel,
        asker: Asker,
        edit: impl FnOnce(&mut Endpoint) -> Result<Deed, Refused>,
    ) -> Result<(), Refused> {
        let desk = self.desk(channel);
        let _changing = desk.changing.lock().await;
        let mut endpoint = Endpoint::clone(&desk.endpoint());
        let deed = edit(&mut endpoint)?;
        let receiver = receiver_of(&endpoint, channel, &self.inner.guard, &self.inner.settings)?;
        // The act's commit makes both durable.
        endpoint.keep(channel, &self.inner.vault).map_err(Error::from)?;
        self.record(deed, asker).await?;
        let is_paused = endpoint.paused.is_some();
        *desk.endpoint.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(endpoint);
        desk.order(|done| Order::Configure { receiver, is_paused, done }).await?;
        Ok(())
    }
}

impl Desk {
    /// What is set of the receiver.
    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        self.endpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the channel's task, and waits until it has obeyed.
    pub(super) async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Error> {
        let (done, answer) = oneshot::channel();
        self.orders.send(order(done)).await.map_err(|_| Error::Ended)?;
        answer.await.map_err(|_| Error::Ended)
    }
}

/// There is nobody to send to.
pub(super) fn no_receiver(channel: Channel) -> Refused {
    Refused::Conflict(format!("{} has no receiver; set its URL first", channel.short_name()))
}

/// A reason that an operator gives, checked.
pub(super) fn remark(reason: &str) -> Result<String, Refused> {
    let reason = reason.trim();
    if is_line(reason, REMARK_BYTES) {
        return Ok(reason.to_owned());
    }
    let words =
        format!("must be 1 to {REMARK_BYTES} bytes of text on one line: say why, for whoever reads the history");
    Err(Refused::Field { field: "reason", words })
}

impl From<Forbidden> for Refused {
    fn from(forbidden: Forbidden) -> Refused {
        Refused::Field { field: "url", words: format!("must be elsewhere: {forbidden}") }
    }
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Refused {
        Refused::Failed(error.into())
    }
}

impl From<journal::Error> for Refused {
    fn from(error: journal::Error) -> Refused {
        Refused::Failed(error.into())
    }
}

impl From<vault::Error> for Refused {
    fn from(error: vault::Error) -> Refused {
        Refused::Failed(error.into())
    }
}

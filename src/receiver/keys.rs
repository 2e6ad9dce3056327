//! Whether a webhook is signed as it must be. Pure.

use super::arrival::Headers;
use crate::domain::Timestamp;
use crate::webhooks::signature::{AppSecret, NoSecret, Secret, Unverified};

/// The secrets that webhooks must be signed with; without any, all are taken. It has no `Debug`.
#[derive(Default)]
pub struct Keys {
    secrets: Vec<Secret>,
    app: Option<AppSecret>,
}

/// A secret is none. It is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("{} {why}", named(.why))]
pub struct Unusable {
    /// Why it is none.
    #[from]
    pub why: NoSecret,
}

impl Keys {
    /// One of `secrets`, of Standard Webhooks, must have signed; and so must the tenant and app secret, if there are.
    pub fn new(secrets: &[String], app: Option<(&str, &str)>) -> Result<Keys, Unusable> {
        let secrets = secrets.iter().map(|text| Secret::parse(text)).collect::<Result<_, _>>()?;
        let app = app.map(|(tenant_id, secret)| AppSecret::new(tenant_id, secret)).transpose()?;
        Ok(Keys { secrets, app })
    }

    /// How a webhook that is taken is signed, in a word; or why it is not taken.
    pub(super) fn check(&self, headers: &Headers, body: &[u8], now: Timestamp) -> Result<&'static str, String> {
        if self.secrets.is_empty() && self.app.is_none() {
            let is_signed = ["webhook-signature", "access_token"].iter().any(|name| headers.get(name).is_some());
            return Ok(if is_signed { "not checked" } else { "unsigned" });
        }
        self.check_standard(headers, body, now).map_err(|why| format!("Standard Webhooks: {why}"))?;
        self.check_app(headers, now).map_err(|why| format!("app secret: {why}"))?;
        Ok("verified")
    }

    fn check_standard(&self, headers: &Headers, body: &[u8], now: Timestamp) -> Result<(), Unverified> {
        if self.secrets.is_empty() {
            return Ok(());
        }
        let signatures = needed(headers, "webhook-signature")?;
        let (timestamp, id) = (needed(headers, "webhook-timestamp")?, needed(headers, "webhook-id")?);
        let verified = self.secrets.iter().map(|secret| secret.verify(id, timestamp, signatures, body, now));
        verified.reduce(Result::or).unwrap_or(Ok(()))
    }

    fn check_app(&self, headers: &Headers, now: Timestamp) -> Result<(), Unverified> {
        let Some(app) = &self.app else { return Ok(()) };
        let token = needed(headers, "access_token")?;
        app.verify(needed(headers, "tenant_id")?, needed(headers, "timestamp")?, token, now)
    }
}

fn needed<'a>(headers: &'a Headers, name: &'static str) -> Result<&'a str, Unverified> {
    headers.get(name).ok_or(Unverified::Missing(name))
}

fn named(secret: &NoSecret) -> &'static str {
    match secret {
        NoSecret::Standard => "the secret",
        NoSecret::App => "the app secret",
        NoSecret::Tenant => "the tenant's id",
    }
}

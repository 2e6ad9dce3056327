//! Verifies signatures. Pure.

use super::received_headers::ReceivedHeaders;
use crate::domain::Timestamp;
use crate::webhooks::signature::{AppSecret, SecretError, SignatureError, WebhookSecret};

/// The secrets that webhooks must be signed with. Without secrets, signatures are not checked. No `Debug`: it holds
/// secrets.
#[derive(Default)]
pub struct SignatureVerifier {
    secrets: Vec<WebhookSecret>,
    app_secret: Option<AppSecret>,
}

/// An invalid secret. The message does not repeat the secret.
#[derive(Debug, thiserror::Error)]
#[error("{} {why}", secret_label(.why))]
pub struct ReceiverSecretError {
    /// Why it is invalid.
    #[from]
    pub why: SecretError,
}

impl SignatureVerifier {
    /// Requires a Standard Webhooks signature by one of `secrets`, and a token that is signed by `app`: a tenant id and its
    /// app secret. Without `secrets` or `app`, that signature is not required.
    pub fn new(secrets: &[String], app: Option<(&str, &str)>) -> Result<SignatureVerifier, ReceiverSecretError> {
        let secrets = secrets.iter().map(|text| WebhookSecret::parse(text)).collect::<Result<_, _>>()?;
        let app = app.map(|(tenant_id, secret)| AppSecret::new(tenant_id, secret)).transpose()?;
        Ok(SignatureVerifier { secrets, app_secret: app })
    }

    /// The result of the check in one or two words, or why the webhook is rejected.
    pub(super) fn verify(
        &self,
        headers: &ReceivedHeaders,
        body: &[u8],
        now: Timestamp,
    ) -> Result<&'static str, String> {
        if self.secrets.is_empty() && self.app_secret.is_none() {
            let is_signed = ["webhook-signature", "access_token"].iter().any(|name| headers.get(name).is_some());
            return Ok(if is_signed { "not checked" } else { "unsigned" });
        }
        self.verify_standard(headers, body, now).map_err(|why| format!("Standard Webhooks: {why}"))?;
        self.verify_app(headers, now).map_err(|why| format!("app secret: {why}"))?;
        Ok("verified")
    }

    fn verify_standard(&self, headers: &ReceivedHeaders, body: &[u8], now: Timestamp) -> Result<(), SignatureError> {
        if self.secrets.is_empty() {
            return Ok(());
        }
        let signatures = required_header(headers, "webhook-signature")?;
        let (timestamp, id) = (required_header(headers, "webhook-timestamp")?, required_header(headers, "webhook-id")?);
        let verified = self.secrets.iter().map(|secret| secret.verify(id, timestamp, signatures, body, now));
        verified.reduce(Result::or).unwrap_or(Ok(()))
    }

    fn verify_app(&self, headers: &ReceivedHeaders, now: Timestamp) -> Result<(), SignatureError> {
        let Some(app) = &self.app_secret else { return Ok(()) };
        let token = required_header(headers, "access_token")?;
        app.verify(required_header(headers, "tenant_id")?, required_header(headers, "timestamp")?, token, now)
    }
}

fn required_header<'a>(headers: &'a ReceivedHeaders, name: &'static str) -> Result<&'a str, SignatureError> {
    headers.get(name).ok_or(SignatureError::MissingHeader(name))
}

fn secret_label(secret: &SecretError) -> &'static str {
    match secret {
        SecretError::Standard => "the secret",
        SecretError::App => "the app secret",
        SecretError::Tenant => "the tenant's id",
    }
}

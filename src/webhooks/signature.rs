//! Signatures. With them, receivers verify that this service sent a webhook. Pure.
//!
//! There are two schemes. Each is used when its secret is set.
//!
//! [Standard Webhooks](https://www.standardwebhooks.com): `webhook-id`, `webhook-timestamp` in seconds, and
//! `webhook-signature`, HMAC-SHA256 over `id.timestamp.body`. During a rotation there is one signature for each secret.
//!
//! The contract's own: `tenant_id`, `timestamp` in milliseconds, and `access_token`, HMAC-SHA256 over tenant id and
//! timestamp. It does not cover the body.
//!
//! Frozen: both schemes. Receivers verify with them, and gateways sign with the first.

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::audit::encode_hex;
use crate::domain::Timestamp;
use crate::limits::{APP_SECRET_BYTES, SIGNATURE_TOLERANCE, TENANT_ID_BYTES, WEBHOOK_SECRET_BYTES};

/// The prefix of a secret's text.
const SECRET_PREFIX: &str = "whsec_";
/// The prefix of a signature: version 1, HMAC-SHA256.
const SIGNATURE_PREFIX: &str = "v1,";

/// A secret of Standard Webhooks. It has no `Debug`.
#[derive(Clone)]
pub struct WebhookSecret {
    key: Zeroizing<Vec<u8>>,
}

/// The tenant and secret of the contract's own scheme. It has no `Debug`.
#[derive(Clone)]
pub struct AppSecret {
    /// The tenant id that sender and receiver agreed on.
    pub tenant_id: String,
    secret: Zeroizing<String>,
}

/// Why a secret or tenant id is invalid. The message does not repeat the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not a secret of Standard Webhooks.
    #[error("must be whsec_ and {} to {} bytes in base64", WEBHOOK_SECRET_BYTES.start(), WEBHOOK_SECRET_BYTES.end())]
    Standard,
    /// Not a secret of the contract's own scheme.
    #[error("must be {} to {} visible ASCII characters", APP_SECRET_BYTES.start(), APP_SECRET_BYTES.end())]
    App,
    /// Not a tenant id.
    #[error("must be 1 to {TENANT_ID_BYTES} letters, digits, dots, dashes or underscores")]
    Tenant,
}

/// Why the signature of a webhook was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is missing.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// The timestamp is not an integer.
    #[error("the timestamp is not a whole number")]
    MalformedTimestamp,
    /// The timestamp is too far from now: this may be a replay of an old webhook.
    #[error("the timestamp is more than {} s from now", SIGNATURE_TOLERANCE.as_secs())]
    Stale,
    /// It was signed with another secret, or changed on the way.
    #[error("no signature matches")]
    Mismatch,
}

impl WebhookSecret {
    /// Parses a secret: `whsec_` and 24 to 64 bytes in standard base64.
    pub fn parse(text: &str) -> Result<WebhookSecret, SecretError> {
        let bytes = text.strip_prefix(SECRET_PREFIX).and_then(|text| BASE64_STANDARD.decode(text).ok());
        let key = bytes.map(Zeroizing::new).filter(|key| WEBHOOK_SECRET_BYTES.contains(&key.len()));
        key.map(|key| WebhookSecret { key }).ok_or(SecretError::Standard)
    }

    /// A secret from random bytes.
    pub fn from_bytes(bytes: &[u8]) -> WebhookSecret {
        WebhookSecret { key: Zeroizing::new(bytes.to_vec()) }
    }

    /// The secret as text, for the receiver.
    pub fn to_text(&self) -> Zeroizing<String> {
        // Allocated at full length, because a growing string leaves copies in memory.
        let mut text = Zeroizing::new(String::with_capacity(SECRET_PREFIX.len() + self.key.len().div_ceil(3) * 4));
        text.push_str(SECRET_PREFIX);
        BASE64_STANDARD.encode_string(&*self.key, &mut text);
        text
    }

    /// The first digits of the key's SHA-256, so that people can tell secrets apart. They reveal nothing, because
    /// secrets are random.
    pub fn fingerprint(&self) -> String {
        encode_hex(&Sha256::digest(&*self.key)[..4])
    }

    /// One signature of a webhook, for the list in `webhook-signature`.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        format!(
            "{SIGNATURE_PREFIX}{}",
            BASE64_STANDARD.encode(self.mac(id, &unix_seconds(at), body).finalize().into_bytes())
        )
    }

    /// Verifies that one of the space-separated `signatures` was made with this secret, at about `now`.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        self.matching_signature(id, timestamp, signatures, body, now).map(drop)
    }

    /// Like [`verify`](WebhookSecret::verify), but returns the matching signature. An equal signature identifies a
    /// repeated request.
    pub fn matching_signature(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<[u8; 32], SignatureError> {
        check_timestamp(timestamp, 1_000_000, now)?;
        let ours = signatures.split(' ').filter_map(|signature| signature.strip_prefix(SIGNATURE_PREFIX));
        let mac = self.mac(id, timestamp, body);
        let fits = |signature: Vec<u8>| mac.clone().verify_slice(&signature).is_ok();
        let mut decoded = ours.filter_map(|signature| BASE64_STANDARD.decode(signature).ok());
        if decoded.any(fits) { Ok(mac.finalize().into_bytes().into()) } else { Err(SignatureError::Mismatch) }
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = new_hmac(&self.key);
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl AppSecret {
    /// The secret of a tenant.
    pub fn new(tenant_id: &str, secret: &str) -> Result<AppSecret, SecretError> {
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=TENANT_ID_BYTES).contains(&tenant_id.len()) || !tenant_id.bytes().all(is_id) {
            return Err(SecretError::Tenant);
        }
        if !APP_SECRET_BYTES.contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::App);
        }
        Ok(AppSecret { tenant_id: tenant_id.to_owned(), secret: Zeroizing::new(secret.to_owned()) })
    }

    /// The secret's text.
    pub fn text(&self) -> &str {
        &self.secret
    }

    /// The values of the headers `timestamp` and `access_token`.
    pub fn sign(&self, at: Timestamp) -> (String, String) {
        let timestamp = (at.0 / 1_000).to_string();
        let token = self.mac(&self.tenant_id, &timestamp).finalize().into_bytes();
        (timestamp, encode_hex(&token))
    }

    /// Verifies that `token` was made with this secret, at about `now`.
    pub fn verify(&self, tenant_id: &str, timestamp: &str, token: &str, now: Timestamp) -> Result<(), SignatureError> {
        check_timestamp(timestamp, 1_000, now)?;
        let byte = |at: usize| token.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        // `from_str_radix` accepts a sign; allow digits only.
        let is_hex = token.bytes().all(|byte| byte.is_ascii_hexdigit());
        let token: Option<Vec<u8>> = (0..token.len()).step_by(2).map(|at| byte(at).filter(|_| is_hex)).collect();
        let is_ours = tenant_id == self.tenant_id
            && token.is_some_and(|token| self.mac(tenant_id, timestamp).verify_slice(&token).is_ok());
        if is_ours { Ok(()) } else { Err(SignatureError::Mismatch) }
    }

    fn mac(&self, tenant_id: &str, timestamp: &str) -> Hmac<Sha256> {
        let mut mac = new_hmac(self.secret.as_bytes());
        mac.update(tenant_id.as_bytes());
        mac.update(timestamp.as_bytes());
        mac
    }
}

/// Seconds since 1970, for `webhook-timestamp`.
pub(super) fn unix_seconds(at: Timestamp) -> String {
    (at.0 / 1_000_000).to_string()
}

/// Checks that a timestamp is within [`SIGNATURE_TOLERANCE`] of `now`. One unit of the timestamp is `unit`
/// microseconds.
fn check_timestamp(timestamp: &str, unit: i64, now: Timestamp) -> Result<(), SignatureError> {
    let number: i64 = timestamp.parse().map_err(|_| SignatureError::MalformedTimestamp)?;
    let apart = number.saturating_mul(unit).abs_diff(now.0);
    if u128::from(apart) <= SIGNATURE_TOLERANCE.as_micros() { Ok(()) } else { Err(SignatureError::Stale) }
}

/// HMAC pads a key with zeros to the block size of its hash, 64 bytes. No secret here is longer.
fn new_hmac(key: &[u8]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, byte)| *to = *byte);
    Hmac::<Sha256>::new((&*block).into())
}

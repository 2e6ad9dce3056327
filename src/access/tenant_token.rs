//! The authentication that the contract defines: three headers, which a caller makes for each request from its tenant's
//! secret. Pure.
//!
//! Frozen: the API document defines the headers and the hash. Callers compute them.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::{AuthError, key_text};
use crate::domain::Timestamp;
use crate::limits::TOKEN_WINDOW;

/// The values of the three headers; `None` for one that is missing, empty or repeated.
#[derive(Clone, Copy)]
pub struct TenantToken<'h> {
    /// `tenant_id`: the id of the tenant.
    pub tenant: Option<&'h str>,
    /// `timestamp`: when the token was made, as Unix time in milliseconds.
    pub timestamp: Option<&'h str>,
    /// `token`: the MD5 of tenant id, timestamp and secret, in lower-case hexadecimal digits.
    pub token: Option<&'h str>,
}

/// A complete token whose timestamp is near the current time. Its MD5 is not checked yet.
pub(super) struct FreshToken<'h> {
    pub(super) tenant: &'h str,
    timestamp: &'h str,
    token: &'h str,
}

impl<'h> TenantToken<'h> {
    /// Checks that all headers are present and that the timestamp is within [`TOKEN_WINDOW`] of `now`.
    pub(super) fn check_freshness(self, now: Timestamp) -> Result<FreshToken<'h>, AuthError> {
        let tenant = self.tenant.ok_or(AuthError::MissingTenant)?;
        let timestamp = self.timestamp.ok_or(AuthError::MissingTimestamp)?;
        let token = self.token.ok_or(AuthError::MissingToken)?;
        let is_number = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let millis: Option<i64> = timestamp.parse().ok().filter(|_| is_number);
        let created = Timestamp(millis.ok_or(AuthError::MalformedTimestamp)?.saturating_mul(1_000));
        match created.since(now).max(now.since(created)) {
            difference if difference <= TOKEN_WINDOW => Ok(FreshToken { tenant, timestamp, token }),
            _ => Err(AuthError::StaleTimestamp),
        }
    }
}

impl FreshToken<'_> {
    /// Whether the token was made with this secret. Constant time.
    pub(super) fn matches_secret(&self, secret: &str) -> bool {
        let digest = Md5::new().chain_update(self.tenant).chain_update(self.timestamp).chain_update(secret).finalize();
        let mut expected = [0; 32];
        for (digits, byte) in expected.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
            *digits = [byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[usize::from(half)]);
        }
        self.token.as_bytes().as_array().is_some_and(|token| key_text::constant_time_eq(token, &expected))
    }
}

/// A new tenant secret in the contract's form: the first 128 random bits, as 32 hexadecimal digits.
pub(super) fn format_tenant_secret(random: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(random[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

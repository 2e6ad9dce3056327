//! A request for a new API key, its validation, and the errors of keys.

use zeroize::Zeroizing;

use super::AuthError;
use crate::clock;
use crate::domain::{Role, Timestamp, describe_invisible_control, is_single_line};
use crate::journal;
use crate::limits::{ACCOUNT_DIGITS_MAX, API_KEY_NAME_BYTES, API_KEY_PREFIXES, TENANT_ID_BYTES, TENANT_SECRET_BYTES};
use crate::vault;

/// A request for a new key. It has no `Debug`, because it holds a secret.
pub struct KeyRequest {
    /// The name, for people.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The number prefixes of the accounts that the key is bound to; empty for all accounts.
    pub accounts: Vec<String>,
    /// When the key expires, if it does.
    pub expires: Option<Timestamp>,
    /// The tenant, for a tenant's key.
    pub tenant: Option<String>,
    /// The secret of the tenant's tokens; `None` generates one.
    pub secret: Option<Zeroizing<String>>,
}

/// Why a key was not created or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A field is invalid. The message starts with the name of the field.
    #[error("{field} {words}")]
    InvalidField {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with the field and how to fix it. It continues the sentence after the name.
        words: String,
    },
    /// There is no such key.
    #[error("there is no API key {0}; `muster keys list` shows all keys")]
    NoSuchKey(u64),
    /// The current state does not allow the change; for example, the key is already revoked.
    #[error("{0}")]
    Conflict(String),
    /// The requester is not authorized, or not any more.
    #[error(transparent)]
    Denied(#[from] AuthError),
    /// The vault failed, or there were no random bytes.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The change could not be recorded.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

/// Validates the tenant and secret of a request, if it has any.
fn validate_tenant(role: Role, tenant: Option<&str>, secret: Option<&str>) -> Result<(), KeyError> {
    let is_id_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_tenant = |id: &str| (1..=TENANT_ID_BYTES).contains(&id.len()) && id.bytes().all(is_id_byte);
    let is_secret =
        |text: &str| TENANT_SECRET_BYTES.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let (least, most) = (TENANT_SECRET_BYTES.start(), TENANT_SECRET_BYTES.end());
    let (field, words) = match (tenant, secret) {
        (Some(id), _) if !is_tenant(id) => {
            ("tenant", format!("must be 1 to {TENANT_ID_BYTES} letters, digits, dots, dashes or underscores"))
        }
        (Some(_), _) if role != Role::Caller => ("role", "must be caller for a tenant's key".to_owned()),
        (None, Some(_)) => ("secret", "needs a tenant; name the tenant, or leave the secret out".to_owned()),
        (_, Some(text)) if !is_secret(text) => {
            ("secret", format!("must be {least} to {most} visible ASCII characters"))
        }
        (Some(_) | None, Some(_) | None) => return Ok(()),
    };
    Err(KeyError::InvalidField { field, words })
}

impl KeyRequest {
    /// Checks the fields that do not depend on other keys.
    pub(super) fn validate(&self) -> Result<(), KeyError> {
        let KeyRequest { name, role, accounts, expires, tenant, secret } = self;
        let invalid = |field, words: String| Err(KeyError::InvalidField { field, words });
        if !is_single_line(name, API_KEY_NAME_BYTES) {
            let cause = describe_invisible_control(name);
            return invalid("name", format!("must be 1 to {API_KEY_NAME_BYTES} bytes of text on one line{cause}"));
        }
        let is_prefix = |prefix: &String| {
            (1..=ACCOUNT_DIGITS_MAX).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_digit())
        };
        if accounts.len() > API_KEY_PREFIXES || !accounts.iter().all(is_prefix) {
            return invalid(
                "accounts",
                format!(
                    "must be at most {API_KEY_PREFIXES} prefixes of account numbers, given one by one, such as 8618"
                ),
            );
        }
        if expires.is_some_and(|end| end <= clock::trusted()) {
            return invalid("expires", "must be in the future".to_owned());
        }
        validate_tenant(*role, tenant.as_deref(), secret.as_deref().map(String::as_str))
    }
}

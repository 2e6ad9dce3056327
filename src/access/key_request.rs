//! What a new API key is to be for, and the rules for it.

use zeroize::Zeroizing;

use super::KeyError;
use crate::clock;
use crate::domain::{Role, Timestamp, is_single_line};
use crate::limits::{ACCOUNT_DIGITS_MAX, API_KEY_NAME_BYTES, API_KEY_PREFIXES, TENANT_ID_BYTES, TENANT_SECRET_BYTES};

/// What a new key is to be for. It has no `Debug`.
pub struct KeyRequest {
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The first digits of the accounts that it is bound to; all accounts if there are none.
    pub accounts: Vec<String>,
    /// When it ends, if it does.
    pub expires: Option<Timestamp>,
    /// The tenant that is to show it by tokens, if it is for one.
    pub tenant: Option<String>,
    /// What the tenant makes them with; drawn if it is for a tenant and this is none.
    pub secret: Option<Zeroizing<String>>,
}

impl KeyRequest {
    /// Whether it is as it must be.
    pub(super) fn validate(&self) -> Result<(), KeyError> {
        let KeyRequest { name, role, accounts, expires, tenant, secret } = self;
        let field = |field, words: String| Err(KeyError::InvalidField { field, words });
        if !is_single_line(name, API_KEY_NAME_BYTES) {
            return field("name", format!("must be 1 to {API_KEY_NAME_BYTES} bytes of text on one line"));
        }
        let is_prefix = |first: &String| {
            (1..=ACCOUNT_DIGITS_MAX).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_digit())
        };
        if accounts.len() > API_KEY_PREFIXES || !accounts.iter().all(is_prefix) {
            return field(
                "accounts",
                format!("must be at most {API_KEY_PREFIXES} beginnings of numbers, each by itself, as in 8618"),
            );
        }
        if expires.is_some_and(|end| end <= clock::trusted()) {
            return field("expires", "must be in the future".to_owned());
        }
        validate_tenant(*role, tenant.as_deref(), secret.as_deref().map(String::as_str))
    }
}

/// Whether what is wanted for a tenant, if it is, is as it must be.
fn validate_tenant(role: Role, tenant: Option<&str>, secret: Option<&str>) -> Result<(), KeyError> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_tenant = |id: &str| (1..=TENANT_ID_BYTES).contains(&id.len()) && id.bytes().all(is_id);
    let is_secret =
        |text: &str| TENANT_SECRET_BYTES.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let (least, most) = (TENANT_SECRET_BYTES.start(), TENANT_SECRET_BYTES.end());
    let (field, words) = match (tenant, secret) {
        (Some(id), _) if !is_tenant(id) => {
            ("tenant", format!("must be 1 to {TENANT_ID_BYTES} letters, digits, dots, dashes or underscores"))
        }
        (Some(_), _) if role != Role::Caller => ("role", "must be caller, for a tenant".to_owned()),
        (None, Some(_)) => {
            ("secret", "is what a tenant makes tokens with; say which (tenant), or leave it out".to_owned())
        }
        (_, Some(text)) if !is_secret(text) => {
            ("secret", format!("must be {least} to {most} visible ASCII characters"))
        }
        (Some(_) | None, Some(_) | None) => return Ok(()),
    };
    Err(KeyError::InvalidField { field, words })
}

//! API keys: list, create, revoke.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{Call, Problem, parse_time_parameter};
use crate::access::{CreatedKey, KeyRequest, KeyView};
use crate::clock;
use crate::domain::Role;

/// The properties of a new key.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WantedApiKey, example = json!({"name": "dispatch", "role": "caller", "accounts": ["8618"], "expires": "2027-01-01"}))]
pub struct CreateApiKeyRequest {
    /// The name: 1 to 64 bytes of text on one line.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// The role: `caller`, `auditor`, `operator` or `admin`. The first key must be an admin's.
    #[schema(pattern = "^(caller|auditor|operator|admin)$")]
    pub role: String,
    /// Prefixes of account numbers to limit the key to; empty for all.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub accounts: Vec<String>,
    /// The expiry: a time such as `2026-11-25T09:30:00Z`, or a day.
    #[serde(default)]
    pub expires: Option<String>,
    /// The tenant that will use a caller's key through tokens: 1 to 64 letters, digits, dots, dashes, underscores.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The tenant's secret for its tokens: 16 to 128 visible ASCII characters. Without it, one is generated.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub secret: Option<Zeroizing<String>>,
}

/// The API keys.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeys)]
pub struct ApiKeyList {
    pub(crate) keys: Vec<KeyView>,
}

/// A revoked key.
#[derive(Serialize, ToSchema)]
#[schema(as = RevokedApiKey)]
pub struct RevokeApiKeyResponse {
    /// The key's number.
    pub revoked: u64,
}

/// Lists the API keys.
pub async fn list_keys(call: &Call) -> Result<ApiKeyList, Problem> {
    call.read(async { Ok(ApiKeyList { keys: call.api().authenticator().keys().list(clock::trusted()) }) }).await
}

/// Creates an API key.
pub async fn create_key(call: &Call, request: CreateApiKeyRequest) -> Result<CreatedKey, Problem> {
    let CreateApiKeyRequest { name, role, accounts, expires, tenant, secret } = request;
    let role_names = || Role::ALL.map(Role::name).join(", ");
    let unknown_role =
        || Problem::invalid_parameter("role", format_args!("must be one of {}, not {role:?}", role_names()));
    let role = Role::ALL.into_iter().find(|candidate| candidate.name() == role).ok_or_else(unknown_role)?;
    let expires = expires.as_deref().map(|text| parse_time_parameter("expires", text)).transpose()?;
    let key_request = KeyRequest { name, role, accounts, expires, tenant, secret };
    call.api().authenticator().keys().create(key_request, || call.authorize()).await
}

/// Revokes an API key.
pub async fn revoke_key(call: &Call, id: u64) -> Result<RevokeApiKeyResponse, Problem> {
    call.api().authenticator().keys().revoke(id, || call.authorize()).await?;
    Ok(RevokeApiKeyResponse { revoked: id })
}

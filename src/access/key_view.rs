//! API keys, as the API returns them.

use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A new key. It has no `Debug`.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedApiKey)]
pub struct CreatedKey {
    /// The key's number.
    pub id: u64,
    /// The key's text, which is not stored anywhere; left out for a tenant's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub key: Option<Zeroizing<String>>,
    /// The tenant, for a tenant's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tenant: Option<String>,
    /// The tenant's secret for its tokens, if it was generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub secret: Option<Zeroizing<String>>,
}

/// An API key, without its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct KeyView {
    /// The key's number, which is in the `origin` of events.
    pub(crate) id: u64,
    /// The key's name.
    pub(crate) name: String,
    /// `caller`, `auditor`, `operator` or `admin`.
    pub(crate) role: &'static str,
    /// The tenant that uses the key through tokens; null for a key that is sent itself.
    #[schema(required)]
    pub(crate) tenant: Option<String>,
    /// Prefixes of the account numbers that the key is limited to; empty if it is for all.
    pub(crate) accounts: Vec<String>,
    /// `valid`, `expired` or `revoked`.
    pub(crate) state: &'static str,
    #[schema(format = DateTime)]
    pub(crate) created: String,
    /// The expiry; null if there is none.
    #[schema(required, format = DateTime)]
    pub(crate) expires: Option<String>,
    /// The time of the revocation; null if there was none.
    #[schema(required, format = DateTime)]
    pub(crate) revoked: Option<String>,
}

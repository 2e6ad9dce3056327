//! API keys, as the API returns them.

use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A key that was given. It has no `Debug`.
#[derive(Serialize, ToSchema)]
#[schema(as = NewApiKey)]
pub struct CreatedKey {
    /// The key's number.
    pub id: u64,
    /// The key, which is nowhere else; left out for a tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub key: Option<Zeroizing<String>>,
    /// The tenant that it is for instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tenant: Option<String>,
    /// What the tenant makes its tokens with, if it was drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub secret: Option<Zeroizing<String>>,
}

/// A key as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct KeyView {
    /// Its number, which is in the `origin` of events.
    pub(crate) id: u64,
    /// What people call it.
    pub(crate) name: String,
    /// `caller`, `auditor`, `operator` or `admin`.
    pub(crate) role: &'static str,
    /// The tenant that shows it by tokens; null for a key that is shown itself.
    #[schema(required)]
    pub(crate) tenant: Option<String>,
    /// The first digits of the accounts that it is bound to; none if it is for all.
    pub(crate) accounts: Vec<String>,
    /// `valid`, `expired` or `revoked`.
    pub(crate) state: &'static str,
    #[schema(format = DateTime)]
    pub(crate) created: String,
    /// When it ends; null if it does not.
    #[schema(required, format = DateTime)]
    pub(crate) expires: Option<String>,
    /// When it was taken away; null if it was not.
    #[schema(required, format = DateTime)]
    pub(crate) revoked: Option<String>,
}

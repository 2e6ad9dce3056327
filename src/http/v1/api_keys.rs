//! API keys: list, create, revoke.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;
use zeroize::Zeroizing;

use super::ApiState;
use super::problem::Problem;
use super::query_parameters::{QueryParameters, parse_time_parameter};
use super::request_context::RequestContext;
use super::response_body::json_response;
use super::webhooks::parse_body;
use crate::access::{KeyError, KeyRequest, KeyView};
use crate::clock;
use crate::domain::Role;

/// What a new key is to be for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WantedApiKey, example = json!({"name": "dispatch", "role": "caller", "accounts": ["8618"], "expires": "2027-01-01"}))]
pub(in crate::http) struct CreateApiKeyRequest {
    /// What people call it: 1 to 64 bytes of text on one line.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it is for: `caller`, `auditor`, `operator` or `admin`. The first key must be an admin's.
    #[schema(pattern = "^(caller|auditor|operator|admin)$")]
    role: String,
    /// The first digits of the accounts that it is bound to; none, if it is for all.
    #[serde(default)]
    #[schema(max_items = 100)]
    accounts: Vec<String>,
    /// When it ends: a time as in `2026-11-25T09:30:00Z`, or a day.
    #[serde(default)]
    expires: Option<String>,
    /// The tenant that is to show it by tokens, for a caller's key: 1 to 64 letters, digits, dots, dashes, underscores.
    #[serde(default)]
    tenant: Option<String>,
    /// What the tenant makes its tokens with: 16 to 128 visible ASCII characters. Without it one is drawn.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    secret: Option<Zeroizing<String>>,
}

/// The API keys.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeys)]
pub(in crate::http) struct ApiKeyList {
    keys: Vec<KeyView>,
}

/// A key that was taken away.
#[derive(Serialize, ToSchema)]
#[schema(as = RevokedApiKey)]
pub(in crate::http) struct RevokeApiKeyResponse {
    /// Its number.
    revoked: u64,
}

const BODY_EXAMPLE: &str = r#"{"name":"dispatch","role":"caller","accounts":["8618"],"expires":"2027-01-01"}; the last two may be left out; or add "tenant":"500975", and "secret":"…" if it has one"#;

/// Handles `/keys` and `/keys/{key}`.
pub(super) async fn handle(
    state: &ApiState,
    method: &str,
    context: &RequestContext,
    body: &[u8],
) -> Result<Response, Problem> {
    QueryParameters::new(&context.query, &[])?;
    let keys = state.inner.authenticator.keys();
    let key = context.path.split_once('/').map(|(_, key)| key);
    match (key, method) {
        (None, "POST") => {
            let CreateApiKeyRequest { name, role, accounts, expires, tenant, secret } = parse_body(body, BODY_EXAMPLE)?;
            let known = || Role::ALL.map(Role::name).join(", ");
            let wrong = || Problem::invalid_parameter("role", format_args!("must be one of {}, not {role:?}", known()));
            let role = Role::ALL.into_iter().find(|known| known.name() == role).ok_or_else(wrong)?;
            let expires = expires.as_deref().map(|text| parse_time_parameter("expires", text)).transpose()?;
            let wanted = KeyRequest { name, role, accounts, expires, tenant, secret };
            Ok(json_response(&keys.create(wanted, || context.authorize()).await?))
        }
        (Some(id), _) => {
            let id = id.parse().map_err(|_| Problem::invalid_parameter("key", "must be the number of a key"))?;
            keys.revoke(id, || context.authorize()).await?;
            Ok(json_response(&RevokeApiKeyResponse { revoked: id }))
        }
        (None, _) => Ok(json_response(&ApiKeyList { keys: keys.list(clock::trusted()) })),
    }
}

impl From<KeyError> for Problem {
    fn from(refused: KeyError) -> Problem {
        match refused {
            KeyError::InvalidField { field, words } => Problem::invalid_parameter(field, words),
            KeyError::NoSuchKey(_) => Problem::new(StatusCode::NOT_FOUND, refused.to_string()),
            KeyError::Denied(denied) => denied.into(),
            KeyError::Conflict(words) => Problem::new(StatusCode::CONFLICT, words),
            KeyError::Vault(_) | KeyError::Journal(_) => {
                tracing::error!(error = %refused, "a request about the API keys failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, super::problem::INTERNAL_ERROR_DETAIL)
            }
        }
    }
}

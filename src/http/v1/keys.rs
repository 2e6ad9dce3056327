//! The API keys: who may do what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::reply::Response;
use zeroize::Zeroizing;

use super::Desk;
use super::context::Context;
use super::parameters::{Parameters, in_time};
use super::problem::Problem;
use super::streams::json;
use super::webhooks::read;
use crate::access::{Refused, ShownKey, Wanted};
use crate::clock;
use crate::domain::Role;

/// What a new key is to be for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WantedApiKey, example = json!({"name": "dispatch", "role": "caller", "accounts": ["8618"], "expires": "2027-01-01"}))]
pub(in crate::http) struct Body {
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
pub(in crate::http) struct ApiKeys {
    keys: Vec<ShownKey>,
}

/// A key that was taken away.
#[derive(Serialize, ToSchema)]
#[schema(as = RevokedApiKey)]
pub(in crate::http) struct Revoked {
    /// Its number.
    revoked: u64,
}

const SHAPE: &str = r#"{"name":"dispatch","role":"caller","accounts":["8618"],"expires":"2027-01-01"}; the last two may be left out; or add "tenant":"500975", and "secret":"…" if it has one"#;

/// Answers `/keys`, and `/keys/{key}`.
pub(super) async fn answer(desk: &Desk, method: &str, context: &Context, body: &[u8]) -> Result<Response, Problem> {
    Parameters::new(&context.query, &[])?;
    let keys = desk.inner.door.keys();
    let key = context.path.split_once('/').map(|(_, key)| key);
    match (key, method) {
        (None, "POST") => {
            let Body { name, role, accounts, expires, tenant, secret } = read(body, SHAPE)?;
            let known = || Role::ALL.map(Role::name).join(", ");
            let wrong = || Problem::parameter("role", format_args!("must be one of {}, not {role:?}", known()));
            let role = Role::ALL.into_iter().find(|known| known.name() == role).ok_or_else(wrong)?;
            let expires = expires.as_deref().map(|text| in_time("expires", text)).transpose()?;
            let wanted = Wanted { name, role, accounts, expires, tenant, secret };
            Ok(json(&keys.create(wanted, || context.authorize()).await?))
        }
        (Some(id), _) => {
            let id = id.parse().map_err(|_| Problem::parameter("key", "must be the number of a key"))?;
            keys.revoke(id, || context.authorize()).await?;
            Ok(json(&Revoked { revoked: id }))
        }
        (None, _) => Ok(json(&ApiKeys { keys: keys.list(clock::trusted()) })),
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        match refused {
            Refused::Field { field, words } => Problem::parameter(field, words),
            Refused::NoSuchKey(_) => Problem::new(StatusCode::NOT_FOUND, refused.to_string()),
            Refused::Denied(denied) => denied.into(),
            Refused::Conflict(words) => Problem::new(StatusCode::CONFLICT, words),
            Refused::Vault(_) | Refused::Journal(_) => {
                tracing::error!(error = %refused, "a request about the API keys failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, super::problem::INSIDE)
            }
        }
    }
}

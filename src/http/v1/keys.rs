//! The API keys: who may do what.

use serde::Deserialize;
use serde_json::json;
use warp::http::StatusCode;
use warp::reply::Response;
use zeroize::Zeroizing;

use super::Desk;
use super::parameters::{Parameters, in_time};
use super::problem::Problem;
use super::streams::json;
use super::webhooks::read;
use crate::access::{Refused, Wanted};
use crate::clock;
use crate::domain::Role;
use crate::http::requests::Query;
use crate::journal::Asker;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    name: String,
    role: String,
    #[serde(default)]
    accounts: Vec<String>,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    secret: Option<Zeroizing<String>>,
}

const SHAPE: &str = r#"{"name":"dispatch","role":"caller","accounts":["8618"],"expires":"2027-01-01"}; the last two may be left out; or add "tenant":"500975", and "secret":"…" if it has one"#;

/// Answers `/keys`, and `/keys/{key}`.
pub(super) async fn answer(
    desk: &Desk,
    method: &str,
    key: Option<&str>,
    query: &Query,
    body: &[u8],
    asker: Asker,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let keys = desk.inner.door.keys();
    match (key, method) {
        (None, "POST") => {
            let Body { name, role, accounts, expires, tenant, secret } = read(body, SHAPE)?;
            let known = || Role::ALL.map(Role::name).join(", ");
            let wrong = || Problem::parameter("role", format_args!("must be one of {}, not {role:?}", known()));
            let role = Role::ALL.into_iter().find(|known| known.name() == role).ok_or_else(wrong)?;
            let expires = expires.as_deref().map(|text| in_time("expires", text)).transpose()?;
            Ok(json(&keys.create(Wanted { name, role, accounts, expires, tenant, secret }, asker).await?))
        }
        (Some(id), _) => {
            let id = id.parse().map_err(|_| Problem::parameter("key", "must be the number of a key"))?;
            keys.revoke(id, asker).await?;
            Ok(json(&json!({"revoked": id})))
        }
        (None, _) => Ok(json(&json!({"keys": keys.list(clock::now())}))),
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        match refused {
            Refused::Field { field, words } => Problem::parameter(field, words),
            Refused::NoSuchKey(_) => Problem::new(StatusCode::NOT_FOUND, refused.to_string()),
            Refused::Conflict(words) => Problem::new(StatusCode::CONFLICT, words),
            Refused::Vault(_) | Refused::Journal(_) => {
                tracing::error!(error = %refused, "a request about the API keys failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, super::problem::INSIDE)
            }
        }
    }
}

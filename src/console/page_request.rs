//! One request of a browser: its requester, its form fields, and its calls to the API.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded;
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;

use super::Console;
use crate::access::{AuthContext, AuthError};
use crate::domain::{Permission, Role, escape_controls};
use crate::http::{InProcessRequest, InProcessResponse};
use crate::limits::PAGE_RESPONSE_BYTES;

/// Fields of a form or a query, in order.
pub(super) type FormFields = Vec<(String, String)>;

/// A request of an authenticated requester.
pub(super) struct ConsolePageRequest {
    pub(super) console: Console,
    pub(super) auth: AuthContext,
    pub(super) peer: SocketAddr,
    /// The request id, which its calls to the API carry too.
    pub(super) id: String,
    pub(super) path: String,
    pub(super) query: FormFields,
    pub(super) headers: HeaderMap,
    /// The fields of the submitted form.
    pub(super) form: FormFields,
}

/// Why a page cannot be shown.
#[derive(Debug)]
pub(super) struct PageError {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

/// An error response of the API.
#[derive(Deserialize)]
struct ProblemJson {
    detail: String,
}

impl ConsolePageRequest {
    /// The first value of a query parameter; `None` if it is absent or empty.
    pub(super) fn query_value(&self, name: &str) -> Option<&str> {
        first_value(&self.query, name)
    }

    /// The first value of a form field; `None` if it is absent or empty.
    pub(super) fn form_value(&self, name: &str) -> Option<&str> {
        first_value(&self.form, name)
    }

    /// All values of a form field that may be repeated.
    pub(super) fn form_values(&self, name: &str) -> Vec<&str> {
        self.form.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Why the requester may not do this; `None` if they may.
    pub(super) fn permission_error(&self, need: Permission) -> Option<String> {
        self.auth.require(need).err().map(|denied| denied.to_string())
    }

    /// The account list of the first prefix that the requester's key is bound to. `None` if the key may see all
    /// accounts.
    pub(super) fn bound_accounts_path(&self) -> Option<String> {
        let first = self.auth.account_prefixes().first()?;
        Some(with_query("/accounts", &[("prefix", Some(first))]))
    }

    /// Name and role of the requester's key; `None` while there are no keys.
    pub(super) fn signed_in_key(&self) -> Option<(&str, Role)> {
        self.auth.key_name_and_role()
    }

    /// GETs a path of `/api/v1` and parses its JSON.
    pub(super) async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, PageError> {
        let bytes = self.send_and_read("GET", path, "application/json", String::new()).await?;
        serde_json::from_slice(&bytes).map_err(|error| PageError::internal(&error))
    }

    /// GETs a path of `/api/v1` as text.
    pub(super) async fn get_text(&self, path: &str) -> Result<String, PageError> {
        let bytes = self.send_and_read("GET", path, "*/*", String::new()).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends JSON to a path of `/api/v1`. `Value::Null` sends no body.
    pub(super) async fn send_json(&self, method: &str, path: &str, body: &Value) -> Result<Value, PageError> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let bytes = self.send_and_read(method, path, "application/json", body).await?;
        serde_json::from_slice(&bytes).map_err(|error| PageError::internal(&error))
    }

    /// GETs a path of `/api/v1` and returns the response as it streams.
    pub(super) async fn get_response(&self, path: &str, accept: &str) -> Result<Response, PageError> {
        self.send_request("GET", path, accept, String::new()).await
    }

    async fn send_and_read(&self, method: &str, path: &str, accept: &str, body: String) -> Result<Vec<u8>, PageError> {
        let answer = InProcessResponse::from(self.send_request(method, path, accept, body).await?);
        let read =
            answer.body.map_err(|error| PageError::internal(&error)).try_fold(Vec::new(), |mut whole, piece: Bytes| {
                let has_room = whole.len() + piece.len() <= PAGE_RESPONSE_BYTES;
                whole.extend_from_slice(&piece);
                async move {
                    let words = format!(
                        "this is more than the {PAGE_RESPONSE_BYTES} bytes that a page is made from; ask /api/v1"
                    );
                    if has_room {
                        Ok(whole)
                    } else {
                        Err(PageError { status: StatusCode::BAD_GATEWAY, message: words })
                    }
                }
            });
        let bytes = read.await?;
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_success() {
            return Ok(bytes);
        }
        let words = serde_json::from_slice(&bytes).map_or_else(|_| status.to_string(), |ProblemJson { detail }| detail);
        Err(PageError { status, message: words })
    }

    async fn send_request(&self, method: &str, path: &str, accept: &str, body: String) -> Result<Response, PageError> {
        let resumed = self.headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let mut headers = vec![("accept", accept), ("x-request-id", &self.id)];
        headers.extend(resumed.map(|resumed| ("last-event-id", resumed)));
        let request =
            InProcessRequest { auth: self.auth.clone(), peer: Some(self.peer), method, path, headers: &headers, body };
        let answer = self.console.inner.api.send(request).await;
        answer.map_err(|error| PageError {
            status: StatusCode::BAD_REQUEST,
            message: escape_controls(&error.to_string()),
        })
    }
}

impl PageError {
    /// 404.
    pub(super) fn not_found() -> PageError {
        PageError { status: StatusCode::NOT_FOUND, message: "There is no such page.".to_owned() }
    }

    /// 400: a form field is missing or invalid.
    pub(super) fn bad_request(words: impl Into<String>) -> PageError {
        PageError { status: StatusCode::BAD_REQUEST, message: words.into() }
    }

    /// 500: an internal fault, which is logged.
    pub(super) fn internal(error: &dyn std::error::Error) -> PageError {
        tracing::error!(%error, "a page could not be made");
        let message = "The page could not be made; the log of the service says why.".to_owned();
        PageError { status: StatusCode::INTERNAL_SERVER_ERROR, message }
    }
}

impl From<AuthError> for PageError {
    fn from(denied: AuthError) -> PageError {
        let status = StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::FORBIDDEN);
        PageError { status, message: denied.to_string() }
    }
}

fn first_value<'f>(fields: &'f FormFields, name: &str) -> Option<&'f str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// A path with a query of the parameters that have a value.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Parses a query or a form body.
pub(super) fn parse_fields(text: &[u8]) -> FormFields {
    form_urlencoded::parse(text).into_owned().collect()
}

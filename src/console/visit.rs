//! One request of a browser: who makes it, what stands in it, and what it asks of the API.

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
use crate::access::{Denied, Pass};
use crate::domain::{Need, Role, printable};
use crate::http::{Asked, Here};
use crate::limits::PAGE_ANSWER_BYTES;

/// Fields of a form, or of a query, in their order.
pub(super) type Fields = Vec<(String, String)>;

/// A request that was let in.
pub(super) struct Visit {
    pub(super) console: Console,
    pub(super) pass: Pass,
    pub(super) peer: SocketAddr,
    /// The id of the request, which all that it asks of the API has too.
    pub(super) id: String,
    pub(super) path: String,
    pub(super) query: Fields,
    pub(super) headers: HeaderMap,
    /// What a form has sent.
    pub(super) form: Fields,
}

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) status: StatusCode,
    pub(super) words: String,
}

/// A problem, as the API has it.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Visit {
    /// The first value of a parameter in the URL; none if it is empty.
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// The first value of a field of the form; none if it is empty.
    pub(super) fn sent(&self, name: &str) -> Option<&str> {
        first(&self.form, name)
    }

    /// The values of a field that may be there several times.
    pub(super) fn all_sent(&self, name: &str) -> Vec<&str> {
        self.form.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Why this reader may not do something; none if they may.
    pub(super) fn forbids(&self, need: Need) -> Option<String> {
        self.pass.needs(need).err().map(|denied| denied.to_string())
    }

    /// Where a reader is sent who asks for all accounts, and whose key is bound to some: to the first of these.
    pub(super) fn instead_of_all(&self) -> Option<String> {
        let first = self.pass.bound().first()?;
        Some(with_query("/accounts", &[("prefix", Some(first))]))
    }

    /// What the reader's key is called, and what it is for; none while there are no keys.
    pub(super) fn holder(&self) -> Option<(&str, Role)> {
        self.pass.holder()
    }

    /// What the API has at a path.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        let bytes = self.whole("GET", path, "application/json", String::new()).await?;
        serde_json::from_slice(&bytes).map_err(|error| Trouble::inside(&error))
    }

    /// What the API has at a path, as it is.
    pub(super) async fn text(&self, path: &str) -> Result<String, Trouble> {
        let bytes = self.whole("GET", path, "*/*", String::new()).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Asks the API to do something. An empty body is none.
    pub(super) async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, Trouble> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let bytes = self.whole(method, path, "application/json", body).await?;
        serde_json::from_slice(&bytes).map_err(|error| Trouble::inside(&error))
    }

    /// Asks the API, and gives the answer as it comes.
    pub(super) async fn open(&self, path: &str, accept: &str) -> Result<Response, Trouble> {
        self.ask("GET", path, accept, String::new()).await
    }

    async fn whole(&self, method: &str, path: &str, accept: &str, body: String) -> Result<Vec<u8>, Trouble> {
        let answer = Here::from(self.ask(method, path, accept, body).await?);
        let read =
            answer.body.map_err(|error| Trouble::inside(&error)).try_fold(Vec::new(), |mut whole, piece: Bytes| {
                let has_room = whole.len() + piece.len() <= PAGE_ANSWER_BYTES;
                whole.extend_from_slice(&piece);
                async move {
                    let words = format!(
                        "this is more than the {PAGE_ANSWER_BYTES} bytes that a page is made from; ask /api/v1"
                    );
                    if has_room { Ok(whole) } else { Err(Trouble { status: StatusCode::BAD_GATEWAY, words }) }
                }
            });
        let bytes = read.await?;
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_success() {
            return Ok(bytes);
        }
        let words = serde_json::from_slice(&bytes).map_or_else(|_| status.to_string(), |Problem { detail }| detail);
        Err(Trouble { status, words })
    }

    async fn ask(&self, method: &str, path: &str, accept: &str, body: String) -> Result<Response, Trouble> {
        let resumed = self.headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let mut headers = vec![("accept", accept), ("x-request-id", &self.id)];
        headers.extend(resumed.map(|resumed| ("last-event-id", resumed)));
        let asked = Asked { pass: self.pass.clone(), peer: Some(self.peer), method, path, headers: &headers, body };
        let answer = self.console.inner.within.ask(asked).await;
        answer.map_err(|error| Trouble { status: StatusCode::BAD_REQUEST, words: printable(&error.to_string()) })
    }
}

impl Trouble {
    /// There is no such page.
    pub(super) fn no_page() -> Trouble {
        Trouble { status: StatusCode::NOT_FOUND, words: "There is no such page.".to_owned() }
    }

    /// What a form has sent is not as it must be.
    pub(super) fn wrong(words: impl Into<String>) -> Trouble {
        Trouble { status: StatusCode::BAD_REQUEST, words: words.into() }
    }

    /// Something that must not be: the log says what.
    pub(super) fn inside(error: &dyn std::error::Error) -> Trouble {
        tracing::error!(%error, "a page could not be made");
        let words = "The page could not be made; the log of the service says why.".to_owned();
        Trouble { status: StatusCode::INTERNAL_SERVER_ERROR, words }
    }
}

impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Trouble {
        let status = StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::FORBIDDEN);
        Trouble { status, words: denied.to_string() }
    }
}

fn first<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// A path with a query, of these parameters that have a value.
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

/// The fields of a query, or of a form that was sent.
pub(super) fn fields(text: &[u8]) -> Fields {
    form_urlencoded::parse(text).into_owned().collect()
}

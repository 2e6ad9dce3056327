//! One request of a browser: its requester, its form fields, and its calls to the API.

use std::net::SocketAddr;
use std::str::FromStr;

use futures_util::StreamExt;
use tokio::time::timeout;
use url::form_urlencoded;
use warp::http::{HeaderMap, StatusCode};

use super::Console;
use crate::access::{AuthContext, AuthError};
use crate::api::{AccountSelection, ApiState, Call, Operation, Parameters, Problem};
use crate::domain::{Channel, Permission, Role};
use crate::http::IncomingBody;
use crate::journal::RequestId;
use crate::limits::{BODY_TIMEOUT, PAGE_FORM_BYTES};

/// Fields of a form or a query, in order.
pub(super) type FormFields = Vec<(String, String)>;

/// A request of an authenticated requester.
pub(super) struct ConsoleRequest {
    pub(super) console: Console,
    pub(super) auth: AuthContext,
    pub(super) peer: SocketAddr,
    /// The request id, which its calls carry too.
    pub(super) id: RequestId,
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

impl ConsoleRequest {
    /// The first value of a query parameter; `None` if it is absent or empty.
    pub(super) fn query_value(&self, name: &str) -> Option<&str> {
        first_value(&self.query, name)
    }

    /// These parameters of the query.
    pub(super) fn parameters<'r>(&'r self, names: &[&'r str]) -> Parameters<'r> {
        Parameters::from_fields(names.iter().map(|name| (*name, self.query_value(name))))
    }

    /// The first value of a form field; `None` if it is absent or empty.
    pub(super) fn form_value(&self, name: &str) -> Option<&str> {
        first_value(&self.form, name)
    }

    /// All values of a form field that may be repeated.
    pub(super) fn form_values(&self, name: &str) -> Vec<&str> {
        self.form.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The reason that the form gives for an action; empty without one.
    pub(super) fn reason(&self) -> String {
        self.form_value("reason").unwrap_or_default().to_owned()
    }

    /// Why the requester may not do this; `None` if they may.
    pub(super) fn permission_error(&self, need: Permission) -> Option<String> {
        self.auth.require(need).err().map(|denied| denied.to_string())
    }

    /// The account list of the first prefix that the requester's key is bound to. `None` if the key may see all
    /// accounts.
    pub(super) fn bound_accounts_path(&self) -> Option<String> {
        let first = self.auth.account_prefixes().first()?;
        Some(with_query("/accounts", [("prefix", Some(first.as_str()))]))
    }

    /// Name and role of the requester's key; `None` while there are no keys.
    pub(super) fn signed_in_key(&self) -> Option<(&str, Role)> {
        self.auth.key_name_and_role()
    }

    /// The API.
    pub(super) fn api(&self) -> &ApiState {
        &self.console.inner.api
    }

    /// A call of the API, as the requester of this page.
    pub(super) fn call(&self, operation: Operation) -> Result<Call, Problem> {
        self.call_on(operation, AccountSelection::All)
    }

    /// A call of an operation on these accounts. A key that is bound to some accounts may call it on them.
    pub(super) fn call_on(&self, operation: Operation, selection: AccountSelection) -> Result<Call, Problem> {
        Call::new(self.api(), operation, selection, self.auth.clone(), self.id, self.peer.to_string())
    }
}

impl PageError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> PageError {
        PageError { status, message: message.into() }
    }

    /// 404.
    pub(super) fn not_found() -> PageError {
        PageError::new(StatusCode::NOT_FOUND, "There is no such page.")
    }

    /// 400: a form field is missing or invalid.
    pub(super) fn bad_request(words: impl Into<String>) -> PageError {
        PageError::new(StatusCode::BAD_REQUEST, words)
    }

    /// 500: an internal fault, which is logged.
    pub(super) fn internal(error: &dyn std::error::Error) -> PageError {
        tracing::error!(%error, "a page could not be rendered");
        let words = "The page could not be rendered; the service's log has the reason.";
        PageError::new(StatusCode::INTERNAL_SERVER_ERROR, words)
    }
}

impl From<AuthError> for PageError {
    fn from(denied: AuthError) -> PageError {
        Problem::from(denied).into()
    }
}

impl From<Problem> for PageError {
    fn from(problem: Problem) -> PageError {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        PageError::new(status, problem.detail)
    }
}

/// The first value of a field; `None` if it is absent or empty.
pub(super) fn first_value<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// Parses a segment of a path. There is no page under a path with an invalid one.
pub(super) fn parse_segment<T: FromStr>(text: &str) -> Result<T, PageError> {
    text.parse().map_err(|_| PageError::not_found())
}

/// The webhook channel of a path.
pub(super) fn parse_channel(name: &str) -> Result<Channel, PageError> {
    Channel::ALL.into_iter().find(|channel| channel.short_name() == name).ok_or_else(PageError::not_found)
}

/// A path with a query of the parameters that have a value.
pub(super) fn with_query<'p>(path: &str, parameters: impl IntoIterator<Item = (&'p str, Option<&'p str>)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Reads the fields of a submitted form.
pub(super) async fn read_form(body: &mut IncomingBody) -> Result<FormFields, PageError> {
    let mut form = Vec::new();
    let arrived = async {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| PageError::bad_request("The form arrived incomplete; send it again."))?;
            if form.len() + piece.len() > PAGE_FORM_BYTES {
                let words = format!("The form has more than {PAGE_FORM_BYTES} bytes; select fewer accounts.");
                return Err(PageError::new(StatusCode::PAYLOAD_TOO_LARGE, words));
            }
            form.extend_from_slice(&piece);
        }
        Ok(form_urlencoded::parse(&form).into_owned().collect())
    };
    let late = || PageError::new(StatusCode::REQUEST_TIMEOUT, "The form did not arrive in time; send it again.");
    timeout(BODY_TIMEOUT, arrived).await.unwrap_or_else(|_| Err(late()))
}

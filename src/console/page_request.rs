//! One request of a browser: its requester, its form fields, and its calls to the API.

use std::str::FromStr;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::timeout;
use url::form_urlencoded;

use super::Console;
use crate::access::AuthContext;
use crate::api::{AccountSelection, ApiState, Call, Operation, Parameters, Problem};
use crate::domain::{Channel, Permission, Role};
use crate::http::{IncomingBody, RequestHead};
use crate::limits::{BODY_TIMEOUT, PAGE_FORM_BYTES};

/// Fields of a form or a query, in order.
pub(super) type FormFields = Vec<(String, String)>;

/// A request of an authenticated requester.
pub(super) struct ConsoleRequest {
    pub(super) console: Console,
    pub(super) auth: AuthContext,
    pub(super) head: Arc<RequestHead>,
    /// The fields of the submitted form.
    pub(super) form: FormFields,
}

impl ConsoleRequest {
    /// The first value of a query parameter; `None` if it is absent or empty.
    pub(super) fn query_value(&self, name: &str) -> Option<&str> {
        first_value(&self.head.query, name)
    }

    /// All values of a query parameter that may be repeated.
    pub(super) fn query_values(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.head.query.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
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

    /// The form's reason for an action; empty if it is absent.
    pub(super) fn reason(&self) -> String {
        self.form_value("reason").unwrap_or_default().to_owned()
    }

    /// Why the requester may not do this; `None` if they may.
    pub(super) fn permission_error(&self, need: Permission) -> Option<String> {
        self.auth.require(need).err().map(|denied| denied.to_string())
    }

    /// The path of the account list with the first prefix that the requester's key is bound to. `None` if the key may
    /// see all accounts.
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
        let RequestHead { origin, id, .. } = &*self.head;
        Call::new(self.api(), operation, selection, self.auth.clone(), id.id, origin.to_string())
    }
}

/// 404: there is no page under the path.
pub(super) fn no_such_page() -> Problem {
    Problem::not_found("There is no such page.")
}

/// 500: the page cannot be rendered. The log has the cause.
pub(super) fn page_failed(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "a page could not be rendered");
    Problem::new(500, "The page could not be rendered; the service's log has the reason.")
}

/// The first value of a field; `None` if it is absent or empty.
pub(super) fn first_value<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// Parses a segment of a path. A path with an invalid segment has no page.
pub(super) fn parse_segment<T: FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| no_such_page())
}

/// The webhook channel of a path.
pub(super) fn parse_channel(name: &str) -> Result<Channel, Problem> {
    Channel::ALL.into_iter().find(|channel| channel.short_name() == name).ok_or_else(no_such_page)
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
pub(super) async fn read_form(body: &mut IncomingBody) -> Result<FormFields, Problem> {
    let mut form = Vec::new();
    let arrived = async {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| Problem::malformed("The form arrived incomplete; send it again."))?;
            if form.len() + piece.len() > PAGE_FORM_BYTES {
                let message = format!("The form has more than {PAGE_FORM_BYTES} bytes; select fewer accounts.");
                return Err(Problem::new(413, message));
            }
            form.extend_from_slice(&piece);
        }
        Ok(form_urlencoded::parse(&form).into_owned().collect())
    };
    let late = || Problem::new(408, "The form did not arrive in time; send it again.");
    timeout(BODY_TIMEOUT, arrived).await.unwrap_or_else(|_| Err(late()))
}

//! The list of sessions that a gateway sends.
//!
//! Frozen: the names of fields and states. Operators run gateways that send them. New fields are optional.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::json_values::{
    BodySchema, BoundedList, BoundedText, BridgeBodyError, ObjectKey, ObjectReader, ObjectVisitor, ScalarValue, object,
    object_schema, read_body,
};
use super::reports::{BridgeEnum, EnumName};
use super::unchecked::Unchecked;
use crate::domain::{AccountNumber, Reason};
use crate::gateway::remote_gateway::{GatewaySession, GatewaySessionState};
use crate::limits::SESSIONS_PAGE_SIZE_MAX;

/// A page of the sessions that a gateway has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionPage {
    pub(super) sessions: Vec<GatewaySession>,
    pub(super) next: Option<AccountNumber>,
}

impl SessionPage {
    /// Reads the page in a body.
    pub(super) fn read(body: &[u8]) -> Result<SessionPage, BridgeBodyError> {
        let PageFields { sessions, next, .. } = read_body(body)?;
        let sessions = sessions.ok_or_else(|| BridgeBodyError::missing("sessions"))?;
        SessionPage::validate(sessions, next.map(|ScalarValue(next)| next), "")
    }

    /// Checks a page. In error texts `prefix` comes before the names of its fields.
    pub(super) fn validate(
        BoundedList(fields): SessionList<'_>,
        next: Option<AccountNumber>,
        prefix: &str,
    ) -> Result<SessionPage, BridgeBodyError> {
        let read_session = |(at, fields): (usize, SessionFields<'_>)| {
            let missing = |field: &str| BridgeBodyError::missing(&format!("{prefix}sessions[{at}].{field}"));
            let SessionFields { account, session, state, instance_code, reason, .. } = fields;
            let ScalarValue(account) = account.ok_or_else(|| missing("account"))?;
            let state = match state.ok_or_else(|| missing("state"))?.0 {
                // A session exists, but its state is not known here.
                EnumName::Known(SessionStateName::Connecting) | EnumName::Unknown(_) => GatewaySessionState::Connecting,
                EnumName::Known(SessionStateName::Connected) => GatewaySessionState::Connected,
                EnumName::Known(SessionStateName::Banned) => {
                    let reason = reason.map(Unchecked::check).transpose();
                    let reason = reason
                        .map_err(|words| BridgeBodyError::at(&format!("{prefix}sessions[{at}].reason"), words))?;
                    let reason = reason.map_or_else(Reason::none, Reason::new);
                    GatewaySessionState::Banned { reason }
                }
            };
            let instance_code = instance_code.map(|ScalarValue(code)| code.into_owned()).unwrap_or_default();
            Ok(GatewaySession { account, session: session.map(|ScalarValue(session)| session), state, instance_code })
        };
        let sessions = fields.into_iter().enumerate().map(read_session).collect::<Result<_, BridgeBodyError>>()?;
        Ok(SessionPage { sessions, next })
    }
}

/// The state of a session, as the protocol names it.
#[derive(Clone, Copy)]
enum SessionStateName {
    Connecting,
    Connected,
    Banned,
}

impl BridgeEnum for SessionStateName {
    const NAMES: &'static [(&'static str, SessionStateName)] = &[
        ("connecting", SessionStateName::Connecting),
        ("connected", SessionStateName::Connected),
        ("banned", SessionStateName::Banned),
    ];
}

/// The list of sessions.
pub(super) type SessionList<'a> = BoundedList<SessionFields<'a>, SESSIONS_PAGE_SIZE_MAX>;

object! {
    /// A page of sessions.
    PageFields<'a> {
        /// The sessions, sorted by account as text.
        "sessions" => sessions: SessionList<'a>,
        /// The last account of this page if there is another page.
        "next" => next: ScalarValue<AccountNumber>,
    }
}

object! {
    /// A session.
    SessionFields<'a> {
        /// The account.
        "account" => account: ScalarValue<AccountNumber>,
        /// The session number, if the gateway knows it.
        "session" => session: ScalarValue<u32>,
        /// The session's state. An unknown word counts as `connecting`.
        "state" => state: ScalarValue<EnumName<SessionStateName>>,
        /// The gateway's scan or pairing id, if there is one. Longer ids are cut.
        "instance_code" => instance_code: ScalarValue<BoundedText<'a>>,
        /// `banned`: the reason. Longer texts are cut.
        "reason" => reason: Unchecked<'a, BoundedText<'a>>,
    }
}

impl BodySchema for SessionFields<'_> {
    fn json_schema() -> Schema {
        SessionFields::object_schema(&["account", "state"])
    }

    fn reference() -> RefOr<Schema> {
        Ref::from_schema_name(SESSION_SCHEMA).into()
    }
}

/// The name of the OpenAPI schema of one session.
const SESSION_SCHEMA: &str = "GatewaySession";

/// The OpenAPI schema of a page of sessions.
pub(crate) struct SessionsSchema;

impl PartialSchema for SessionsSchema {
    fn schema() -> RefOr<Schema> {
        RefOr::T(PageFields::object_schema(&["sessions"]))
    }
}

impl ToSchema for SessionsSchema {
    fn name() -> Cow<'static, str> {
        "GatewaySessions".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((SESSION_SCHEMA.to_owned(), RefOr::T(SessionFields::json_schema())));
    }
}

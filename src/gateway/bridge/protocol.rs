//! The bridge protocol, version 1: work, acknowledgements and replies. JSON in UTF-8.
//!
//! `gateway_command` has the commands; `reports` and `sessions` have what a gateway sends about accounts and sessions.
//!
//! Frozen: the fields of version 1. Operators run gateways that were built against it. New fields are optional.

use std::borrow::Cow;
use std::io;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use zeroize::Zeroizing;

use super::gateway_command::GatewayCommand;
use super::json_values::{
    BodySchema, BoundedList, BoundedText, BridgeBodyError, ObjectKey, ObjectReader, ObjectVisitor, ScalarValue, object,
    object_schema, read_body,
};
use super::sessions::{SessionList, SessionPage, SessionsSchema};
use super::unchecked::Unchecked;
use crate::client::json_text;
use crate::domain::AccountNumber;
use crate::limits::WORK_ACKS;

/// Commands for a gateway that fetches them.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayWork)]
pub(crate) struct WorkBatch<'a> {
    /// The commands, in the order in which to start them.
    pub(super) work: Vec<WorkItem<'a>>,
}

/// A fetched command with its lease.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayWorkItem)]
pub(crate) struct WorkItem<'a> {
    /// The id for the acknowledgement.
    pub(super) lease: String,
    /// How often the command was handed out, counting from 1.
    pub(super) delivery: u32,
    /// The end of the lease. A command that is not acknowledged by then is handed out again.
    #[schema(format = DateTime)]
    pub(super) lease_until: String,
    /// The command.
    pub(super) command: &'a GatewayCommand<'a>,
}

/// The result of acknowledgements.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GatewayAcknowledged)]
pub(crate) struct AckResult {
    /// The number of accepted acknowledgements.
    pub(super) acknowledged: usize,
    /// Leases that have expired or never existed. Their commands are handed out again, or are finished.
    pub(super) unknown: Vec<String>,
}

/// A gateway's response to a command that it accepts.
#[derive(ToSchema)]
#[allow(dead_code)] // Only its schema is used: the HTTP status says enough.
#[schema(as = GatewayAccepted)]
pub(crate) struct AcceptedSchema {
    /// The gateway has stored the command, and will report its outcome.
    accepted: bool,
}

object! {
    /// The body of a rejection.
    RejectionFields<'a> {
        /// The reason, in one sentence. Longer texts are cut.
        "error" => error: ScalarValue<BoundedText<'a>>,
    }
}

/// Reads the `error` sentence in a gateway's refusal, if there is one.
pub(super) fn read_rejection(body: &[u8]) -> Option<String> {
    let ScalarValue(error) = read_body::<RejectionFields<'_>>(body).ok()?.error?;
    (!error.is_empty()).then(|| error.into_owned())
}

object! {
    /// The body of acknowledgements.
    AcksFields<'a> {
        /// The acknowledgements.
        "acks" => acks: BoundedList<AckFields<'a>, WORK_ACKS>,
    }
}

object! {
    /// One acknowledgement.
    AckFields<'a> {
        /// The lease of the command that was accepted, rejected or answered.
        "lease" => lease: ScalarValue<BoundedText<'a>>,
        /// Why the command is rejected for good. Longer texts are cut.
        "error" => error: ScalarValue<BoundedText<'a>>,
        /// The answer to `list_sessions`.
        "sessions" => sessions: SessionList<'a>,
        /// With `sessions`: the last account of this page if there is another page.
        "next" => next: Unchecked<'a, AccountNumber>,
    }
}

/// A gateway's acknowledgement of a command that it fetched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(super) lease: String,
    pub(super) outcome: AckOutcome,
}

/// The outcome that an acknowledgement states.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AckOutcome {
    /// The gateway has taken the command over.
    Accepted,
    /// The gateway rejects the command for good, for this reason.
    Rejected(String),
    /// The requested page of sessions.
    Sessions(SessionPage),
}

/// Reads the acknowledgements in a body.
pub(crate) fn read_acks(body: &[u8]) -> Result<Vec<Ack>, BridgeBodyError> {
    let body = json_text(body);
    let Some(BoundedList(acks)) = read_body::<AcksFields<'_>>(body.as_bytes())?.acks else {
        return Err(BridgeBodyError::missing("acks"));
    };
    let ack = |(at, fields): (usize, AckFields<'_>)| {
        let AckFields { lease, error, sessions, next, .. } = fields;
        let Some(ScalarValue(lease)) = lease else {
            return Err(BridgeBodyError::missing(&format!("acks[{at}].lease")));
        };
        let outcome = match (error, sessions) {
            (Some(_), Some(_)) => {
                return Err(BridgeBodyError::at(
                    &format!("acks[{at}]"),
                    "has both sessions and an error; send only one of them",
                ));
            }
            (Some(ScalarValue(error)), None) => AckOutcome::Rejected(error.into_owned()),
            (None, Some(sessions)) => {
                let next = next.map(Unchecked::check).transpose();
                let next = next.map_err(|words| BridgeBodyError::at(&format!("acks[{at}].next"), words))?;
                AckOutcome::Sessions(SessionPage::validate(sessions, next, &format!("acks[{at}]."))?)
            }
            (None, None) => AckOutcome::Accepted,
        };
        Ok(Ack { lease: lease.into_owned(), outcome })
    };
    acks.into_iter().enumerate().map(ack).collect()
}

/// `value` as JSON, zeroed on drop. The size is counted first, because a growing buffer leaves copies of secrets behind.
pub(super) fn to_json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut counter = ByteCounter(0);
    // Neither call fails: all keys are strings, and both writers are infallible.
    let _counted = serde_json::to_writer(&mut counter, value);
    let mut body = Zeroizing::new(Vec::with_capacity(counter.0));
    let _written = serde_json::to_writer(&mut *body, value);
    body
}

struct ByteCounter(usize);

impl io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The OpenAPI schema of a gateway's refusal.
pub(crate) struct RefusalSchema;

impl PartialSchema for RefusalSchema {
    fn schema() -> RefOr<Schema> {
        RefOr::T(RejectionFields::object_schema(&["error"]))
    }
}

impl ToSchema for RefusalSchema {
    fn name() -> Cow<'static, str> {
        "GatewayRefusal".into()
    }
}

/// The name of the OpenAPI schema of one acknowledgement.
const ACK_SCHEMA: &str = "GatewayAck";

/// The OpenAPI schema of acknowledgements.
pub(crate) struct AcksSchema;

impl PartialSchema for AcksSchema {
    fn schema() -> RefOr<Schema> {
        RefOr::T(AcksFields::object_schema(&["acks"]))
    }
}

impl ToSchema for AcksSchema {
    fn name() -> Cow<'static, str> {
        "GatewayAcks".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ACK_SCHEMA.to_owned(), RefOr::T(AckFields::json_schema())));
        SessionsSchema::schemas(schemas);
    }
}

impl BodySchema for AckFields<'_> {
    fn json_schema() -> Schema {
        AckFields::object_schema(&["lease"])
    }

    fn reference() -> RefOr<Schema> {
        Ref::from_schema_name(ACK_SCHEMA).into()
    }
}

//! The bridge protocol, version 1: commands, work, acknowledgements and replies. JSON in UTF-8.
//!
//! `reports` and `sessions` have what a gateway sends about accounts and sessions.

use std::borrow::Cow;
use std::io;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use zeroize::Zeroizing;

use super::json_values::{
    BodySchema, BoundedList, BoundedText, BridgeBodyError, ObjectKey, ObjectReader, ObjectVisitor, ScalarValue, object,
    object_schema, read_body,
};
use super::sessions::{SessionList, SessionPage};
use super::unchecked::Unchecked;
use crate::client::json_text;
use crate::domain::AccountNumber;
use crate::limits::WORK_ACKS;

/// A command to a gateway. Which fields it has depends on its type. It holds secrets, and has no `Debug`.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayCommand)]
pub(crate) struct GatewayCommand<'a> {
    /// The idempotency id: however often the command comes, it is carried out once.
    pub(super) id: &'a str,
    /// What is to be done.
    #[serde(rename = "type")]
    pub(super) kind: CommandType,
    /// The account; every command has it but `list_sessions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) account: Option<String>,
    /// After this the command must not be begun.
    #[schema(format = DateTime)]
    pub(super) deadline: String,
    /// `connect`: which session of the account it is. `disconnect`: likewise, or null for whichever is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub(super) session: Option<Option<u32>>,
    /// `connect`, `request_code`: the kind of account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) account_type: Option<AccountTypeName>,
    /// `connect`: the account's public key; may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) public_key: Option<&'a str>,
    /// `connect`: the public key for messages; may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) message_public_key: Option<&'a str>,
    /// `connect`: the account's private key; may be empty. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) private_key: Option<&'a str>,
    /// `connect`: the private key for messages; may be empty. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) message_private_key: Option<&'a str>,
    /// `connect`: device parameters, an opaque text; may be empty. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) device_params: Option<&'a str>,
    /// `connect`: the caller's own id of the account, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) account_id: Option<&'a str>,
    /// `connect`: id of the next pre-key, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next_key_id: Option<&'a str>,
    /// `connect`: registration id, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) registration_id: Option<&'a str>,
    /// `connect`: the name shown to customers, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) name: Option<&'a str>,
    /// `connect`: where the picture is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) avatar: Option<&'a str>,
    /// `request_code`, `submit_code`: which registration it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) task: Option<u32>,
    /// `request_code`: how the code is to reach the phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) method: Option<CodeMethodName>,
    /// `request_code`: the calling code, as in `+86`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) calling_code: Option<String>,
    /// `request_code`: the country, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) country: Option<&'a str>,
    /// `submit_code`: the how many-th code of the registration it is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) attempt: Option<u32>,
    /// `submit_code`: the code. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) code: Option<&'a str>,
    /// `list_sessions`: the last account of the page before; null for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) after: Option<Option<String>>,
    /// `list_sessions`: sessions on the page, most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) limit: Option<u32>,
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayCommandType)]
pub(crate) enum CommandType {
    /// Open a session.
    Connect,
    /// Close a session.
    Disconnect,
    /// Have a verification code sent.
    RequestCode,
    /// Try a verification code.
    SubmitCode,
    /// Tell which sessions there are.
    ListSessions,
}

/// The kind of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayAccountType)]
pub(crate) enum AccountTypeName {
    /// Of a person.
    Personal,
    /// Of a business.
    Business,
}

/// How a code reaches a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayCodeMethod)]
pub(crate) enum CodeMethodName {
    /// A text message.
    Sms,
    /// A spoken call.
    Voice,
    /// The caller's number is the code.
    MissedCall,
    /// Inside another WhatsApp client.
    Internal,
}

/// Commands that a gateway fetched.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayWork)]
pub(crate) struct WorkBatch<'a> {
    /// The commands, in the order in which they are to be begun.
    pub(super) work: Vec<WorkItem<'a>>,
}

/// A command that a gateway fetched, and until when it is its own.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayWorkItem)]
pub(crate) struct WorkItem<'a> {
    /// By which it is acknowledged.
    pub(super) lease: String,
    /// The how many-th time it is given out, from 1.
    pub(super) delivery: u32,
    /// If it is not acknowledged by then, it is given out again.
    #[schema(format = DateTime)]
    pub(super) lease_until: String,
    /// The command.
    pub(super) command: &'a GatewayCommand<'a>,
}

/// What became of acknowledgements.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GatewayAcknowledged)]
pub(crate) struct AckResult {
    /// How many were taken.
    pub(super) acknowledged: usize,
    /// Leases that have expired or never were: their commands are given out again, or are over.
    pub(super) unknown: Vec<String>,
}

/// How a gateway answers a command that it has taken over.
#[derive(ToSchema)]
#[allow(dead_code)] // It is only described: a status says all that is needed.
#[schema(as = GatewayAccepted)]
pub(crate) struct AcceptedSchema {
    /// The command is kept, and its outcome will be reported.
    accepted: bool,
}

object! {
    /// The body of a refusal.
    RejectionFields<'a> {
        /// Why, in one sentence. It is cut if it is longer.
        "error" => error: ScalarValue<BoundedText<'a>>,
    }
}

/// The `error` sentence in a gateway's refusal, if there is one.
pub(super) fn read_refusal(body: &[u8]) -> Option<String> {
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
        /// The lease of the command that was taken over, refused or answered.
        "lease" => lease: ScalarValue<BoundedText<'a>>,
        /// Why the command is refused for good. It is cut if it is longer.
        "error" => error: ScalarValue<BoundedText<'a>>,
        /// What answers `list_sessions`.
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

/// The acknowledgements in a body.
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
                return Err(BridgeBodyError::at(&format!("acks[{at}]"), "has sessions and an error; send one of them"));
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
}

impl BodySchema for AckFields<'_> {
    fn json_schema() -> Schema {
        AckFields::object_schema(&["lease"])
    }
}

//! Reports of a gateway about accounts, and the result that a batch is answered with.
//!
//! Frozen: the names of fields and types. Operators run gateways that send them. New fields are optional.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::json_values::{
    BodySchema, BoundedList, BoundedText, BridgeBodyError, ObjectKey, ObjectReader, ObjectVisitor, Scalar, ScalarValue,
    object, object_schema, read_body,
};
use super::unchecked::Unchecked;
use crate::audit::parse_time;
use crate::client::json_text;
use crate::domain::{AccountNumber, Reason, Report, TaskId, Timestamp};
use crate::gateway::ignored_report::IgnoreReason;
use crate::limits::{REPORT_BATCH_SIZE, STREAM_NAME_BYTES, UNKNOWN_WORD_BYTES};

/// A batch of reports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReportBatch {
    /// The name of the stream, which is new whenever the gateway has lost its memory.
    pub(super) stream: String,
    /// The reports; their sequences rise by one.
    pub(super) reports: Vec<ReceivedReport>,
}

/// A received report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReceivedReport {
    pub(super) sequence: u64,
    /// When the gateway made it.
    pub(super) made_at: Timestamp,
    pub(super) content: ReportContent,
}

/// The content of a received report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReportContent {
    /// A report of a type that this version knows.
    Known { account: AccountNumber, kind: ReportType, report: Report },
    /// A report of another type: the gateway may speak a later version of the protocol.
    Unknown {
        /// The account, if the report names one.
        account: Option<AccountNumber>,
        /// The type's name, as [`EnumName::Unknown`] keeps it.
        kind: String,
    },
}

/// The type of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportType {
    /// A session is open.
    Connected,
    /// A session is closed, or could not be opened.
    Disconnected,
    /// The account is banned.
    Banned,
    /// The ban is lifted.
    BanLifted,
    /// The code is on its way.
    CodeSent,
    /// The number is registered.
    Registered,
    /// A code was refused, or the registration is over.
    RegistrationFailed,
}

impl ReportType {
    /// Every type. Frozen: the order, because stored rows hold the index. New ones come last.
    pub(super) const ALL: [ReportType; 7] = [
        ReportType::Connected,
        ReportType::Disconnected,
        ReportType::Banned,
        ReportType::BanLifted,
        ReportType::CodeSent,
        ReportType::Registered,
        ReportType::RegistrationFailed,
    ];

    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            ReportType::Connected => "connected",
            ReportType::Disconnected => "disconnected",
            ReportType::Banned => "banned",
            ReportType::BanLifted => "ban_lifted",
            ReportType::CodeSent => "code_sent",
            ReportType::Registered => "registered",
            ReportType::RegistrationFailed => "registration_failed",
        }
    }
}

/// An enum that a gateway sends by name.
pub(super) trait BridgeEnum: Copy + 'static {
    /// Every value with its name.
    const NAMES: &'static [(&'static str, Self)];
}

impl<'de, W: BridgeEnum> Scalar<'de> for EnumName<W> {
    const EXPECTED: &'static str = "a word of lower-case letters and underscores";

    fn json_schema() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(W::NAMES.iter().map(|(word, _)| *word)))
    }

    fn from_text(text: Cow<'de, str>) -> Result<EnumName<W>, String> {
        let known = W::NAMES.iter().find(|(word, _)| *word == text);
        Ok(known.map_or_else(|| EnumName::Unknown(name_of(&text)), |(_, value)| EnumName::Known(*value)))
    }
}

/// The name of an enum value, as a gateway sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EnumName<W> {
    /// A name that this version knows.
    Known(W),
    /// Another name. It is replaced by `unknown` unless it looks like a name, because it may be a misplaced secret.
    Unknown(String),
}

fn name_of(word: &str) -> String {
    let is_name = (1..=UNKNOWN_WORD_BYTES).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_name { word.to_owned() } else { "unknown".to_owned() }
}

impl BridgeEnum for ReportType {
    const NAMES: &'static [(&'static str, ReportType)] = &[
        ("connected", ReportType::Connected),
        ("disconnected", ReportType::Disconnected),
        ("banned", ReportType::Banned),
        ("ban_lifted", ReportType::BanLifted),
        ("code_sent", ReportType::CodeSent),
        ("registered", ReportType::Registered),
        ("registration_failed", ReportType::RegistrationFailed),
    ];
}

object! {
    /// The body of a batch.
    BatchFields<'a> {
        /// The stream's name: 1 to 64 visible ASCII characters. A gateway that has lost its memory starts a new stream, with a
        /// random name, at 1.
        "stream" => stream: ScalarValue<BoundedText<'a>>,
        /// The reports, in order.
        "reports" => reports: BoundedList<ReportFields<'a>, REPORT_BATCH_SIZE>,
    }
}

object! {
    /// The fields of one report.
    ReportFields<'a> {
        /// The sequence number in the stream: from 1, rising by one.
        "sequence" => sequence: ScalarValue<u64>,
        /// The time of the report, RFC 3339.
        "time" => time: ScalarValue<BoundedText<'a>>,
        /// The account.
        "account" => account: Unchecked<'a, AccountNumber>,
        /// The report type. Reports of other types are ignored, whatever else they have. Fields that a type does not use may
        /// have any value.
        "type" => kind: ScalarValue<EnumName<ReportType>>,
        /// `connected`, `disconnected`: the session number; null or left out for the open session.
        "session" => session: Unchecked<'a, u32>,
        /// `connected`, `disconnected`, `banned`: the gateway's scan or pairing id, if there is one. Longer ids are cut.
        "instance_code" => instance_code: Unchecked<'a, BoundedText<'a>>,
        /// `disconnected`, `banned`, `registration_failed`: the reason; null or left out if there is none. `1001` is a failed
        /// pairing, `1002` a network failure. Longer texts are cut.
        "reason" => reason: Unchecked<'a, BoundedText<'a>>,
        /// `code_sent`, `registered`, `registration_failed`: the task id of the registration.
        "task" => task: Unchecked<'a, u32>,
        /// `registration_failed`: the number of the rejected code; another code may follow. Without it the registration has ended.
        "attempt" => attempt: Unchecked<'a, u32>,
    }
}

impl BodySchema for ReportFields<'_> {
    fn json_schema() -> Schema {
        ReportFields::object_schema(&["sequence", "time", "account", "type"])
    }

    fn reference() -> RefOr<Schema> {
        Ref::from_schema_name(REPORT_SCHEMA).into()
    }
}

/// Reads the batch in a body. A single malformed report rejects the whole batch.
pub(crate) fn read_batch(body: &[u8]) -> Result<ReportBatch, BridgeBodyError> {
    let body = json_text(body);
    let BatchFields { stream, reports, .. } = read_body(body.as_bytes())?;
    let Some(ScalarValue(stream)) = stream else { return Err(BridgeBodyError::missing("stream")) };
    let is_name = (1..=STREAM_NAME_BYTES).contains(&stream.len()) && stream.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_name {
        return Err(BridgeBodyError::at(
            "stream",
            format_args!("must be 1 to {STREAM_NAME_BYTES} visible ASCII characters"),
        ));
    }
    let Some(BoundedList(fields)) = reports else { return Err(BridgeBodyError::missing("reports")) };
    if fields.is_empty() {
        return Err(BridgeBodyError::at("reports", "is empty; send at least one report"));
    }
    let mut reports: Vec<ReceivedReport> = Vec::with_capacity(fields.len());
    for (at, fields) in fields.into_iter().enumerate() {
        let received = ReceivedReport::validate(fields).map_err(|(field, words)| match words {
            Some(words) => BridgeBodyError::at(&format!("reports[{at}].{field}"), words),
            None => BridgeBodyError::missing(&format!("reports[{at}].{field}")),
        })?;
        let expected = reports.last().map(|last| last.sequence.checked_add(1));
        if expected.is_some_and(|expected| expected != Some(received.sequence)) {
            let words = "must be the sequence of the previous report plus one";
            return Err(BridgeBodyError::at(&format!("reports[{at}].sequence"), words));
        }
        reports.push(received);
    }
    Ok(ReportBatch { stream: stream.into_owned(), reports })
}

/// A field at fault: its name, and what is wrong with it. `None` means that the field is missing.
type FieldFault = (&'static str, Option<Cow<'static, str>>);

/// The value of the field `name`, if it is there.
fn checked<'a, S: Scalar<'a>>(name: &'static str, field: Option<Unchecked<'a, S>>) -> Result<Option<S>, FieldFault> {
    field.map(Unchecked::check).transpose().map_err(|words| (name, Some(words.into())))
}

impl ReceivedReport {
    fn validate(fields: ReportFields<'_>) -> Result<ReceivedReport, FieldFault> {
        let ReportFields { sequence, time, account, kind, session, instance_code, reason, task, attempt, .. } = fields;
        let wrong = |field, words: &'static str| (field, Some(words.into()));
        let sequence = sequence.ok_or(("sequence", None))?.0;
        if sequence == 0 {
            return Err(wrong("sequence", "must be at least 1"));
        }
        let time = time.ok_or(("time", None))?.0;
        let at = parse_time(&time).ok_or_else(|| wrong("time", "must be RFC 3339, such as 2026-11-25T03:41:00Z"))?;
        let kind = match kind.ok_or(("type", None))?.0 {
            EnumName::Known(kind) => kind,
            EnumName::Unknown(kind) => {
                let account = account.and_then(|account| account.check().ok());
                return Ok(ReceivedReport { sequence, made_at: at, content: ReportContent::Unknown { account, kind } });
            }
        };
        let account = checked("account", account)?.ok_or(("account", None))?;
        let session = || checked("session", session);
        let instance_code =
            || checked("instance_code", instance_code).map(|code| code.unwrap_or_default().into_owned());
        let reason = || checked("reason", reason).map(|reason| reason.map_or_else(Reason::none, Reason::new));
        let task = || {
            let task = checked("task", task)?.ok_or(("task", None))?;
            TaskId::new(task).ok_or_else(|| wrong("task", "must be the task of a command, from 1 to 2147483647"))
        };
        let report = match kind {
            ReportType::Connected => Report::Connected { session: session()?, instance_code: instance_code()? },
            ReportType::Disconnected => {
                Report::Disconnected { session: session()?, reason: reason()?, instance_code: instance_code()? }
            }
            ReportType::Banned => Report::Banned { reason: reason()?, instance_code: instance_code()? },
            ReportType::BanLifted => Report::BanLifted,
            ReportType::CodeSent => Report::CodeSent { task: task()? },
            ReportType::Registered => Report::CodeAccepted { task: task()? },
            ReportType::RegistrationFailed => match checked("attempt", attempt)? {
                Some(attempt) => Report::CodeRefused { task: task()?, attempt, reason: reason()? },
                None => Report::RegistrationFailed { task: task()?, reason: reason()? },
            },
        };
        Ok(ReceivedReport { sequence, made_at: at, content: ReportContent::Known { account, kind, report } })
    }
}

/// The result of a batch.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GatewayReportsTaken)]
pub(crate) struct BatchResult {
    /// The stream.
    pub(super) stream: String,
    /// All reports up to this sequence are durable; the gateway may delete them.
    pub(super) acknowledged: u64,
    /// The number of reports that were recorded as events.
    pub(super) recorded: u64,
    /// The number of duplicates.
    pub(super) duplicates: u64,
    /// The reports that changed nothing.
    pub(super) ignored: Vec<IgnoredReport>,
}

/// A report that changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GatewayReportIgnored)]
pub(crate) struct IgnoredReport {
    /// The sequence of the report.
    pub(super) sequence: u64,
    /// The reason.
    pub(super) why: IgnoreReason,
}

/// The name of the OpenAPI schema of one report.
const REPORT_SCHEMA: &str = "GatewayReport";

/// The OpenAPI schema of a batch of reports.
pub(crate) struct ReportsSchema;

impl PartialSchema for ReportsSchema {
    fn schema() -> RefOr<Schema> {
        RefOr::T(BatchFields::object_schema(&["stream", "reports"]))
    }
}

impl ToSchema for ReportsSchema {
    fn name() -> Cow<'static, str> {
        "GatewayReports".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((REPORT_SCHEMA.to_owned(), RefOr::T(ReportFields::json_schema())));
    }
}

//! What a gateway says of accounts: reports, and what it is answered.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::values::{AnObject, Fault, Few, Fill, Key, Of, Scalar, Shape, Text, described, object, read};
use crate::audit::parse_time;
use crate::client::json_text;
use crate::domain::{AccountNumber, Reason, Report, TaskId, Timestamp};
use crate::limits::{REPORTS_BATCH, STREAM_NAME_BYTES, UNKNOWN_WORD_BYTES};

/// A batch of reports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Which life of a gateway's memory it is of.
    pub(super) stream: String,
    /// The reports; their sequences rise by one.
    pub(super) reports: Vec<Arrived>,
}

/// A report as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) sequence: u64,
    /// When the gateway made it.
    pub(super) at: Timestamp,
    pub(super) content: Content,
}

/// What an arrived report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A type that this version knows.
    Known { account: AccountNumber, kind: ReportType, report: Report },
    /// Another type: the gateway may speak a later version of the protocol.
    Unknown {
        /// The account, if the report names one.
        account: Option<AccountNumber>,
        /// The type's name, as [`Word::Unknown`] keeps it.
        kind: String,
    },
}

/// What a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportType {
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
    /// All of them.
    pub(super) const ALL: [ReportType; 7] = [
        ReportType::Connected,
        ReportType::Disconnected,
        ReportType::Banned,
        ReportType::BanLifted,
        ReportType::CodeSent,
        ReportType::Registered,
        ReportType::RegistrationFailed,
    ];

    /// Its word in the protocol.
    pub fn word(self) -> &'static str {
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

/// One of the words of a type, as a gateway sends it.
pub(super) trait Words: Copy + 'static {
    /// All of them.
    const WORDS: &'static [(&'static str, Self)];
}

impl<'de, W: Words> Scalar<'de> for Word<W> {
    const IS: &'static str = "a word of the protocol";

    fn shape() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(W::WORDS.iter().map(|(word, _)| *word)))
    }

    fn of_text(text: Cow<'de, str>) -> Result<Word<W>, String> {
        let known = W::WORDS.iter().find(|(word, _)| *word == text);
        Ok(known.map_or_else(|| Word::Unknown(name_of(&text)), |(_, value)| Word::Known(*value)))
    }
}

/// A word, as a gateway sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word<W> {
    /// One of this version's.
    Known(W),
    /// Another: its name, or `unknown` where it looks like no word. Something else may be in its place, even a secret.
    Unknown(String),
}

fn name_of(word: &str) -> String {
    let is_name = (1..=UNKNOWN_WORD_BYTES).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_name { word.to_owned() } else { "unknown".to_owned() }
}

impl Words for ReportType {
    const WORDS: &'static [(&'static str, ReportType)] = &[
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
        /// Names one life of the gateway's memory: 1 to 64 visible ASCII characters. A gateway that has lost its memory takes
        /// a new one, at random, and begins at 1.
        "stream" => stream: Of<Text<'a>>,
        /// The reports, in order.
        "reports" => reports: Few<ReportFields<'a>, REPORTS_BATCH>,
    }
}

object! {
    /// One report.
    ReportFields<'a> {
        /// Its place in the stream: from 1, each one more than the one before.
        "sequence" => sequence: Of<u64>,
        /// When it was made, RFC 3339.
        "time" => time: Of<Text<'a>>,
        /// The account.
        "account" => account: Of<AccountNumber>,
        /// What happened. A report of another type is ignored.
        "type" => kind: Of<Word<ReportType>>,
        /// `connected`, `disconnected`: which session it is; null or left out for whichever is open.
        "session" => session: Of<u32>,
        /// `connected`, `disconnected`, `banned`: the gateway's scan or pairing id, if there is one. It is cut if it is longer.
        "instance_code" => instance_code: Of<Text<'a>>,
        /// `disconnected`, `banned`, `registration_failed`: why. `1001` says that pairing failed, `1002` the network. It is cut if
        /// it is longer.
        "reason" => reason: Of<Text<'a>>,
        /// `code_sent`, `registered`, `registration_failed`: which registration it is.
        "task" => task: Of<u32>,
        /// `registration_failed`: which code was refused; another may be tried then. Without it the registration is over.
        "attempt" => attempt: Of<u32>,
    }
}

impl Shape for ReportFields<'_> {
    fn shape() -> Schema {
        ReportFields::described(&["sequence", "time", "account", "type"])
    }
}

/// The batch in a body, checked whole.
pub(crate) fn read_batch(body: &[u8]) -> Result<Batch, Fault> {
    let body = json_text(body);
    let BatchFields { stream, reports, .. } = read(body.as_bytes())?;
    let Some(Of(stream)) = stream else { return Err(Fault::missing("stream")) };
    let is_name = (1..=STREAM_NAME_BYTES).contains(&stream.len()) && stream.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_name {
        return Err(Fault::at("stream", format_args!("must be 1 to {STREAM_NAME_BYTES} visible ASCII characters")));
    }
    let Some(Few(fields)) = reports else { return Err(Fault::missing("reports")) };
    if fields.is_empty() {
        return Err(Fault::at("reports", "is empty; send at least one report"));
    }
    let mut reports: Vec<Arrived> = Vec::with_capacity(fields.len());
    for (at, fields) in fields.into_iter().enumerate() {
        let arrived = Arrived::checked(fields).map_err(|(field, words)| match words {
            Some(words) => Fault::at(&format!("reports[{at}].{field}"), words),
            None => Fault::missing(&format!("reports[{at}].{field}")),
        })?;
        let expected = reports.last().map(|last| last.sequence.checked_add(1));
        if expected.is_some_and(|expected| expected != Some(arrived.sequence)) {
            let words = "must be one more than that of the report before it";
            return Err(Fault::at(&format!("reports[{at}].sequence"), words));
        }
        reports.push(arrived);
    }
    Ok(Batch { stream: stream.into_owned(), reports })
}

/// A field at fault: its name, and what is wrong with it where it is there.
type Wrong = (&'static str, Option<&'static str>);

impl Arrived {
    fn checked(fields: ReportFields<'_>) -> Result<Arrived, Wrong> {
        let ReportFields { sequence, time, account, kind, session, instance_code, reason, task, attempt, .. } = fields;
        let sequence = sequence.ok_or(("sequence", None))?.0;
        if sequence == 0 {
            return Err(("sequence", Some("must be at least 1")));
        }
        let time = time.ok_or(("time", None))?.0;
        let at = parse_time(&time).ok_or(("time", Some("must be RFC 3339, as in 2026-11-25T03:41:00Z")))?;
        let account = account.map(|Of(account)| account);
        let kind = match kind.ok_or(("type", None))?.0 {
            Word::Known(kind) => kind,
            Word::Unknown(kind) => return Ok(Arrived { sequence, at, content: Content::Unknown { account, kind } }),
        };
        let account = account.ok_or(("account", None))?;
        let session = session.map(|Of(session)| session);
        let instance_code = || instance_code.map(|Of(code)| code.into_owned()).unwrap_or_default();
        let reason = || reason.map(|Of(reason)| Reason::new(reason)).ok_or(("reason", None));
        let task = || {
            let Of(task) = task.ok_or(("task", None))?;
            TaskId::new(task).ok_or(("task", Some("must be a task of a command, from 1 to 2147483647")))
        };
        let report = match kind {
            ReportType::Connected => Report::Connected { session, instance_code: instance_code() },
            ReportType::Disconnected => {
                Report::Disconnected { session, reason: reason()?, instance_code: instance_code() }
            }
            ReportType::Banned => Report::Banned { reason: reason()?, instance_code: instance_code() },
            ReportType::BanLifted => Report::BanLifted,
            ReportType::CodeSent => Report::CodeSent { task: task()? },
            ReportType::Registered => Report::CodeAccepted { task: task()? },
            ReportType::RegistrationFailed => match attempt {
                Some(Of(attempt)) => Report::CodeRefused { task: task()?, attempt, reason: reason()? },
                None => Report::RegistrationFailed { task: task()?, reason: reason()? },
            },
        };
        Ok(Arrived { sequence, at, content: Content::Known { account, kind, report } })
    }
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GatewayReportsTaken)]
pub(crate) struct Taken {
    /// The stream.
    pub(super) stream: String,
    /// Everything up to this sequence is durable, and may be forgotten.
    pub(super) acknowledged: u64,
    /// Reports that events came of.
    pub(super) recorded: u64,
    /// Reports that were there before.
    pub(super) duplicates: u64,
    /// Reports that changed nothing.
    pub(super) ignored: Vec<IgnoredReport>,
}

/// A report that changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GatewayReportIgnored)]
pub(crate) struct IgnoredReport {
    /// Which.
    pub(super) sequence: u64,
    /// Why.
    pub(super) why: Why,
}

/// Why a report changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayReportWhy)]
pub enum Why {
    /// Nothing ever happened to this number.
    UnknownAccount,
    /// The account is served by another gateway.
    OtherGateway,
    /// It is late, or it holds already.
    DoesNotFit,
    /// Its type is not of this version of the protocol.
    UnknownType,
}

impl Why {
    /// All of them.
    pub(super) const ALL: [Why; 4] = [Why::UnknownAccount, Why::OtherGateway, Why::DoesNotFit, Why::UnknownType];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Why::UnknownAccount => "unknown_account",
            Why::OtherGateway => "other_gateway",
            Why::DoesNotFit => "does_not_fit",
            Why::UnknownType => "unknown_type",
        }
    }
}

/// Describes a batch as it is read.
pub(crate) struct GatewayReports;

impl PartialSchema for GatewayReports {
    fn schema() -> RefOr<Schema> {
        RefOr::T(BatchFields::described(&["stream", "reports"]))
    }
}

impl ToSchema for GatewayReports {
    fn name() -> Cow<'static, str> {
        "GatewayReports".into()
    }
}

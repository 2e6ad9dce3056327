//! An account's state after some of its events, with the events that caused it. Pure.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::cloud_event;
use super::content_view::ContentView;
use super::labels_view::LabelsView;
use super::rfc3339::format_rfc3339;
use super::status_codes::{OnlineStatusCode, StatusCode};
use crate::domain::{Account, AccountNumber, Event, EventId, GatewayKind, Generation, Registration};
use crate::journal::{self, JournalRecord};

/// An account, with the events that caused its state. It serializes as an [`AccountStateView`].
pub struct AccountWithCauses {
    number: AccountNumber,
    account: Account,
    /// The id of its last event.
    id: EventId,
    updated: String,
    instance_code: String,
    /// The last event that changed the status or the online status.
    status_cause: Option<CausingEvent>,
    /// The last event that requested a change.
    last_request: Option<CausingEvent>,
    /// The last event that changed the labels.
    labels_cause: Option<CausingEvent>,
}

// Frozen: the names and the order of the fields, because scripts and auditors read and compare them. New ones come
// last.
/// The state of an account; the fields keep this order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountState)]
pub struct AccountStateView<'a> {
    /// The account number.
    pub(crate) whats_app: String,
    /// The version: the number of events in the account's history.
    pub(crate) version: u64,
    /// The id of its last event: its position in the journal.
    pub(crate) position: String,
    /// The time of its last event.
    #[schema(format = DateTime)]
    pub(crate) updated: &'a str,
    /// 1 normal, 2 banned.
    #[schema(value_type = StatusCode)]
    pub(crate) status: u8,
    /// 1 online-coming, 2 online, 3 offline-coming, 4 offline.
    #[schema(value_type = OnlineStatusCode)]
    pub(crate) online_status: u8,
    /// Why it is offline or banned: `1001`, `1002`, or the gateway's own text; empty if there is no reason.
    pub(crate) reason: &'a str,
    /// The gateway's scan or pairing id of the last session; empty if there is none.
    pub(crate) instance_code: &'a str,
    /// The name of the gateway that serves it.
    #[schema(schema_with = gateway_schema)]
    pub(crate) gateway: &'static str,
    /// The calls that registered or deregistered it in the 72 hours before the last one. The provider's limit is ten.
    register_calls: usize,
    /// The event that set the current `status` and `onlineStatus`; null if there is none.
    #[schema(required)]
    #[serde(rename = "since")]
    status_cause: Option<&'a CausingEvent>,
    /// The last event that a caller or an operator requested; null if there is none.
    #[schema(required)]
    #[serde(rename = "asked")]
    last_request: Option<&'a CausingEvent>,
    /// The registration that waits for a code; null if there is none.
    #[schema(required)]
    pub(crate) registration: Option<RegistrationView<'a>>,
    /// The imported content; null if there is none.
    #[schema(required)]
    pub(crate) content: Option<ContentView<'a>>,
    pub(crate) labels: LabelsView,
    /// The event that set the current `labels`; null if there is none.
    #[schema(required)]
    #[serde(rename = "labelsSince")]
    labels_cause: Option<&'a CausingEvent>,
}

/// A gateway's name.
fn gateway_schema() -> Object {
    let names = GatewayKind::ALL.map(GatewayKind::name).join("|");
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The name of the gateway that serves it."))
        .pattern(Some(format!("^({names})$")))
        .build()
}

/// A registration that waits for a code, without the codes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WaitingRegistration)]
pub(crate) struct RegistrationView<'a> {
    /// The task id that the caller received.
    task: u32,
    /// 0 sms, 1 voice, 2 missed call, 3 internal verification.
    verify_type: u8,
    /// 1 personal, 2 business.
    account_type: u8,
    /// The calling code, such as `+86`.
    area_code: String,
    /// ISO 3166-1 alpha-2.
    country_code: &'a str,
    /// The deadline for a code, by the clock at the request. The registration ends by elapsed time, even if the clock
    /// is changed.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Whether a code is on its way to the phone.
    code_sent: bool,
    /// The number of rejected codes.
    attempts: u32,
}

/// The event that caused something.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Cause)]
struct CausingEvent {
    /// The time.
    #[schema(format = DateTime)]
    time: String,
    /// The version of the account after this event.
    version: u64,
    /// The id of the event: its position in the journal.
    id: String,
    /// The event type, such as `muster.account.came_online.v1`.
    #[serde(rename = "type")]
    kind: String,
    /// The requester.
    origin: String,
    /// The request id; left out if there was no request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    requestid: Option<String>,
    /// The name of the API key in `origin`; left out without a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keyname: Option<String>,
}

/// A field that differs between two versions of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldChange)]
pub struct FieldChange {
    /// The field's name in the account's state; nested names are joined with dots.
    pub(crate) field: String,
    /// The value in the first version.
    #[schema(required)]
    pub(crate) from: Value,
    /// The value in the second version.
    #[schema(required)]
    pub(crate) to: Value,
}

impl AccountWithCauses {
    /// An account without events.
    pub(super) fn new(number: AccountNumber) -> AccountWithCauses {
        let (updated, instance_code) = (String::new(), String::new());
        AccountWithCauses {
            number,
            account: Account::initial(),
            id: EventId { generation: Generation::FIRST, position: 0 },
            updated,
            instance_code,
            status_cause: None,
            last_request: None,
            labels_cause: None,
        }
    }

    /// Applies the account's next event. `id` is its id, and `key_name` is the name of the API key in its origin.
    pub(super) fn apply(
        &mut self,
        record: &JournalRecord,
        id: EventId,
        key_name: Option<&str>,
    ) -> Result<(), journal::Error> {
        let event = journal::require_account_event(record)?;
        self.account.evolve(event);
        self.id = id;
        self.updated = format_rfc3339(record.at);
        let cause = || CausingEvent::from_record(record, id, key_name);
        if event.definition().resulting_status.is_some() {
            self.status_cause = Some(cause());
        }
        if event.definition().is_request {
            self.last_request = Some(cause());
        }
        if matches!(event, Event::LabelsChanged { .. }) {
            self.labels_cause = Some(cause());
        }
        if let Some(instance_code) = event.instance_code() {
            instance_code.clone_into(&mut self.instance_code);
        }
        Ok(())
    }

    /// The state as the API shows it.
    pub fn view(&self) -> AccountStateView<'_> {
        let Account {
            version,
            content,
            status,
            online_status,
            reason,
            registration,
            gateway,
            register_calls,
            labels,
            ..
        } = &self.account;
        AccountStateView {
            whats_app: self.number.to_string(),
            version: *version,
            position: self.id.to_string(),
            updated: &self.updated,
            status: status.code(),
            online_status: online_status.code(),
            reason: reason.as_str(),
            instance_code: &self.instance_code,
            gateway: gateway.name(),
            register_calls: register_calls.len(),
            status_cause: self.status_cause.as_ref(),
            last_request: self.last_request.as_ref(),
            registration: registration.as_ref().map(RegistrationView::from_registration),
            content: content.as_deref().map(ContentView),
            labels: LabelsView(labels.clone()),
            labels_cause: self.labels_cause.as_ref(),
        }
    }
}

impl Serialize for AccountWithCauses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.view().serialize(serializer)
    }
}

impl<'a> RegistrationView<'a> {
    fn from_registration(registration: &'a Registration) -> RegistrationView<'a> {
        RegistrationView {
            task: registration.task.get(),
            verify_type: registration.verify_type.code(),
            account_type: registration.account_type.code(),
            area_code: format!("+{}", registration.calling_code),
            country_code: &registration.country,
            expires_at: format_rfc3339(registration.expires_at),
            code_sent: registration.code_sent,
            attempts: registration.attempts,
        }
    }
}

impl CausingEvent {
    fn from_record(record: &JournalRecord, id: EventId, keyname: Option<&str>) -> CausingEvent {
        CausingEvent {
            time: format_rfc3339(record.at),
            version: record.version,
            id: id.to_string(),
            kind: cloud_event::cloud_event_type(record),
            origin: cloud_event::origin(record.origin),
            requestid: cloud_event::request_id(record.origin),
            keyname: keyname.map(str::to_owned),
        }
    }
}

/// Fields that every event changes. A diff ignores them, because they say nothing about the account's state.
const IGNORED_FIELDS: [&str; 6] = ["version", "position", "updated", "since", "asked", "labelsSince"];

/// The fields that differ between two views, with both values. Names of nested fields are joined with dots.
pub(super) fn diff_views(from: &Value, to: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    diff_values("", from, to, &mut found);
    found
}

fn diff_values(path: &str, from: &Value, to: &Value, found: &mut Vec<FieldChange>) {
    // If one side lacks a nested object, all of its fields differ.
    let is_part = |value: &Value| value.is_object() || value.is_null();
    let names: BTreeSet<&String> = [from, to].into_iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
    if from == to {
        return;
    }
    if names.is_empty() || !is_part(from) || !is_part(to) {
        found.push(FieldChange { field: path.to_owned(), from: from.clone(), to: to.clone() });
        return;
    }
    for name in names.into_iter().filter(|name| !path.is_empty() || !IGNORED_FIELDS.contains(&name.as_str())) {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        diff_values(&below, &from[name], &to[name], found);
    }
}

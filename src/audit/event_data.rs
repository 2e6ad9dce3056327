//! The `data` of an event's CloudEvent.
//!
//! Frozen: what is shown of a stored event. Bundles and exports hold it, and auditors compare it. A field of a
//! later schema version is therefore an `Option` that stays away from the events of earlier versions.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::account_event_data::{
    CameOnlineData, CodeSubmittedData, GatewayAssignedData, LabelsChangedData, PinKeptData, ProviderCalledData,
    ReasonData, RegistrationFailedData, RegistrationRequestedData, RegistrationResyncedData, SessionEndedData,
    SessionNumbersAdvancedData, StatusResyncedData, UnknownEventData,
};
use super::administrative_event_data::{
    AccountBundleExportedData, AccountsOrderedData, ApiKeyEventData, BackupData, EventsExportedData,
    GenerationBegunData, MasterKeyRotatedData, ProjectionRebuiltData, ReconciliationOrderedData, WebhookEventData,
};
use super::content_view::{ContentOrderView, ContentView};
use super::encode_hex;
use super::labels_view::LabelsView;
use super::rfc3339::format_rfc3339;
use crate::domain::{
    AccountEventType, AdministrativeEvent, AdministrativeEventType, AuditLogEntry, Event, EventId, EventType, Reason,
};
use crate::journal::{JournalEvent, JournalRecord};

/// The data of an event. Secrets appear as fingerprints only.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum EventData<'a> {
    Reason(ReasonData<'a>),
    Content(ContentOrderView<'a>),
    CameOnline(CameOnlineData<'a>),
    SessionEnded(SessionEndedData<'a>),
    RegistrationRequested(RegistrationRequestedData<'a>),
    CodeSubmitted(CodeSubmittedData<'a>),
    RegistrationFailed(RegistrationFailedData<'a>),
    GatewayAssigned(GatewayAssignedData),
    PinKept(PinKeptData),
    ProviderCalled(ProviderCalledData),
    LabelsChanged(LabelsChangedData<'a>),
    StatusResynced(StatusResyncedData<'a>),
    RegistrationResynced(RegistrationResyncedData),
    SessionNumbersAdvanced(SessionNumbersAdvancedData),
    ProjectionRebuilt(ProjectionRebuiltData<'a>),
    Backup(BackupData<'a>),
    MasterKeyRotated(MasterKeyRotatedData<'a>),
    AccountsOrdered(AccountsOrderedData<'a>),
    ReconciliationOrdered(ReconciliationOrderedData<'a>),
    EventsExported(EventsExportedData<'a>),
    AccountBundleExported(AccountBundleExportedData<'a>),
    GenerationBegun(GenerationBegunData<'a>),
    Webhook(WebhookEventData<'a>),
    ApiKey(ApiKeyEventData<'a>),
    Unknown(UnknownEventData),
}

impl<'a> EventData<'a> {
    /// The data of a record's event, in the schema version of the record.
    pub(super) fn of(record: &'a JournalRecord) -> EventData<'a> {
        match &record.event {
            JournalEvent::Account(event) => EventData::from_account_event(event, record.schema),
            JournalEvent::Administration(AuditLogEntry { event, source }) => {
                EventData::from_administrative_event(event, source)
            }
            JournalEvent::Unknown(unknown) => EventData::Unknown(UnknownEventData {
                event_type: unknown.event_type,
                schema: unknown.schema,
                payload: encode_hex(&unknown.payload),
            }),
        }
    }

    fn from_account_event(event: &'a Event, schema: u16) -> EventData<'a> {
        let since_schema_2 = |reason: &'a Reason| (schema >= 2).then_some(reason.as_str());
        match event {
            Event::AccountImported { content, reason } | Event::ContentReplaced { content, reason } => {
                EventData::Content(ContentOrderView { content: ContentView(content), reason: since_schema_2(reason) })
            }
            Event::OnlineRequested { reason } | Event::RecycleRequested { reason } => {
                EventData::Reason(ReasonData { reason: since_schema_2(reason) })
            }
            Event::CameOnline { instance_code } => EventData::CameOnline(CameOnlineData { instance_code }),
            Event::WentOffline { reason, instance_code } | Event::Banned { reason, instance_code } => {
                EventData::SessionEnded(SessionEndedData { reason: reason.as_str(), instance_code })
            }
            Event::RegistrationRequested {
                task,
                verify_type,
                account_type,
                calling_code,
                country,
                expires_at,
                lifetime: _,
                reason,
            } => EventData::RegistrationRequested(RegistrationRequestedData {
                task: task.get(),
                verify_type: verify_type.code(),
                account_type: account_type.code(),
                area_code: format!("+{calling_code}"),
                country_code: country,
                expires_at: format_rfc3339(*expires_at),
                reason: since_schema_2(reason),
            }),
            Event::CodeSubmitted { code, reason } => EventData::CodeSubmitted(CodeSubmittedData {
                code_fingerprint: super::fingerprint_sealed(code),
                reason: since_schema_2(reason),
            }),
            Event::RegistrationFailed { reason, attempt, still_waiting } => {
                let (reason, attempt, still_waiting) = (reason.as_str(), *attempt, *still_waiting);
                EventData::RegistrationFailed(RegistrationFailedData { reason, attempt, still_waiting })
            }
            Event::SecretsErased { reason } => EventData::Reason(ReasonData { reason: Some(reason.as_str()) }),
            Event::GatewayAssigned { gateway } => {
                EventData::GatewayAssigned(GatewayAssignedData { gateway: gateway.name() })
            }
            Event::PinKept { pin } => {
                EventData::PinKept(PinKeptData { pin_fingerprint: super::fingerprint_sealed(pin) })
            }
            Event::ProviderCalled { call, at } => {
                EventData::ProviderCalled(ProviderCalledData { call: call.name(), at: format_rfc3339(*at) })
            }
            Event::LabelsChanged { labels, reason } => EventData::LabelsChanged(LabelsChangedData {
                labels: LabelsView(labels.clone()),
                reason: reason.as_str(),
            }),
            Event::StatusResynced { status, online_status, reason, instance_code } => {
                let (status, online_status, reason) = (status.code(), online_status.code(), reason.as_str());
                EventData::StatusResynced(StatusResyncedData { status, online_status, reason, instance_code })
            }
            Event::RegistrationResynced { result } => EventData::RegistrationResynced(RegistrationResyncedData {
                successful: result.successful,
                still_waiting: result.still_waiting,
            }),
            Event::SessionNumbersAdvanced { last } => {
                EventData::SessionNumbersAdvanced(SessionNumbersAdvancedData { last: *last })
            }
            Event::BanLifted | Event::CodeSent | Event::Registered => EventData::Reason(ReasonData { reason: None }),
        }
    }

    /// The data of an administrative event.
    fn from_administrative_event(event: &'a AdministrativeEvent, from: &'a str) -> EventData<'a> {
        match event {
            AdministrativeEvent::ProjectionRebuilt { projection, differences } => {
                EventData::ProjectionRebuilt(ProjectionRebuiltData { projection, differences: *differences, from })
            }
            AdministrativeEvent::BackupTaken { position, master_key }
            | AdministrativeEvent::Restored { position, master_key } => {
                EventData::Backup(BackupData { position: position.to_string(), from, master_key: *master_key })
            }
            AdministrativeEvent::WebhookUrlSet { channel, .. }
            | AdministrativeEvent::WebhookSecretSet { channel, .. }
            | AdministrativeEvent::WebhookPaused { channel, .. }
            | AdministrativeEvent::WebhookResumed { channel }
            | AdministrativeEvent::WebhookRedelivered { channel, .. }
            | AdministrativeEvent::WebhookLettersDropped { channel, .. }
            | AdministrativeEvent::WebhookClosed { channel, .. }
            | AdministrativeEvent::WebhookResynced { channel, .. } => {
                EventData::Webhook(WebhookEventData::of_event(event, *channel, from))
            }
            AdministrativeEvent::ApiKeyCreated(grant) => EventData::ApiKey(ApiKeyEventData::of_grant(grant, from)),
            AdministrativeEvent::MasterKeyRotated { rewrapped, master_key }
            | AdministrativeEvent::MasterKeyRotationAborted { rewrapped, master_key }
            | AdministrativeEvent::MasterKeyRotationFinished { rewrapped, master_key } => {
                let (rewrapped, master_key) = (*rewrapped, *master_key);
                EventData::MasterKeyRotated(MasterKeyRotatedData { rewrapped, from, master_key })
            }
            AdministrativeEvent::AccountsOrdered { order, accounts, reason } => {
                let (order, accounts) = (order.name(), *accounts);
                EventData::AccountsOrdered(AccountsOrderedData { order, accounts, reason, from })
            }
            AdministrativeEvent::ReconciliationOrdered { gateway, reason } => {
                EventData::ReconciliationOrdered(ReconciliationOrderedData { gateway: gateway.name(), reason, from })
            }
            AdministrativeEvent::EventsExported { format, filter, first, last } => {
                let (first, last) = (first.to_string(), last.to_string());
                EventData::EventsExported(EventsExportedData { format, filter, first, last, from })
            }
            AdministrativeEvent::AccountBundleExported { account } => {
                EventData::AccountBundleExported(AccountBundleExportedData { account: account.to_string(), from })
            }
            AdministrativeEvent::GenerationBegun { generation, previous, fork, root, master_key, reason } => {
                // The backup has the event that began its generation, so the fork is in that generation.
                let fork = EventId { generation: *previous, position: *fork }.to_string();
                let (generation, previous, master_key) = (generation.number(), previous.number(), *master_key);
                let root = STANDARD.encode(root);
                EventData::GenerationBegun(GenerationBegunData {
                    generation,
                    previous,
                    fork,
                    root,
                    reason,
                    from,
                    master_key,
                })
            }
            AdministrativeEvent::ApiKeyRevoked { id } => {
                EventData::ApiKey(ApiKeyEventData { key: *id, from, ..ApiKeyEventData::default() })
            }
        }
    }
}

impl PartialSchema for EventData<'_> {
    fn schema() -> RefOr<Schema> {
        // Any type: with `object`, generators could not give an event's class its own class of data.
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some(
                "An object that says what happened, as the event's `type` describes it. If this program does not know \
                 the type, it has the numbers `eventType` and `schema`, and the `payload` in hex.",
            ))
            .into()
    }
}

impl ToSchema for EventData<'_> {
    fn name() -> Cow<'static, str> {
        "EventData".into()
    }
}

/// A schema with its name.
type NamedSchema = (String, RefOr<Schema>);

/// The schema of the `data` of an event type's events, and those that it refers to. None if they have no data.
pub fn event_data_schemas(event_type: EventType) -> Vec<NamedSchema> {
    match event_type {
        EventType::Account(event_type) => account_data_schemas(event_type),
        EventType::Administration(event_type) => administrative_data_schemas(event_type),
    }
}

fn account_data_schemas(event_type: AccountEventType) -> Vec<NamedSchema> {
    match event_type {
        AccountEventType::AccountImported | AccountEventType::ContentReplaced => schemas_of::<ContentOrderView<'_>>(),
        AccountEventType::OnlineRequested | AccountEventType::RecycleRequested | AccountEventType::SecretsErased => {
            schemas_of::<ReasonData<'_>>()
        }
        AccountEventType::CameOnline => schemas_of::<CameOnlineData<'_>>(),
        AccountEventType::WentOffline | AccountEventType::Banned => schemas_of::<SessionEndedData<'_>>(),
        AccountEventType::BanLifted | AccountEventType::CodeSent | AccountEventType::Registered => Vec::new(),
        AccountEventType::RegistrationRequested => schemas_of::<RegistrationRequestedData<'_>>(),
        AccountEventType::CodeSubmitted => schemas_of::<CodeSubmittedData<'_>>(),
        AccountEventType::RegistrationFailed => schemas_of::<RegistrationFailedData<'_>>(),
        AccountEventType::GatewayAssigned => schemas_of::<GatewayAssignedData>(),
        AccountEventType::PinKept => schemas_of::<PinKeptData>(),
        AccountEventType::ProviderCalled => schemas_of::<ProviderCalledData>(),
        AccountEventType::LabelsChanged => schemas_of::<LabelsChangedData<'_>>(),
        AccountEventType::StatusResynced => schemas_of::<StatusResyncedData<'_>>(),
        AccountEventType::RegistrationResynced => schemas_of::<RegistrationResyncedData>(),
        AccountEventType::SessionNumbersAdvanced => schemas_of::<SessionNumbersAdvancedData>(),
    }
}

fn administrative_data_schemas(event_type: AdministrativeEventType) -> Vec<NamedSchema> {
    match event_type {
        AdministrativeEventType::ProjectionRebuilt => schemas_of::<ProjectionRebuiltData<'_>>(),
        AdministrativeEventType::BackupTaken | AdministrativeEventType::Restored => schemas_of::<BackupData<'_>>(),
        AdministrativeEventType::WebhookUrlSet
        | AdministrativeEventType::WebhookSecretSet
        | AdministrativeEventType::WebhookPaused
        | AdministrativeEventType::WebhookResumed
        | AdministrativeEventType::WebhookRedelivered
        | AdministrativeEventType::WebhookLettersDropped
        | AdministrativeEventType::WebhookClosed
        | AdministrativeEventType::WebhookResynced => schemas_of::<WebhookEventData<'_>>(),
        AdministrativeEventType::ApiKeyCreated
        | AdministrativeEventType::TenantKeyCreated
        | AdministrativeEventType::ApiKeyRevoked => schemas_of::<ApiKeyEventData<'_>>(),
        AdministrativeEventType::MasterKeyRotated
        | AdministrativeEventType::MasterKeyRotationAborted
        | AdministrativeEventType::MasterKeyRotationFinished => schemas_of::<MasterKeyRotatedData<'_>>(),
        AdministrativeEventType::AccountsOrdered => schemas_of::<AccountsOrderedData<'_>>(),
        AdministrativeEventType::ReconciliationOrdered => schemas_of::<ReconciliationOrderedData<'_>>(),
        AdministrativeEventType::EventsExported => schemas_of::<EventsExportedData<'_>>(),
        AdministrativeEventType::AccountBundleExported => schemas_of::<AccountBundleExportedData<'_>>(),
        AdministrativeEventType::GenerationBegun => schemas_of::<GenerationBegunData<'_>>(),
    }
}

/// The schema of `T`, then those that it refers to.
fn schemas_of<T: ToSchema>() -> Vec<NamedSchema> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

//! The `data` of accounts' events, except for their content.

use serde::Serialize;
use utoipa::ToSchema;

use super::labels_view::LabelsView;
use super::status_codes::{OnlineStatusCode, StatusCode};

// Frozen: the names of fields and their order. Auditors compare exports of the same event, and clients parse them.

/// Data of `online_requested`, `recycle_requested` and `secrets_erased`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReasonData<'a> {
    /// The requester's reason; empty if there is none. In orders since schema version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) reason: Option<&'a str>,
}

/// Data of `came_online`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CameOnlineData<'a> {
    /// The gateway's scan or pairing id; empty if there is none.
    pub(super) instance_code: &'a str,
}

/// Data of `went_offline` and `banned`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionEndedData<'a> {
    /// The reason: `1001`, `1002`, or the gateway's own text; empty if there is none.
    pub(super) reason: &'a str,
    /// As in `came_online`.
    pub(super) instance_code: &'a str,
}

/// Data of `registration_requested`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationRequestedData<'a> {
    /// The task id that the caller received.
    pub(super) task: u32,
    /// 0 sms, 1 voice, 2 missed call, 3 internal verification.
    pub(super) verify_type: u8,
    /// 1 personal, 2 business.
    pub(super) account_type: u8,
    /// The calling code, such as `+86`.
    pub(super) area_code: String,
    /// ISO 3166-1 alpha-2.
    pub(super) country_code: &'a str,
    /// The deadline for a code, by the clock at the request. The registration ends by elapsed time, even if the
    /// clock is changed.
    #[schema(format = DateTime)]
    pub(super) expires_at: String,
    /// The reason of the order; empty if there is none. Since schema version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) reason: Option<&'a str>,
}

/// Data of `code_submitted`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CodeSubmittedData<'a> {
    /// SHA-256 of the sealed code, in hex.
    pub(super) code_fingerprint: String,
    /// The reason of the order; empty if there is none. Since schema version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) reason: Option<&'a str>,
}

/// Data of `registration_failed`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationFailedData<'a> {
    /// The reason.
    pub(super) reason: &'a str,
    /// The number of the rejected code in this registration, from 1; 0 if no code was rejected.
    pub(super) attempt: u32,
    /// Whether the registration waits for another code.
    pub(super) still_waiting: bool,
}

/// Data of `gateway_assigned`.
#[derive(Serialize, ToSchema)]
pub(crate) struct GatewayAssignedData {
    /// The gateway's name, as in an account's `gateway`.
    pub(super) gateway: &'static str,
}

/// Data of `pin_kept`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PinKeptData {
    /// SHA-256 of the sealed PIN, in hex.
    pub(super) pin_fingerprint: String,
}

/// Data of `provider_called`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProviderCalledData {
    /// `request_code`, `register` or `deregister`.
    pub(super) call: &'static str,
    /// The time for which the call was planned.
    #[schema(format = DateTime)]
    pub(super) at: String,
}

/// Data of `labels_changed`.
#[derive(Serialize, ToSchema)]
pub(crate) struct LabelsChangedData<'a> {
    /// All labels of the account after the change: names and values.
    pub(super) labels: LabelsView,
    /// The requester's reason; empty if there is none.
    pub(super) reason: &'a str,
}

/// Data of `status_resynced`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusResyncedData<'a> {
    /// 1 normal, 2 banned.
    #[schema(value_type = StatusCode)]
    pub(super) status: u8,
    /// 1 online-coming, 2 online, 3 offline-coming, 4 offline.
    #[schema(value_type = OnlineStatusCode)]
    pub(super) online_status: u8,
    /// The reason of the last status change; empty if there is none.
    pub(super) reason: &'a str,
    /// The gateway's scan or pairing id in the last status change; empty if there is none.
    pub(super) instance_code: &'a str,
}

/// Data of `registration_resynced`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationResyncedData {
    /// Whether the number is registered.
    pub(super) successful: bool,
    /// Whether the registration waits for another code.
    pub(super) still_waiting: bool,
}

/// Data of `session_numbers_advanced`.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionNumbersAdvancedData {
    /// The last session number that is left out. The account's next session has the one after it.
    pub(super) last: u32,
}

/// Data of an event that a newer program wrote.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnknownEventData {
    /// The number of the event type.
    pub(super) event_type: u16,
    /// The number of the schema.
    pub(super) schema: u16,
    /// The payload, in hex.
    pub(super) payload: String,
}

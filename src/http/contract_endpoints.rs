//! Endpoints of the contract: path, methods, permission, and type of `data`.

use serde::Serialize;
use warp::http::Method;

use crate::domain::Permission;

/// An endpoint of the contract, or of health and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContractEndpoint {
    /// `POST /group-dispatch-api/whatsapp/batchInsert`
    BatchInsert,
    /// `GET /group-dispatch-api/whatsapp/queryWhatsAppStatus`
    QueryWhatsAppStatus,
    /// `POST /group-dispatch-api/whatsapp/batchOnline`
    BatchOnline,
    /// `POST /group-dispatch-api/whatsapp/batchRecycle`
    BatchRecycle,
    /// `POST /group-dispatch-api/register/submitPhone`
    SubmitPhone,
    /// `POST /group-dispatch-api/register/submitVerifyCode`
    SubmitVerifyCode,
    /// `GET /healthz`: the process runs.
    Health,
    /// `GET /readyz`: the service accepts requests.
    Ready,
    /// `GET /metrics`
    Metrics,
    /// Any other path.
    Unknown,
}

/// The empty `data` of a response, which also gives the type of `data` on errors.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum EnvelopeData {
    Text(&'static str),
    Number(u32),
    List([(); 0]),
}

impl ContractEndpoint {
    /// All endpoints except `Unknown`.
    pub(super) const ALL: [ContractEndpoint; 9] = [
        ContractEndpoint::BatchInsert,
        ContractEndpoint::QueryWhatsAppStatus,
        ContractEndpoint::BatchOnline,
        ContractEndpoint::BatchRecycle,
        ContractEndpoint::SubmitPhone,
        ContractEndpoint::SubmitVerifyCode,
        ContractEndpoint::Health,
        ContractEndpoint::Ready,
        ContractEndpoint::Metrics,
    ];

    /// The path; empty for `Unknown`.
    pub(super) fn path(self) -> &'static str {
        match self {
            ContractEndpoint::BatchInsert => "/group-dispatch-api/whatsapp/batchInsert",
            ContractEndpoint::QueryWhatsAppStatus => "/group-dispatch-api/whatsapp/queryWhatsAppStatus",
            ContractEndpoint::BatchOnline => "/group-dispatch-api/whatsapp/batchOnline",
            ContractEndpoint::BatchRecycle => "/group-dispatch-api/whatsapp/batchRecycle",
            ContractEndpoint::SubmitPhone => "/group-dispatch-api/register/submitPhone",
            ContractEndpoint::SubmitVerifyCode => "/group-dispatch-api/register/submitVerifyCode",
            ContractEndpoint::Health => "/healthz",
            ContractEndpoint::Ready => "/readyz",
            ContractEndpoint::Metrics => "/metrics",
            ContractEndpoint::Unknown => "",
        }
    }

    /// The permission that a caller needs. It is not checked for health endpoints.
    pub(super) fn permission(self) -> Permission {
        match self {
            ContractEndpoint::Health
            | ContractEndpoint::Ready
            | ContractEndpoint::Metrics
            | ContractEndpoint::Unknown => Permission::Read,
            ContractEndpoint::BatchInsert
            | ContractEndpoint::QueryWhatsAppStatus
            | ContractEndpoint::BatchOnline
            | ContractEndpoint::BatchRecycle
            | ContractEndpoint::SubmitPhone
            | ContractEndpoint::SubmitVerifyCode => Permission::Call,
        }
    }

    /// The methods that the endpoint accepts, as the `Allow` header lists them.
    pub(super) fn allowed_methods(self) -> &'static str {
        match self {
            ContractEndpoint::BatchInsert
            | ContractEndpoint::BatchOnline
            | ContractEndpoint::BatchRecycle
            | ContractEndpoint::SubmitPhone
            | ContractEndpoint::SubmitVerifyCode => "POST",
            ContractEndpoint::QueryWhatsAppStatus => "GET",
            ContractEndpoint::Health
            | ContractEndpoint::Ready
            | ContractEndpoint::Metrics
            | ContractEndpoint::Unknown => "GET, HEAD",
        }
    }

    pub(super) fn accepts_method(self, method: &Method) -> bool {
        self.allowed_methods().split(", ").any(|allowed| allowed == method.as_str())
    }

    /// The `data` of a response without content.
    pub(super) fn empty_data(self) -> EnvelopeData {
        match self {
            ContractEndpoint::SubmitPhone => EnvelopeData::Number(0),
            ContractEndpoint::QueryWhatsAppStatus => EnvelopeData::List([]),
            ContractEndpoint::BatchInsert
            | ContractEndpoint::BatchOnline
            | ContractEndpoint::BatchRecycle
            | ContractEndpoint::SubmitVerifyCode
            | ContractEndpoint::Health
            | ContractEndpoint::Ready
            | ContractEndpoint::Metrics
            | ContractEndpoint::Unknown => EnvelopeData::Text(""),
        }
    }
}

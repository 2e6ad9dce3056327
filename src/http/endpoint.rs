//! The endpoints: what each is called, which methods it takes, what type its `data` has.

use serde::Serialize;
use warp::http::Method;

use crate::domain::Need;

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
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
    /// `GET /readyz`: it takes requests.
    Ready,
    /// `GET /metrics`: what is measured.
    Metrics,
    /// Any other path.
    Unknown,
}

/// The `data` of an answer that has nothing to tell, and the type of `data` on errors.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Data {
    Text(&'static str),
    Number(u32),
    List([(); 0]),
}

impl Endpoint {
    /// All that have a path.
    pub(super) const ALL: [Endpoint; 9] = [
        Endpoint::BatchInsert,
        Endpoint::QueryWhatsAppStatus,
        Endpoint::BatchOnline,
        Endpoint::BatchRecycle,
        Endpoint::SubmitPhone,
        Endpoint::SubmitVerifyCode,
        Endpoint::Health,
        Endpoint::Ready,
        Endpoint::Metrics,
    ];

    /// Its path; none has all that is left.
    pub(super) fn path(self) -> &'static str {
        match self {
            Endpoint::BatchInsert => "/group-dispatch-api/whatsapp/batchInsert",
            Endpoint::QueryWhatsAppStatus => "/group-dispatch-api/whatsapp/queryWhatsAppStatus",
            Endpoint::BatchOnline => "/group-dispatch-api/whatsapp/batchOnline",
            Endpoint::BatchRecycle => "/group-dispatch-api/whatsapp/batchRecycle",
            Endpoint::SubmitPhone => "/group-dispatch-api/register/submitPhone",
            Endpoint::SubmitVerifyCode => "/group-dispatch-api/register/submitVerifyCode",
            Endpoint::Health => "/healthz",
            Endpoint::Ready => "/readyz",
            Endpoint::Metrics => "/metrics",
            Endpoint::Unknown => "",
        }
    }

    /// What a key must be for; nothing is asked of those who want to know whether the service runs.
    pub(super) fn need(self) -> Need {
        match self {
            Endpoint::Health | Endpoint::Ready | Endpoint::Metrics | Endpoint::Unknown => Need::Read,
            Endpoint::BatchInsert
            | Endpoint::QueryWhatsAppStatus
            | Endpoint::BatchOnline
            | Endpoint::BatchRecycle
            | Endpoint::SubmitPhone
            | Endpoint::SubmitVerifyCode => Need::Call,
        }
    }

    /// The `Allow` header: the methods that it takes.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Endpoint::BatchInsert
            | Endpoint::BatchOnline
            | Endpoint::BatchRecycle
            | Endpoint::SubmitPhone
            | Endpoint::SubmitVerifyCode => "POST",
            Endpoint::QueryWhatsAppStatus => "GET",
            Endpoint::Health | Endpoint::Ready | Endpoint::Metrics | Endpoint::Unknown => "GET, HEAD",
        }
    }

    /// Whether it takes `method`.
    pub(super) fn takes(self, method: &Method) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method.as_str())
    }

    /// Its `data` where there is nothing to tell.
    pub(super) fn empty_data(self) -> Data {
        match self {
            Endpoint::SubmitPhone => Data::Number(0),
            Endpoint::QueryWhatsAppStatus => Data::List([]),
            Endpoint::BatchInsert
            | Endpoint::BatchOnline
            | Endpoint::BatchRecycle
            | Endpoint::SubmitVerifyCode
            | Endpoint::Health
            | Endpoint::Ready
            | Endpoint::Metrics
            | Endpoint::Unknown => Data::Text(""),
        }
    }
}

//! A report of a gateway that changed nothing, and why, as operators see it.

use serde::Serialize;
use utoipa::ToSchema;

/// A report that changed nothing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GatewayIgnored)]
pub(crate) struct IgnoredReportView {
    /// When it came.
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// When the gateway made it.
    #[schema(format = DateTime)]
    pub(crate) made_at: String,
    /// The gateway's stream of reports.
    pub(crate) stream: String,
    /// Its place in the stream.
    pub(crate) sequence: u64,
    /// The account, masked: `861******232`. Empty where a report of an unknown type names none.
    pub(crate) account: String,
    /// What it says, a word of the protocol; `unknown` where its type is none and looks like none.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Why it changed nothing.
    pub(crate) why: IgnoreReason,
}

/// Why a report changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GatewayReportWhy)]
pub(crate) enum IgnoreReason {
    /// Nothing ever happened to this number.
    UnknownAccount,
    /// The account is served by another gateway.
    OtherGateway,
    /// It is late, or it holds already.
    DoesNotFit,
    /// Its type is not of this version of the protocol.
    UnknownType,
}

impl IgnoreReason {
    /// Every reason. Stored rows hold the index, so the order is fixed.
    pub(super) const ALL: [IgnoreReason; 4] =
        [IgnoreReason::UnknownAccount, IgnoreReason::OtherGateway, IgnoreReason::DoesNotFit, IgnoreReason::UnknownType];

    /// Its name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            IgnoreReason::UnknownAccount => "unknown_account",
            IgnoreReason::OtherGateway => "other_gateway",
            IgnoreReason::DoesNotFit => "does_not_fit",
            IgnoreReason::UnknownType => "unknown_type",
        }
    }
}

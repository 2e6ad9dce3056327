//! A report of a gateway that changed nothing, and why, as operators see it.

use serde::Serialize;
use utoipa::ToSchema;

/// A report that changed nothing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GatewayIgnored)]
pub(crate) struct IgnoredReportView {
    /// The time of its arrival.
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// The time at which the gateway made it.
    #[schema(format = DateTime)]
    pub(crate) made_at: String,
    /// The gateway's stream of reports.
    pub(crate) stream: String,
    /// The sequence number in the stream.
    pub(crate) sequence: u64,
    /// The account, masked: `861******232`. Empty if a report of an unknown type has none.
    pub(crate) account: String,
    /// The report type; `unknown` if it is not a valid word.
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
    /// The account is unknown.
    UnknownAccount,
    /// The account is routed to another gateway.
    OtherGateway,
    /// The report is late, or the account already has this state.
    DoesNotFit,
    /// The report type is not part of this version of the protocol.
    UnknownType,
}

impl IgnoreReason {
    /// Every reason. Frozen: the order, because stored rows hold the index. New ones come last.
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

//! A condition on the `origin` of events.

use std::fmt;

use crate::domain::GatewayKind;
use crate::journal::Principal;

/// Who caused an event, as its `origin` shows it. Without an id, every principal of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginFilter {
    /// A caller, by the number of its API key.
    Caller(Option<u64>),
    /// A gateway, by the number of its kind.
    Gateway(Option<u64>),
    /// An operator, by the number of its API key.
    Operator(Option<u64>),
    /// The service itself.
    Service,
}

impl OriginFilter {
    /// Parses an `origin`. `gateway:simulator` is allowed too, although events of the simulator show only `gateway`.
    pub(super) fn parse(text: &str) -> Option<OriginFilter> {
        let (kind, id) = text.split_once(':').map_or((text, None), |(kind, id)| (kind, Some(id)));
        match kind {
            "caller" => parse_optional(id, parse_id).map(OriginFilter::Caller),
            "gateway" => parse_optional(id, parse_gateway).map(OriginFilter::Gateway),
            "operator" => parse_optional(id, parse_id).map(OriginFilter::Operator),
            "service" if id.is_none() => Some(OriginFilter::Service),
            _ => None,
        }
    }

    /// What [`parse`](OriginFilter::parse) accepts.
    pub(super) fn allowed() -> String {
        let gateways = GatewayKind::ALL.map(|kind| format!("gateway:{}", kind.name())).join(", ");
        format!("caller, operator, either with a key's number as in caller:7, gateway, {gateways}, or service")
    }

    pub(super) fn matches(self, principal: Principal) -> bool {
        let is_wanted = |wanted: Option<u64>, id| wanted.is_none_or(|wanted| wanted == id);
        match principal {
            Principal::Caller(id) => matches!(self, OriginFilter::Caller(wanted) if is_wanted(wanted, id)),
            Principal::Gateway(id) => matches!(self, OriginFilter::Gateway(wanted) if is_wanted(wanted, id)),
            Principal::Operator(id) => matches!(self, OriginFilter::Operator(wanted) if is_wanted(wanted, id)),
            Principal::Service => self == OriginFilter::Service,
        }
    }
}

impl fmt::Display for OriginFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = match *self {
            OriginFilter::Caller(id) => ("caller", id.map(|id| id.to_string())),
            OriginFilter::Operator(id) => ("operator", id.map(|id| id.to_string())),
            OriginFilter::Gateway(id) => ("gateway", id.map(gateway_name)),
            OriginFilter::Service => ("service", None),
        };
        f.write_str(kind)?;
        id.map_or(Ok(()), |id| write!(f, ":{id}"))
    }
}

/// The name of a gateway; its number if this program does not know it.
fn gateway_name(id: u64) -> String {
    let kind = u8::try_from(id).ok().and_then(GatewayKind::from_code);
    kind.map_or_else(|| id.to_string(), |kind| kind.name().to_owned())
}

/// Who caused an event, from its `origin`. `None` if only a newer program knows it.
pub(super) fn parse_origin(shown: &str) -> Option<Principal> {
    // An operator without a key is shown without a number, and the simulator without its name.
    Some(match OriginFilter::parse(shown)? {
        OriginFilter::Caller(id) => Principal::Caller(id.unwrap_or(0)),
        OriginFilter::Gateway(id) => Principal::Gateway(id.unwrap_or(u64::from(GatewayKind::Simulator.code()))),
        OriginFilter::Operator(id) => Principal::Operator(id.unwrap_or(0)),
        OriginFilter::Service => Principal::Service,
    })
}

/// Parses a number from 1 on.
pub(super) fn parse_id(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| is_plain && *id > 0)
}

/// Parses the name of a gateway, or the number of one that this program does not know.
fn parse_gateway(text: &str) -> Option<u64> {
    GatewayKind::from_name(text).map(|kind| u64::from(kind.code())).or_else(|| parse_id(text))
}

fn parse_optional(id: Option<&str>, parse: fn(&str) -> Option<u64>) -> Option<Option<u64>> {
    match id {
        Some(id) => parse(id).map(Some),
        None => Some(None),
    }
}

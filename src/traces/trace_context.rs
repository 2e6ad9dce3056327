//! A position in a trace, as callers and receivers exchange it in headers: W3C Trace Context, level 1.

use std::collections::HashSet;
use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName};

use crate::limits::{TRACE_STATE_BYTES, TRACE_STATE_MEMBERS};

/// The header with the trace id and the parent span id.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with vendor-specific data of tracing systems.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The context of a span, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace id.
    pub trace: u128,
    /// The span id.
    pub span: u64,
    /// Whether the span is recorded, as far as known.
    pub is_sampled: bool,
    /// Vendor-specific data of tracing systems, passed on unchanged; empty if there is none.
    pub state: Arc<str>,
}

impl TraceContext {
    /// The context of a request; `None` if the headers are missing or malformed. A malformed `tracestate` alone is
    /// ignored.
    pub fn from_headers(headers: &HeaderMap) -> Option<TraceContext> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
        let (trace, span, is_sampled) = parse_traceparent(parent.to_str().ok()?)?;
        let states = headers.get_all(TRACESTATE).iter().map(|state| state.to_str().ok());
        let state = states.collect::<Option<Vec<_>>>().and_then(|states| parse_tracestate(&states.join(",")));
        Some(TraceContext { trace, span, is_sampled, state: state.unwrap_or_default().into() })
    }

    /// The `traceparent` header of this context.
    pub fn to_traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

/// The trace id, the span id and the sampled flag. Later versions of the header may append more fields.
fn parse_traceparent(text: &str) -> Option<(u128, u64, bool)> {
    let mut fields = text.split('-');
    let mut field = |digits: usize| parse_hex(fields.next()?, digits);
    let [version, trace, span, flags] = [field(2)?, field(32)?, field(16)?, field(2)?];
    let is_whole = match version {
        0 => fields.next().is_none(),
        0xff => false,
        _ => true,
    };
    let span = u64::try_from(span).ok()?;
    (is_whole && trace != 0 && span != 0).then_some((trace, span, flags & 1 == 1))
}

/// The number in exactly `digits` lower-case hexadecimal digits.
fn parse_hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(is_digit)).then(|| u128::from_str_radix(text, 16).ok())?
}

/// The members, without the blanks around them; `None` if one is malformed, or if they exceed a limit.
fn parse_tracestate(text: &str) -> Option<String> {
    let members: Vec<&str> =
        text.split(',').map(|it| it.trim_matches([' ', '\t'])).filter(|it| !it.is_empty()).collect();
    let mut seen = HashSet::new();
    let is_valid = members.len() <= TRACE_STATE_MEMBERS
        && members.iter().all(|member| {
            let (key, value) = member.split_once('=').unwrap_or_default();
            is_tracestate_key(key) && is_tracestate_value(value) && seen.insert(key)
        });
    let state = members.join(",");
    (is_valid && state.len() <= TRACE_STATE_BYTES).then_some(state)
}

fn is_tracestate_key(key: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    let begins = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    begins && key.bytes().all(is_letter)
}

fn is_tracestate_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

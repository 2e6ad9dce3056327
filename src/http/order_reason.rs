//! `X-Muster-Reason`: why a caller gives an order. The documented calls have no field for it.

use warp::http::{HeaderMap, HeaderName};

use super::validation_error::ValidationError;
use crate::domain::{Reason, describe_invisible_control, is_single_line, trim_line};
use crate::limits::{ORDER_REASON_CHARS, REASON_BYTES};

// Frozen: callers send this header.
const REASON: HeaderName = HeaderName::from_static("x-muster-reason");

/// The reason in the headers of a request. An absent header and an empty one are no reason.
pub(super) fn from_headers(headers: &HeaderMap) -> Result<Reason, ValidationError> {
    let mut values = headers.get_all(REASON).iter();
    let Some(value) = values.next() else { return Ok(Reason::none()) };
    if values.next().is_some() {
        return Err(ValidationError::at_field("X-Muster-Reason", "is given twice in the headers; give it once"));
    }
    let text = str::from_utf8(value.as_bytes()).map(trim_line);
    match text {
        Ok("") => return Ok(Reason::none()),
        Ok(text) if is_single_line(text, REASON_BYTES) && text.chars().count() <= ORDER_REASON_CHARS => {
            return Ok(Reason::new(text));
        }
        Ok(_) | Err(_) => {}
    }
    let cause = text.map(describe_invisible_control).unwrap_or_default();
    let words = format_args!("must be at most {ORDER_REASON_CHARS} characters on one line, in UTF-8{cause}");
    Err(ValidationError::at_field("X-Muster-Reason", words))
}

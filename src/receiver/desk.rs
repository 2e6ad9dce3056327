//! What each webhook is answered. Pure.

use serde_json::Value;

use super::arrival::{Answer, Arrival, Headers};
use super::faults::Faults;
use super::keys::Keys;
use super::memory::{Memory, Place};
use crate::client::{json_text, text};
use crate::domain::Timestamp;

/// Takes webhooks, one after the other.
pub(super) struct Desk {
    keys: Keys,
    faults: Faults,
    memory: Memory,
}

impl Desk {
    /// A desk that has taken nothing yet.
    pub(super) fn new(keys: Keys, faults: Faults) -> Desk {
        Desk { keys, faults, memory: Memory::default() }
    }

    /// Takes a webhook, or refuses it; `body` is a refusal if it could not be read. Faults are among those that would be
    /// taken.
    pub(super) fn take(
        &mut self,
        at: Timestamp,
        path: &str,
        headers: Headers,
        body: Result<Vec<u8>, Answer>,
    ) -> Arrival {
        let (signature, body, answer) = match body {
            Err(unread) => (Ok("not checked"), Value::Null, unread),
            Ok(bytes) => {
                let (signature, body) = (self.keys.check(&headers, &bytes, at), object_or_text(&bytes));
                let answer = match &signature {
                    Err(why) => Answer::refusal(401, why),
                    Ok(_) if !body.is_object() => Answer::refusal(400, "the body is no JSON object"),
                    Ok(_) => self.faults.draw().unwrap_or_else(Answer::success),
                };
                (signature, body, answer)
            }
        };
        let path = path.to_owned();
        let mut arrival = Arrival { at, body, path, headers, signature, place: Place::New, answer };
        let (account, is_taken) = (arrival.said().account, arrival.answer.is_success());
        arrival.place = self.memory.place(&arrival.path, &arrival.headers, account, is_taken);
        arrival
    }
}

fn object_or_text(bytes: &[u8]) -> Value {
    match serde_json::from_str(&json_text(bytes)) {
        Ok(object @ Value::Object(_)) => object,
        Ok(_) | Err(_) => Value::String(text(bytes)),
    }
}

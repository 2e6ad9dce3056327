//! Decides the response to each webhook. Pure.

use serde_json::Value;

use super::duplicate_detection::{DuplicateDetector, SequenceStatus};
use super::fault_injection::FaultInjector;
use super::received_headers::ReceivedHeaders;
use super::received_webhook::{ReceivedWebhook, ReceiverResponse};
use super::signature_verification::SignatureVerifier;
use crate::client::{json_text, lossy_text};
use crate::domain::Timestamp;

/// Handles webhooks one at a time.
pub(super) struct WebhookHandler {
    verifier: SignatureVerifier,
    faults: FaultInjector,
    duplicates: DuplicateDetector,
}

impl WebhookHandler {
    /// A handler that has seen no webhook yet.
    pub(super) fn new(verifier: SignatureVerifier, faults: FaultInjector) -> WebhookHandler {
        WebhookHandler { verifier, faults, duplicates: DuplicateDetector::default() }
    }

    /// Accepts or rejects a webhook. `body` is an error response if the body could not be read. Errors are injected only for
    /// webhooks that would be accepted.
    pub(super) fn handle(
        &mut self,
        at: Timestamp,
        path: &str,
        headers: ReceivedHeaders,
        body: Result<Vec<u8>, ReceiverResponse>,
    ) -> ReceivedWebhook {
        let (signature, body, response) = match body {
            Err(response) => (Ok("not checked"), Value::Null, response),
            Ok(bytes) => {
                let (signature, body) = (self.verifier.verify(&headers, &bytes, at), object_or_text(&bytes));
                let response = match &signature {
                    Err(why) => ReceiverResponse::rejection(401, why),
                    Ok(_) if !body.is_object() => ReceiverResponse::rejection(400, "the body is not a JSON object"),
                    Ok(_) => self.faults.next_fault().unwrap_or_else(ReceiverResponse::success),
                };
                (signature, body, response)
            }
        };
        let path = path.to_owned();
        let mut arrival = ReceivedWebhook {
            received_at: at,
            body,
            path,
            headers,
            signature,
            sequence: SequenceStatus::New,
            response,
        };
        let (account, is_accepted) = (arrival.summary().account, arrival.response.is_success());
        arrival.sequence = self.duplicates.classify(&arrival.path, &arrival.headers, account, is_accepted);
        arrival
    }
}

/// The body as a JSON object, or else as a string.
fn object_or_text(bytes: &[u8]) -> Value {
    match serde_json::from_str(&json_text(bytes)) {
        Ok(object @ Value::Object(_)) => object,
        Ok(_) | Err(_) => Value::String(lossy_text(bytes)),
    }
}

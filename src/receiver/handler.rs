//! The response to each webhook. Pure.

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
    /// A handler without history.
    pub(super) fn new(verifier: SignatureVerifier, faults: FaultInjector) -> WebhookHandler {
        WebhookHandler { verifier, faults, duplicates: DuplicateDetector::default() }
    }

    /// Accepts or rejects a webhook. `body` is the error response if the body could not be read. Only webhooks that would be
    /// accepted get injected errors.
    pub(super) fn handle(
        &mut self,
        at: Timestamp,
        path: &str,
        headers: ReceivedHeaders,
        body: Result<Vec<u8>, ReceiverResponse>,
    ) -> ReceivedWebhook {
        let (signature, body, answer) = match body {
            Err(unread) => (Ok("not checked"), Value::Null, unread),
            Ok(bytes) => {
                let (signature, body) = (self.verifier.verify(&headers, &bytes, at), object_or_text(&bytes));
                let answer = match &signature {
                    Err(why) => ReceiverResponse::rejection(401, why),
                    Ok(_) if !body.is_object() => ReceiverResponse::rejection(400, "the body is not a JSON object"),
                    Ok(_) => self.faults.next_fault().unwrap_or_else(ReceiverResponse::success),
                };
                (signature, body, answer)
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
            response: answer,
        };
        let (account, is_taken) = (arrival.summary().account, arrival.response.is_success());
        arrival.sequence = self.duplicates.classify(&arrival.path, &arrival.headers, account, is_taken);
        arrival
    }
}

fn object_or_text(bytes: &[u8]) -> Value {
    match serde_json::from_str(&json_text(bytes)) {
        Ok(object @ Value::Object(_)) => object,
        Ok(_) | Err(_) => Value::String(lossy_text(bytes)),
    }
}

//! Sends webhooks as Meta does, and forged ones.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{APP_SECRET, WABA, text};
use crate::service_process::{ServiceProcess, ServiceResponse};

/// The path of the service's endpoint.
const PATH: &str = "/gateway/cloud-api/webhook";

/// How a webhook is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WebhookSigning {
    Rightly,
    Wrongly,
    Not,
}

/// The sender.
pub struct MetaWebhookSender<'a>(pub &'a ServiceProcess);

/// A webhook with these changes: field and value.
pub fn webhook(changes: &[(&str, Value)]) -> String {
    let changes: Vec<Value> = changes.iter().map(|(field, value)| json!({"field": field, "value": value})).collect();
    let entry = json!([{"id": WABA, "time": 1_743_451_903, "changes": changes}]);
    text(&json!({"object": "whatsapp_business_account", "entry": entry}))
}

/// A webhook about the whole account.
pub fn account_update(event: &str, ban: &str, time: u64) -> String {
    let value = json!({"event": event, "ban_info": {"waba_ban_state": ban, "waba_ban_date": "April 17, 2025"}});
    let entry = json!([{"id": WABA, "time": time, "changes": [{"field": "account_update", "value": value}]}]);
    text(&json!({"object": "whatsapp_business_account", "entry": entry}))
}

impl MetaWebhookSender<'_> {
    pub async fn send(&self, body: &str, signed: WebhookSigning) -> ServiceResponse {
        let mac = Hmac::<Sha256>::new_from_slice(APP_SECRET.as_bytes()).unwrap().chain_update(body);
        let mut signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        if signed == WebhookSigning::Wrongly {
            let first = if signature.starts_with('0') { "1" } else { "0" };
            signature.replace_range(..1, first);
        }
        let MetaWebhookSender(muster) = self;
        let mut request = muster.client().post(muster.url(PATH)).header("content-type", "application/json");
        if signed != WebhookSigning::Not {
            request = request.header("x-hub-signature-256", format!("sha256={signature}"));
        }
        muster.send(request.body(body.to_owned())).await.unwrap()
    }

    /// Makes the handshake; returns its response.
    pub async fn verify_subscription(&self, mode: &str, token: &str, challenge: &str) -> ServiceResponse {
        let MetaWebhookSender(muster) = self;
        muster.get(&format!("{PATH}?hub.mode={mode}&hub.challenge={challenge}&hub.verify_token={token}")).await
    }
}

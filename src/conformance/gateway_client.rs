//! Sends commands to a gateway. Push: requests to its URL. Pull: the gateway fetches them.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::SuiteOptions;
use super::request_handler::GatewayRequestHandler;
use crate::clock;
use crate::domain::Timestamp;
use crate::limits::{CHECK_BODY_BYTES, SIGNATURE_TOLERANCE};
use crate::webhooks::signature::WebhookSecret;

/// The client of the gateway under test.
pub(super) struct GatewayClient {
    transport: Transport,
    secret: WebhookSecret,
    handler: Arc<GatewayRequestHandler>,
    patience: Duration,
}

enum Transport {
    Push { http: reqwest::Client, url: String },
    Pull,
}

/// How a command is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SignatureVariant {
    Valid,
    Missing,
    WrongSecret,
    Stale,
    /// Valid, with this time. The same time makes the same signature, so a later request can be identical.
    At(Timestamp),
}

/// A gateway's reply to a command.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct GatewayReply {
    /// The HTTP status. For a fetched command, the status that a push would have had: 422 for an error, 200 for a list of
    /// sessions, else 202.
    pub(super) status: u16,
    pub(super) body: Value,
}

impl GatewayReply {
    /// The text in `error`, if there is one.
    pub(super) fn error_message(&self) -> Option<&str> {
        self.body.get("error").and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

impl GatewayClient {
    pub(super) fn new(
        options: &SuiteOptions,
        secret: WebhookSecret,
        handler: Arc<GatewayRequestHandler>,
    ) -> Result<GatewayClient, reqwest::Error> {
        let patience = options.patience;
        let transport = match &options.url {
            Some(url) => {
                let http = crate::client::streaming_client_builder(patience).timeout(patience).build()?;
                Transport::Push { http, url: format!("{}/gateway/v1/commands", url.trim_end_matches('/')) }
            }
            None => Transport::Pull,
        };
        Ok(GatewayClient { transport, secret, handler, patience })
    }

    /// Whether commands are pushed to the gateway.
    pub(super) fn is_push(&self) -> bool {
        matches!(self.transport, Transport::Push { .. })
    }

    /// Sends a command with a valid signature.
    pub(super) async fn send_signed(&self, command: &Value) -> Result<GatewayReply, String> {
        self.send(command, SignatureVariant::Valid).await
    }

    /// Sends a command again with this signature. A gateway that fetches gets it twice: the first lease expires.
    pub(super) async fn resend(&self, command: &Value, signature: SignatureVariant) -> Result<GatewayReply, String> {
        match &self.transport {
            Transport::Push { .. } => self.send(command, signature).await,
            Transport::Pull => self.offer_command(command, true).await,
        }
    }

    /// Sends a command with this signature. A fetched command has no signature of its own.
    pub(super) async fn send(&self, command: &Value, signature: SignatureVariant) -> Result<GatewayReply, String> {
        let Transport::Push { http, url } = &self.transport else { return self.offer_command(command, false).await };
        let body = command.to_string();
        let id = command.get("id").and_then(Value::as_str).unwrap_or("no-id");
        let at = match signature {
            SignatureVariant::Stale => {
                Timestamp(clock::now().0 - 2 * i64::try_from(SIGNATURE_TOLERANCE.as_micros()).unwrap_or(0))
            }
            SignatureVariant::At(at) => at,
            SignatureVariant::Valid | SignatureVariant::Missing | SignatureVariant::WrongSecret => clock::now(),
        };
        let wrong_secret = WebhookSecret::from_bytes(&[0x5a; 32]);
        let secret = if signature == SignatureVariant::WrongSecret { &wrong_secret } else { &self.secret };
        let mut request = http.post(url).header(CONTENT_TYPE, "application/json");
        if signature != SignatureVariant::Missing {
            request = request
                .header("webhook-id", id)
                .header("webhook-timestamp", at.0 / 1_000_000)
                .header("webhook-signature", secret.sign(id, at, body.as_bytes()));
        }
        let response = request.body(body).send().await;
        let mut response =
            response.map_err(|error| format!("no response: {}", crate::client::classify_reqwest(&error).1))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Ok(Some(piece)) = response.chunk().await {
            bytes.extend_from_slice(&piece);
            if bytes.len() > CHECK_BODY_BYTES {
                return Err(format!("a response of more than {CHECK_BODY_BYTES} bytes"));
            }
        }
        Ok(GatewayReply { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    /// Offers a command for fetching, and converts its acknowledgement to a reply.
    async fn offer_command(&self, command: &Value, expire_first_lease: bool) -> Result<GatewayReply, String> {
        let ack = self.handler.lease_command(command.clone(), expire_first_lease, self.patience).await;
        let ack = ack.ok_or("it was not fetched and acknowledged in time")?;
        Ok(match (ack.get("error").and_then(Value::as_str), ack.get("sessions")) {
            (Some(error), _) => GatewayReply { status: 422, body: json!({"error": error}) },
            (None, Some(_)) => GatewayReply { status: 200, body: ack },
            (None, None) => GatewayReply { status: 202, body: ack },
        })
    }
}

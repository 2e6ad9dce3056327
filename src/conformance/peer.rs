//! Commands to a gateway, by either way.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::Trial;
use super::desk::Desk;
use crate::clock;
use crate::domain::Timestamp;
use crate::limits::{CHECK_BODY_BYTES, SIGNATURE_TOLERANCE};
use crate::webhooks::signature::Secret;

/// The way to a gateway.
pub(super) struct Peer {
    way: Way,
    secret: Secret,
    desk: Arc<Desk>,
    patience: Duration,
}

enum Way {
    Push { http: reqwest::Client, url: String },
    Pull,
}

/// How a command is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signed {
    Right,
    Not,
    WithAnotherSecret,
    LongAgo,
    /// As of this moment, so that it can be the very same request again.
    At(Timestamp),
}

/// What a gateway says to a command.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Told {
    /// The HTTP status; for a command that was fetched the one that stands for its acknowledgement.
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Told {
    /// The sentence of a refusal, if there is one.
    pub(super) fn sentence(&self) -> Option<&str> {
        self.body.get("error").and_then(Value::as_str).filter(|sentence| !sentence.is_empty())
    }
}

impl Peer {
    pub(super) fn new(trial: &Trial, secret: Secret, desk: Arc<Desk>) -> Result<Peer, reqwest::Error> {
        let patience = trial.patience;
        let way = match &trial.url {
            Some(url) => {
                let http = crate::client::builder(patience).timeout(patience).build()?;
                Way::Push { http, url: format!("{}/gateway/v1/commands", url.trim_end_matches('/')) }
            }
            None => Way::Pull,
        };
        Ok(Peer { way, secret, desk, patience })
    }

    /// Whether commands are pushed to it.
    pub(super) fn is_push(&self) -> bool {
        matches!(self.way, Way::Push { .. })
    }

    /// Asks it for something, signed as it should be.
    pub(super) async fn ask(&self, command: &Value) -> Result<Told, String> {
        self.send(command, Signed::Right).await
    }

    /// Asks it for something once more, signed so; where it fetches, its first acknowledgement comes too late, too.
    pub(super) async fn send_again(&self, command: &Value, signed: Signed) -> Result<Told, String> {
        match &self.way {
            Way::Push { .. } => self.send(command, signed).await,
            Way::Pull => self.give(command, true).await,
        }
    }

    /// Asks it for something, signed so; a command that is fetched has no signature of its own.
    pub(super) async fn send(&self, command: &Value, signed: Signed) -> Result<Told, String> {
        let Way::Push { http, url } = &self.way else { return self.give(command, false).await };
        let body = command.to_string();
        let id = command.get("id").and_then(Value::as_str).unwrap_or("no-id");
        let at = match signed {
            Signed::LongAgo => {
                Timestamp(clock::now().0 - 2 * i64::try_from(SIGNATURE_TOLERANCE.as_micros()).unwrap_or(0))
            }
            Signed::At(at) => at,
            Signed::Right | Signed::Not | Signed::WithAnotherSecret => clock::now(),
        };
        let another = Secret::of(&[0x5a; 32]);
        let secret = if signed == Signed::WithAnotherSecret { &another } else { &self.secret };
        let mut request = http.post(url).header(CONTENT_TYPE, "application/json");
        if signed != Signed::Not {
            request = request
                .header("webhook-id", id)
                .header("webhook-timestamp", at.0 / 1_000_000)
                .header("webhook-signature", secret.sign(id, at, body.as_bytes()));
        }
        let answer = request.body(body).send().await;
        let mut answer = answer.map_err(|error| format!("no answer: {}", crate::client::class(&error).1))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            bytes.extend_from_slice(&piece);
            if bytes.len() > CHECK_BODY_BYTES {
                return Err(format!("an answer of more than {CHECK_BODY_BYTES} bytes"));
            }
        }
        Ok(Told { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    async fn give(&self, command: &Value, expires: bool) -> Result<Told, String> {
        let ack = self.desk.give(command.clone(), expires, self.patience).await;
        let ack = ack.ok_or("it was not fetched and acknowledged in time")?;
        Ok(match (ack.get("error").and_then(Value::as_str), ack.get("sessions")) {
            (Some(error), _) => Told { status: 422, body: json!({"error": error}) },
            (None, Some(_)) => Told { status: 200, body: ack },
            (None, None) => Told { status: 202, body: ack },
        })
    }
}

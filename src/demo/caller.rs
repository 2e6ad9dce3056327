//! A caller's back-end: sends the requests.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::story::Request;
use crate::client;
use crate::limits::DEMO_PATIENCE;

/// A caller of the service.
pub(super) struct Caller {
    http: reqwest::Client,
    address: SocketAddr,
}

/// The envelope of the contract.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) data: Value,
    pub(super) code: i64,
    pub(super) message: String,
}

impl Caller {
    pub(super) fn new(address: SocketAddr) -> Result<Caller, reqwest::Error> {
        Ok(Caller { http: client::builder(DEMO_PATIENCE).timeout(DEMO_PATIENCE).build()?, address })
    }

    /// Sends a request, and returns what is answered.
    pub(super) async fn ask(&self, request: &Request) -> Result<Answer, Error> {
        let url = format!("http://{}{}", self.address, request.path);
        let sent = match &request.body {
            Some(body) => {
                self.http.post(url).header("content-type", "application/json").body(body.to_string()).send().await
            }
            None => self.http.get(url).send().await,
        };
        let unanswered =
            |error: reqwest::Error| Error::Unanswered { endpoint: request.endpoint, why: client::class(&error).1 };
        let body = sent.map_err(unanswered)?.bytes().await.map_err(unanswered)?;
        // Every answer of the API is an envelope, errors too; another body is shown as it is.
        Ok(serde_json::from_slice(&body).unwrap_or_else(|_| Answer {
            data: Value::Null,
            code: 0,
            message: String::from_utf8_lossy(&body).into_owned(),
        }))
    }
}

//! Sends the requests, as a caller's back-end would.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::scenario::DemoRequest;
use crate::client;
use crate::limits::DEMO_TIMEOUT;

/// Sends requests to the service.
pub(super) struct DemoCaller {
    http: reqwest::Client,
    address: SocketAddr,
}

/// A response: the envelope of the contract.
#[derive(Deserialize)]
pub(super) struct DemoResponse {
    pub(super) data: Value,
    pub(super) code: i64,
    pub(super) message: String,
}

impl DemoCaller {
    pub(super) fn new(address: SocketAddr) -> Result<DemoCaller, reqwest::Error> {
        Ok(DemoCaller { http: client::streaming_client_builder(DEMO_TIMEOUT).timeout(DEMO_TIMEOUT).build()?, address })
    }

    /// Sends a request and returns its response.
    pub(super) async fn send(&self, request: &DemoRequest) -> Result<DemoResponse, Error> {
        let url = format!("http://{}{}", self.address, request.path);
        let result = match &request.body {
            Some(body) => {
                self.http.post(url).header("content-type", "application/json").body(body.to_string()).send().await
            }
            None => self.http.get(url).send().await,
        };
        let to_error = |error: reqwest::Error| Error::RequestFailed {
            endpoint: request.endpoint,
            why: client::classify_reqwest(&error).1,
        };
        let body = result.map_err(to_error)?.bytes().await.map_err(to_error)?;
        // Every response of the API has an envelope, errors too. A body without one is shown unchanged.
        Ok(serde_json::from_slice(&body).unwrap_or_else(|_| DemoResponse {
            data: Value::Null,
            code: 0,
            message: String::from_utf8_lossy(&body).into_owned(),
        }))
    }
}

//! One attempt: a delivery is posted, the answer read and judged, all before one deadline.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Response, Url};

use super::delivery::{Delivery, Form};
use super::verdict::{Failure, judge};
use crate::limits::{WEBHOOK_ANSWER_BYTES, WEBHOOK_CONNECT_TIMEOUT};
use crate::{client, config};

/// The way to one channel's receiver.
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    timeout: Duration,
    accept_plain: bool,
}

impl Client {
    /// A client for the receiver at `url`.
    pub(super) fn new(url: Url, settings: &config::Webhooks) -> Result<Client, reqwest::Error> {
        let http = client::builder(WEBHOOK_CONNECT_TIMEOUT)
            .pool_max_idle_per_host(settings.max_in_flight)
            .timeout(settings.timeout)
            .build()?;
        Ok(Client { http, url, timeout: settings.timeout, accept_plain: settings.accept_plain_2xx })
    }

    /// Posts a delivery once.
    pub(super) async fn attempt(&self, form: &Form, delivery: &Delivery) -> Result<(), Failure> {
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("webhook-id", form.id(delivery))
            .body(delivery.body.clone());
        let answer = request.send().await.map_err(|error| self.failure(&error))?;
        let status = answer.status().as_u16();
        judge(status, &self.body(answer).await?, self.accept_plain)
    }

    /// The body of an answer, read no further than it may be long.
    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.failure(&error))? {
            if body.len() + piece.len() > WEBHOOK_ANSWER_BYTES {
                return Err(Failure::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The class of an error, and its innermost words: the outer ones repeat the URL, which may hold a password.
    fn failure(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() {
            return Failure::Timeout(if error.is_connect() { WEBHOOK_CONNECT_TIMEOUT } else { self.timeout });
        }
        let mut innermost = error.source();
        while let Some(source) = innermost.and_then(|error| error.source()) {
            innermost = Some(source);
        }
        let words = innermost.map_or_else(|| "no reason is known".to_owned(), ToString::to_string);
        if error.is_connect() { Failure::Unreachable(words) } else { Failure::Broken(words) }
    }
}

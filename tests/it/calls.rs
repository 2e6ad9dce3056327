//! Calls of the contract, and the events that they lead to.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::service_process::{ServiceProcess, ServiceResponse, TEST_TIMEOUT};
use crate::testkit::requests::{self, CODE, ONLINE, PHONE, RECYCLE};

/// Sends a request that must succeed.
pub async fn post(muster: &ServiceProcess, path: &str, body: impl Into<reqwest::Body>) -> ServiceResponse {
    let answer = muster.post(path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer
}

pub async fn online(muster: &ServiceProcess, number: &str) {
    post(muster, ONLINE, requests::accounts([number])).await;
}

pub async fn recycle(muster: &ServiceProcess, number: &str) {
    post(muster, RECYCLE, requests::list([number])).await;
}

/// Requests a code for this number.
pub async fn phone(muster: &ServiceProcess, number: &str) {
    post(muster, PHONE, requests::phone(number).to_string()).await;
}

pub async fn code(muster: &ServiceProcess, number: &str, code: &str) {
    post(muster, CODE, requests::code(number, code).to_string()).await;
}

/// The history of an account, oldest first: the type of each event, and its reason if it has one.
pub async fn history(muster: &ServiceProcess, number: &str) -> Vec<String> {
    let page = muster.get(&format!("/api/v1/accounts/{number}/events?limit=1000")).await.json();
    let words = |event: &Value| {
        let name = muster::audit::parse_event_type(event["type"].as_str().unwrap()).unwrap().name().to_owned();
        match event["data"]["reason"].as_str() {
            None | Some("") => name,
            Some(reason) => format!("{name}: {reason}"),
        }
    };
    // An account without history has no events.
    page["events"].as_array().into_iter().flatten().map(words).collect()
}

/// Waits until this event has happened to an account.
pub async fn happened(muster: &ServiceProcess, number: &str, what: &str) {
    any_happened(muster, number, &[what]).await;
}

/// Waits until one of these events has happened to an account.
pub async fn any_happened(muster: &ServiceProcess, number: &str, whats: &[&str]) {
    let mut events = Vec::new();
    let waiting = async {
        loop {
            events = history(muster, number).await;
            if events.iter().any(|event| whats.iter().any(|what| event.starts_with(what))) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = timeout(TEST_TIMEOUT, waiting).await;
    assert!(in_time.is_ok(), "none of {whats:?} happened to {number}; this did: {events:#?}");
}

/// The value of a metric.
pub async fn metric(muster: &ServiceProcess, series: &str) -> u64 {
    let text = muster.get("/metrics").await.text;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("there is no {series}")).parse().unwrap()
}

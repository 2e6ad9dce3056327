//! `/api/v1`: responses to valid and invalid requests.

use std::fmt::Write;

use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use warp::http::Request;

use crate::access::{ApiKeys, Authenticator};
use crate::api::ApiState;
use crate::audit::tests::AuditFixture;
use crate::http::v1_routes;
use crate::limits::{REQUEST_TIMEOUT, REQUESTS_PER_SECOND};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const LIVE: &str = "text/event-stream";

async fn send(fixture: &AuditFixture, method: &str, path: &str, accept: &str, body: &str) -> (u16, String) {
    let authenticator = Authenticator::new(ApiKeys::open(fixture.audit.journal(), None).unwrap(), REQUESTS_PER_SECOND);
    let stop = CancellationToken::new();
    let state = ApiState::new(fixture.audit.clone(), None, None, authenticator, REQUEST_TIMEOUT, stop);
    let request = Request::builder().method(method).uri(format!("/api/v1/{path}"));
    let request = request.header("accept", accept).header("content-type", JSON).body(body.to_owned()).unwrap();
    let Ok(response) = TowerToHyperService::new(warp::service(v1_routes(state))).call(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn answer(fixture: &AuditFixture, method: &str, path: &str, accept: &str) -> (u16, String) {
    send(fixture, method, path, accept, "").await
}

#[tokio::test]
async fn valid_and_invalid_requests() {
    let fixture = AuditFixture::with_history().await;
    let requests = [
        ("GET", "accounts", JSON),
        ("GET", "accounts?limit=1", JSON),
        ("GET", "accounts?limit=1&cursor=1", JSON),
        ("GET", "accounts", NDJSON),
        ("GET", "accounts?status=1&limit=1&cursor=1", NDJSON),
        ("GET", "accounts", CSV),
        ("GET", "accounts?prefix=44", CSV),
        ("GET", "accounts?status=2&prefix=8618", JSON),
        ("GET", "accounts/861821726232", JSON),
        ("GET", "accounts/861821720003?at=2026-11-25T09:00:03Z", JSON),
        ("GET", "accounts/861821720003/events?order=desc&limit=2&type=registered,banned", JSON),
        ("GET", "accounts/861821720003/events?limit=1&cursor=4", JSON),
        ("GET", "accounts/861821726232/events?limit=2", NDJSON),
        ("GET", "accounts/861821726232/diff?from=3&to=6", JSON),
        ("GET", "events?after=14&limit=1", JSON),
        ("GET", "events?since=2026-11-25T09:00:14Z", NDJSON),
        ("GET", "events?order=desc&limit=1", JSON),
        ("GET", "events?order=desc&before=16&limit=1", JSON),
        ("GET", "events?order=desc&type=came_online,banned&limit=2", NDJSON),
        ("GET", "events?key=7&order=desc&limit=1", JSON),
        ("GET", "events?origin=gateway&reason~=SPAM", NDJSON),
        ("GET", "accounts/861821726232/events?requestid=0000000000000000000000000000abc8", JSON),
        ("GET", "acts", JSON),
        ("GET", "acts?origin=caller", JSON),
        ("GET", "projections", JSON),
        ("POST", "verify", JSON),
        ("POST", "replay", JSON),
        ("POST", "replay?until=4", JSON),
        ("GET", "export?format=csv&type=banned", JSON),
        // Requests that fail.
        ("GET", "accounts/861821729999", JSON),
        ("GET", "accounts/861821729999/events", NDJSON),
        ("GET", "accounts/12", JSON),
        ("GET", "accounts/+861821726232", JSON),
        ("GET", "accounts/861821726232?version=7", JSON),
        ("GET", "accounts/861821726232?version=-1", JSON),
        ("GET", "accounts/861821726232?version=99999999999999999999999", JSON),
        ("GET", "accounts/861821726232?at=tuesday", JSON),
        ("GET", "accounts/861821726232?at=2026-11-25&version=1", JSON),
        ("GET", "accounts/861821726232?at=2026-11-24", JSON),
        ("GET", "accounts/861821726232/diff?from=1", JSON),
        ("GET", "accounts/861821726232/diff?from=1&to=9", JSON),
        ("GET", "accounts/861821726232/events?order=up", JSON),
        ("GET", "accounts?status=3", JSON),
        ("GET", "accounts?onlineStatus=0", JSON),
        ("GET", "accounts?prefix=86x", JSON),
        ("GET", "accounts?limit=1001", JSON),
        ("GET", "accounts?cursor=x", JSON),
        ("GET", "events?order=desc&after=1", JSON),
        ("GET", "events?before=9", JSON),
        ("GET", "events?order=desc", LIVE),
        ("GET", "overview", JSON),
        ("GET", "settings", JSON),
        ("GET", "events?limit=0", JSON),
        ("GET", "events?limit=1&limit=2", JSON),
        ("GET", "events?type=bannned", JSON),
        ("GET", "events?since=2026-11-26&until=2026-11-25", JSON),
        ("GET", "events?account=0", JSON),
        ("GET", "events?key=seven", JSON),
        ("GET", "acts?origin=me", JSON),
        ("GET", "export?requestid=abc", JSON),
        ("GET", "accounts/861821726232/events?reason~=", JSON),
        ("GET", "events?typo=1", JSON),
        ("GET", "acts?cursor=0", JSON),
        ("GET", "acts?cursor=15", JSON),
        ("GET", "acts?account=861821726232", JSON),
        ("GET", "log/checkpoint?size=1", JSON),
        ("GET", "log/proof/inclusion", JSON),
        ("GET", "log/proof/inclusion?seq=99", JSON),
        ("GET", "log/proof/inclusion?seq=3&size=2", JSON),
        ("GET", "log/proof/consistency?from=9&to=3", JSON),
        ("GET", "log/proof/account/861821729999", JSON),
        ("GET", "export?format=xml", JSON),
        ("POST", "replay?until=someday", JSON),
        ("POST", "projections/nothing/rebuild", JSON),
        ("GET", "backup", JSON),
        ("POST", "events", JSON),
        ("DELETE", "accounts/861821726232", JSON),
        ("GET", "", JSON),
        ("GET", "accounts/", JSON),
        ("GET", "nothing", JSON),
    ];
    let mut golden = String::new();
    for (method, path, accept) in requests {
        let (status, body) = answer(&fixture, method, path, accept).await;
        let kind = match accept {
            NDJSON => " as lines",
            CSV => " as CSV",
            LIVE => " as it happens",
            _ => "",
        };
        writeln!(
            golden,
            "{method} {path}{kind}\n  {status} {}",
            body.trim_end().replace('\r', "\\r").replace('\n', "\n      ")
        )
        .unwrap();
    }
    super::snapshot("http_v1", &golden);
}

/// An error does not repeat a secret in place of a field name, nor a control character that would affect a terminal.
#[tokio::test]
async fn secrets_in_field_names_are_not_repeated() {
    let fixture = AuditFixture::with_history().await;
    for (path, body) in [
        ("keys", r#"{"whsec_secret"}"#),
        ("keys", r#"{"whsec_secret":"key"}"#),
        ("keys", r#"{"\u001bwhsec_secret":1}"#),
        ("keys?%1b[31m%e2%80%ae=1", ""),
        ("keys", r#"{"name":"a","role":"admin","expires":"\u009b"}"#),
    ] {
        let (status, text) = send(&fixture, "POST", path, JSON, body).await;
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 400 && !detail.contains("whsec"), "{detail}");
        assert!(!detail.contains(|letter: char| letter.is_control() || letter == '\u{202e}'), "{detail:?}");
    }
}

/// An event has the same form in every response.
#[tokio::test]
async fn events_have_the_same_form_everywhere() {
    let fixture = AuditFixture::with_history().await;
    let lines = answer(&fixture, "GET", "events", NDJSON).await.1;
    let page = answer(&fixture, "GET", "events", JSON).await.1;
    let listed = lines.trim_end().replace('\n', ",");
    assert_eq!(page, format!("{{\"events\":[{listed}],\"next\":null}}\n"));
    let exported = answer(&fixture, "GET", "export", JSON).await.1;
    assert!(exported.starts_with(&lines), "the export begins with the same lines");
    for number in ["861821726232", "861821720003"] {
        let of_one = |line: &&str| line.contains(&format!("\"subject\":\"{number}\""));
        let expected: String = lines.split_inclusive('\n').filter(of_one).collect();
        assert_eq!(answer(&fixture, "GET", &format!("accounts/{number}/events"), NDJSON).await.1, expected);
        assert_eq!(answer(&fixture, "GET", &format!("events?account={number}"), NDJSON).await.1, expected);
        let bundle = answer(&fixture, "GET", &format!("log/proof/account/{number}"), JSON).await.1;
        assert!(expected.lines().all(|line| bundle.contains(line)), "the bundle has the same lines");
    }
}

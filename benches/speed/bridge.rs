//! Reports of a gateway over the bridge, beside the floor of one online request per HTTP request.

use muster::clock;
use muster::config::SecretText;
use muster::domain::GatewayKind;
use muster::webhooks::signature::WebhookSecret;
use serde_json::{Value, json};

use crate::bench::RoundResult;
use crate::http::{INSERT, ONLINE, numbers, online_floor};
use crate::service::{InProcessService, batch_body, client_runtime};
use crate::wire;

/// Reports in one batch: as many as a gateway with some hundred a second has waiting.
const BATCH: usize = 100;
const REPORTS: &str = "/gateway/v1/reports";
/// A made-up secret: 24 bytes.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/// One gateway reports requested accounts online, batch after batch, each answered once it is durable.
pub fn reports(accounts: u64) -> RoundResult {
    let all: Vec<u64> = numbers(accounts.max(BATCH as u64)).collect();
    let service = InProcessService::start(|settings| {
        settings.gateway.routing.default = GatewayKind::Bridge;
        settings.gateway.bridge.secret = Some(SecretText::new(SECRET));
        // The reports alone end the wait.
        settings.actors.coming_timeout = std::time::Duration::from_secs(3_600);
    });
    let runtime = client_runtime();
    for path in [INSERT, ONLINE] {
        let ask = |chunk: &[u64]| wire::post(path, &batch_body(chunk.iter().copied()));
        runtime.block_on(wire::send(service.address, vec![all.chunks(1_000).map(ask).collect()]));
    }
    let subject = runtime.block_on(wire::send(service.address, vec![batches(&all)]));
    drop(service);
    RoundResult { part: "", units: all.len() as u64, subject, floor: online_floor(64, &all) }
}

/// The requests of one gateway's stream, signed as of now.
fn batches(all: &[u64]) -> Vec<Vec<u8>> {
    let (secret, at) = (WebhookSecret::parse(SECRET).unwrap(), clock::now());
    let report = |(sequence, number): (usize, &u64)| -> Value {
        json!({
            "sequence": sequence + 1,
            "time": "2026-11-28T05:20:00Z",
            "account": number.to_string(),
            "type": "connected",
            "session": 1,
            "instance_code": "I-1",
        })
    };
    let reports: Vec<Value> = all.iter().enumerate().map(report).collect();
    let request = |(nth, reports): (usize, &[Value])| {
        let (id, body) = (format!("batch-{nth}"), json!({"stream": "bench", "reports": reports}).to_string());
        let signature = secret.sign(&id, at, body.as_bytes());
        let seconds = at.0 / 1_000_000;
        let headers = format!("webhook-id: {id}\r\nwebhook-timestamp: {seconds}\r\nwebhook-signature: {signature}\r\n");
        wire::post_with(&headers, REPORTS, &body)
    };
    reports.chunks(BATCH).enumerate().map(request).collect()
}

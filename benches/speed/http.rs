//! Calls over HTTP, beside warp doing as little as it can for the same bytes.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use warp::Filter;

use crate::service::{Service, batch, client_runtime, serve_floor};
use crate::{Round, house, wire};

const INSERT: &str = "/group-dispatch-api/whatsapp/batchInsert";
const QUERY: &str = "/group-dispatch-api/whatsapp/queryWhatsAppStatus";
const ONLINE: &str = "/group-dispatch-api/whatsapp/batchOnline";
const SUCCESS: &str = r#"{"data":"","code":200,"message":"success"}"#;

/// A body of batchInsert as a caller without rules would read it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Batch {
    whats_app_list: Vec<Account>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Account {
    whats_app: String,
    whatsapp_type: Option<i64>,
    #[serde(rename = "override")]
    replace: Option<bool>,
    name: Option<String>,
    avatar: Option<String>,
    public_key: String,
    private_key: String,
    msg_public_key: String,
    msg_private_key: String,
    account_id: Option<String>,
    next_key_id: Option<String>,
    registration_id: Option<String>,
    device_params: Option<String>,
}

/// Made-up numbers whose last four digits choose no fate of the simulator.
fn numbers(count: u64) -> impl Iterator<Item = u64> {
    (861_821_700_000_u64..).filter(|number| number % 10_000 > 6).take(count as usize)
}

/// Accounts that are imported are asked online, one a request, over `connections`.
pub fn online(connections: u64, requests: u64) -> Round {
    let service = Service::start(|_| {});
    let runtime = client_runtime();
    let all: Vec<u64> = numbers(requests.max(connections)).collect();
    let inserts = all.chunks(1_000).map(|chunk| wire::post(INSERT, &batch(chunk.iter().copied()))).collect();
    runtime.block_on(wire::send(service.address, vec![inserts]));
    let requests = || {
        let of_one =
            |chunk: &[u64]| chunk.iter().map(|number| wire::post(ONLINE, &batch([*number].into_iter()))).collect();
        all.chunks(all.len().div_ceil(connections as usize)).map(of_one).collect::<Vec<Vec<_>>>()
    };
    let subject = runtime.block_on(wire::send(service.address, requests()));
    drop(service);
    let route = warp::post()
        .and(warp::path!("group-dispatch-api" / "whatsapp" / "batchOnline"))
        .and(warp::body::json())
        .map(|_: Batch| warp::reply::with_header(SUCCESS, "content-type", "application/json"));
    let floor = runtime.block_on(wire::send(serve_floor(route), requests()));
    Round { units: all.len() as u64, subject, floor }
}

/// New accounts, a thousand a request, one request after the other.
pub fn import(accounts_a_request: u64, requests: u64) -> Round {
    let service = Service::start(|_| {});
    let runtime = client_runtime();
    let all: Vec<u64> = numbers(accounts_a_request * requests).collect();
    let bodies: Vec<String> =
        all.chunks(accounts_a_request as usize).map(|chunk| batch(chunk.iter().copied())).collect();
    let inserts = bodies.iter().map(|body| wire::post(INSERT, body)).collect();
    let subject = runtime.block_on(wire::send(service.address, vec![inserts]));
    drop(service);
    let directory = house::directory();
    let mut file = File::create(directory.path().join("plain")).unwrap();
    let begin = Instant::now();
    for body in &bodies {
        let batch: Batch = serde_json::from_str(body).unwrap();
        assert_eq!(batch.whats_app_list.len() as u64, accounts_a_request);
        file.write_all(body.as_bytes()).unwrap();
        file.sync_data().unwrap();
    }
    Round { units: all.len() as u64, subject, floor: begin.elapsed() }
}

/// The whole account list, asked for by some connections side by side.
pub fn query(accounts: u64, connections: usize, requests: usize) -> Round {
    let service = Service::start(|_| {});
    let runtime = client_runtime();
    let all: Vec<u64> = numbers(accounts).collect();
    let inserts = all.chunks(1_000).map(|chunk| wire::post(INSERT, &batch(chunk.iter().copied()))).collect();
    runtime.block_on(wire::send(service.address, vec![inserts]));
    let queries = || vec![vec![wire::get(QUERY); requests]; connections];
    let subject = runtime.block_on(wire::send(service.address, queries()));
    drop(service);
    let rows: Vec<Value> = all
        .iter()
        .map(|number| serde_json::json!({"whatsApp": number.to_string(), "status": 1, "onlineStatus": 4}))
        .collect();
    let body = Bytes::from(serde_json::json!({"data": rows, "code": 200, "message": "success"}).to_string());
    let route = warp::get()
        .and(warp::path!("group-dispatch-api" / "whatsapp" / "queryWhatsAppStatus"))
        .map(move || warp::http::Response::builder().header("content-type", "application/json").body(body.clone()));
    let floor = runtime.block_on(wire::send(serve_floor(route), queries()));
    Round { units: (connections * requests) as u64, subject, floor }
}

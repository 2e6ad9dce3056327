//! HTTP calls, beside a minimal warp server for the same bytes.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use warp::Filter;

use crate::bench::RoundResult;
use crate::cost::{self, Cost};
use crate::service::{InProcessService, batch_body, client_runtime, serve_floor};
use crate::{fixture, wire};

/// The path of batchInsert.
pub const INSERT: &str = "/group-dispatch-api/whatsapp/batchInsert";
/// The path of batchOnline.
pub const ONLINE: &str = "/group-dispatch-api/whatsapp/batchOnline";
const SUCCESS: &str = r#"{"data":"","code":200,"message":"success"}"#;

/// A body of batchInsert, parsed without validation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct ImportBody {
    whats_app_list: Vec<ImportedAccount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct ImportedAccount {
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

/// Made-up numbers whose last four digits choose no special outcome of the simulator.
pub fn numbers(count: u64) -> impl Iterator<Item = u64> {
    (861_821_700_000_u64..).filter(|number| number % 10_000 > 6).take(count as usize)
}

/// Imported accounts are asked online, one a request, over `connections`.
pub fn online(connections: u64, requests: u64) -> RoundResult {
    let all: Vec<u64> = numbers(requests.max(connections)).collect();
    let subject = ask_online(connections, &all, ExtraHeader::Nothing);
    RoundResult { part: "", units: all.len() as u64, subject, floor: online_floor(connections, &all) }
}

/// The floor of online requests: warp parses the same bodies, and responds.
pub fn online_floor(connections: u64, all: &[u64]) -> Cost {
    let route = warp::post()
        .and(warp::path!("group-dispatch-api" / "whatsapp" / "batchOnline"))
        .and(warp::body::json())
        .map(|_: ImportBody| warp::reply::with_header(SUCCESS, "content-type", "application/json"));
    client_runtime().block_on(wire::send(serve_floor(route), online_requests(connections, all, |_| String::new())))
}

/// The same with an API key in each request, beside the same without.
pub fn online_with_key(connections: u64, requests: u64) -> RoundResult {
    let all: Vec<u64> = numbers(requests.max(connections)).collect();
    let subject = ask_online(connections, &all, ExtraHeader::ApiKey);
    RoundResult {
        part: "",
        units: all.len() as u64,
        subject,
        floor: ask_online(connections, &all, ExtraHeader::Nothing),
    }
}

/// The same with a fresh `Idempotency-Key` in each request, beside the same without.
pub fn online_idempotent(connections: u64, requests: u64) -> RoundResult {
    let all: Vec<u64> = numbers(requests.max(connections)).collect();
    let subject = ask_online(connections, &all, ExtraHeader::IdempotencyKey);
    RoundResult {
        part: "",
        units: all.len() as u64,
        subject,
        floor: ask_online(connections, &all, ExtraHeader::Nothing),
    }
}

/// What each request has in addition.
#[derive(Clone, Copy, PartialEq)]
enum ExtraHeader {
    Nothing,
    ApiKey,
    IdempotencyKey,
}

fn ask_online(connections: u64, all: &[u64], with: ExtraHeader) -> Cost {
    let service = InProcessService::start(|_| {});
    let runtime = client_runtime();
    let key = if with == ExtraHeader::ApiKey { runtime.block_on(first_key(service.address)) } else { String::new() };
    let header = if with == ExtraHeader::ApiKey { format!("authorization: Bearer {key}\r\n") } else { String::new() };
    let header_of = |number: u64| match with {
        ExtraHeader::Nothing | ExtraHeader::ApiKey => header.clone(),
        ExtraHeader::IdempotencyKey => format!("idempotency-key: 9b2f6d8e-51c3-4f0a-8a55-{number}\r\n"),
    };
    let insert = |chunk: &[u64]| wire::post_with(&header, INSERT, &batch_body(chunk.iter().copied()));
    runtime.block_on(wire::send(service.address, vec![all.chunks(1_000).map(insert).collect()]));
    runtime.block_on(wire::send(service.address, online_requests(connections, all, header_of)))
}

fn online_requests(connections: u64, all: &[u64], header: impl Fn(u64) -> String) -> Vec<Vec<Vec<u8>>> {
    let one = |number: &u64| wire::post_with(&header(*number), ONLINE, &batch_body([*number].into_iter()));
    all.chunks(all.len().div_ceil(connections as usize)).map(|chunk| chunk.iter().map(one).collect()).collect()
}

/// Makes the first API key of a service.
async fn first_key(address: SocketAddr) -> String {
    let client = muster::client::streaming_client_builder(Duration::from_secs(5)).build().unwrap();
    let request = client.post(format!("http://{address}/api/v1/keys")).header("content-type", "application/json");
    let answer = request.body(r#"{"name":"bench","role":"admin"}"#).send().await.unwrap().text().await.unwrap();
    serde_json::from_str::<Value>(&answer).unwrap()["key"].as_str().unwrap().to_owned()
}

/// Imports new accounts, `accounts_a_request` a request, one request after the other.
pub fn import(accounts_a_request: u64, requests: u64) -> RoundResult {
    let service = InProcessService::start(|_| {});
    let runtime = client_runtime();
    let all: Vec<u64> = numbers(accounts_a_request * requests).collect();
    let bodies: Vec<String> =
        all.chunks(accounts_a_request as usize).map(|chunk| batch_body(chunk.iter().copied())).collect();
    let inserts = bodies.iter().map(|body| wire::post(INSERT, body)).collect();
    let subject = runtime.block_on(wire::send(service.address, vec![inserts]));
    drop(service);
    let directory = fixture::temp_directory();
    let mut file = File::create(directory.path().join("plain")).unwrap();
    let floor = cost::measure(|| bodies.iter().for_each(|body| parse_and_write(body, &mut file)));
    RoundResult { part: "", units: all.len() as u64, subject, floor }
}

/// The floor of an import: the body is parsed, and written to a plain file with fdatasync.
pub fn parse_and_write(body: &str, file: &mut File) {
    black_box(serde_json::from_str::<ImportBody>(body).unwrap());
    file.write_all(body.as_bytes()).unwrap();
    file.sync_data().unwrap();
}

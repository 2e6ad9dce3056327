//! The whole account list, beside warp sending the same bytes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use muster::config::SecretText;
use muster::domain::GatewayKind;
use tokio::runtime::Runtime;
use warp::Filter;
use warp::http::{Response, StatusCode};

use crate::bench::{RoundResult, Scale};
use crate::bridge::SECRET;
use crate::cost::Cost;
use crate::http::{INSERT, ONLINE, numbers};
use crate::service::{InProcessService, batch_body, client_runtime, serve_floor};
use crate::wire;

/// The path of the list.
pub const QUERY: &str = "/group-dispatch-api/whatsapp/queryWhatsAppStatus";
const GZIP: &str = "accept-encoding: gzip\r\n";
/// Concurrent connections that request an unchanged list.
const CONNECTIONS: usize = 4;
/// How often each of them requests a list of a million accounts.
const REQUESTS: usize = 5;
/// Responses with that list after a change, one after the other.
const CHANGES: usize = 10;

/// The list of this many accounts, uncompressed and unchanged, requested over several connections.
pub fn unchanged(accounts: u64) -> RoundResult {
    let runtime = client_runtime();
    let (service, _) = service_with(&runtime, accounts);
    let requests = || vec![vec![wire::get(QUERY); 25]; CONNECTIONS];
    let floor = static_body(200, wire::fetch(service.address, "", QUERY).1);
    round("", &runtime, &service, floor, requests)
}

/// The list of a million accounts in every variant of the request.
pub fn million(scale: &Scale) -> Vec<RoundResult> {
    let runtime = client_runtime();
    let (service, numbers) = service_with(&runtime, scale.units(1_000_000));
    let mut to_change = numbers.iter();
    let mut rounds = Vec::new();
    for _ in 0..scale.repeat(3) {
        for (headers, part, part_changed) in [("", "", "/changed"), (GZIP, "/gzip", "/gzip/changed")] {
            let floor = static_body(200, wire::fetch(service.address, headers, QUERY).1);
            let requests = || vec![vec![wire::get_with(headers, QUERY); REQUESTS]; CONNECTIONS];
            rounds.push(round(part, &runtime, &service, floor, requests));

            // The change itself is not measured.
            let ask = |address| runtime.block_on(wire::send(address, vec![vec![wire::get_with(headers, QUERY)]]));
            let (mut subject, mut of_floor) = (Cost::NOTHING, Cost::NOTHING);
            for _ in 0..CHANGES {
                let number = *to_change.next().unwrap();
                let change = wire::post(ONLINE, &batch_body([number].into_iter()));
                runtime.block_on(wire::send(service.address, vec![vec![change]]));
                subject = subject + ask(service.address);
                of_floor = of_floor + ask(floor);
            }
            rounds.push(RoundResult { part: part_changed, units: CHANGES as u64, subject, floor: of_floor });
        }
        rounds.push(not_modified(&runtime, &service));
    }
    rounds
}

/// Requests with the current entity tag; the response is a 304.
fn not_modified(runtime: &Runtime, service: &InProcessService) -> RoundResult {
    let (head, _) = wire::fetch(service.address, "", QUERY);
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let knows = format!("if-none-match: {etag}\r\n");
    let requests = || vec![vec![wire::get_with(&knows, QUERY); 1_000]; CONNECTIONS];
    let ask = |address| runtime.block_on(wire::send_for(304, address, requests()));
    let (subject, floor) = (ask(service.address), ask(static_body(304, Vec::new())));
    RoundResult { part: "/304", units: CONNECTIONS as u64 * 1_000, subject, floor }
}

fn round(
    part: &'static str,
    runtime: &Runtime,
    service: &InProcessService,
    floor: SocketAddr,
    requests: impl Fn() -> Vec<Vec<Vec<u8>>>,
) -> RoundResult {
    let units = requests().iter().map(|of_one| of_one.len() as u64).sum();
    let ask = |address| runtime.block_on(wire::send(address, requests()));
    RoundResult { part, units, subject: ask(service.address), floor: ask(floor) }
}

/// A service with this many accounts. A request about one of them changes the list once: no gateway answers for it.
fn service_with(runtime: &Runtime, accounts: u64) -> (InProcessService, Vec<u64>) {
    let service = InProcessService::start(|settings| {
        settings.gateway.routing.default = GatewayKind::Bridge;
        settings.gateway.bridge.secret = Some(SecretText::new(SECRET));
        settings.actors.coming_timeout = Duration::from_secs(3_600);
    });
    let all: Vec<u64> = numbers(accounts).collect();
    for chunk in all.chunks(10_000) {
        let insert = wire::post(INSERT, &batch_body(chunk.iter().copied()));
        runtime.block_on(wire::send(service.address, vec![vec![insert]]));
    }
    (service, all)
}

/// A warp server that answers every request with this status and body.
pub fn static_body(status: u16, body: Vec<u8>) -> SocketAddr {
    let (status, body) = (StatusCode::from_u16(status).unwrap(), Bytes::from(body));
    let route = warp::get()
        .and(warp::path!("group-dispatch-api" / "whatsapp" / "queryWhatsAppStatus"))
        .map(move || Response::builder().status(status).header("content-type", "application/json").body(body.clone()));
    serve_floor(route)
}

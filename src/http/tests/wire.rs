//! The whole API on a loopback socket, with a gateway that never answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::reply::Response;

use super::account;
use crate::actors::Accounts;
use crate::config::HttpSettings;
use crate::domain::{Command, Reason};
use crate::http::fuzz::start_api;
use crate::http::serve;
use crate::limits::{COMMANDS_IN_FLIGHT, INLINE_BODY_BYTES};
use crate::testkit::fixture::StorageFixture;

/// The API on a socket.
struct HttpServerFixture {
    address: SocketAddr,
    is_ready: Arc<AtomicBool>,
    accounts: Accounts,
    _runtime: Runtime,
    fixture: StorageFixture,
}

impl HttpServerFixture {
    fn start(change: impl FnOnce(&mut HttpSettings)) -> HttpServerFixture {
        let fixture = StorageFixture::with_settings(|settings| change(&mut settings.http));
        let runtime = Runtime::new().unwrap();
        let is_ready = Arc::new(AtomicBool::new(true));
        let (address, accounts) = runtime.block_on(async {
            let stop = CancellationToken::new();
            let api = start_api(&fixture, is_ready.clone(), &stop);
            let accounts = api.service().accounts.clone();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let no_pages = warp::path!("none").map(|| Response::new("".into())).boxed();
            tokio::spawn(serve(listener, api, no_pages, None, stop));
            (address, accounts)
        });
        HttpServerFixture { address, is_ready, accounts, _runtime: runtime, fixture }
    }

    /// Sends one request and returns the whole response. `head` is the request line and the headers.
    fn send(&self, head: &str, body: &str) -> RawHttpResponse {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = head.replace('\n', "\r\n");
        let length = body.len();
        write!(stream, "{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n").unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        RawHttpResponse::read(&mut stream)
    }

    fn post(&self, path: &str, body: &str) -> RawHttpResponse {
        let head = format!("POST /group-dispatch-api/{path} HTTP/1.1\ncontent-type: application/json");
        self.send(&head, body)
    }

    fn list(&self, query: &str, headers: &str) -> RawHttpResponse {
        let line = format!("GET /group-dispatch-api/whatsapp/queryWhatsAppStatus{query} HTTP/1.1");
        self.send(&(line + headers), "")
    }
}

struct RawHttpResponse {
    status: u16,
    /// The status line and the headers, one per line; hyper writes names in lower case.
    head: String,
    body: Vec<u8>,
}

impl RawHttpResponse {
    fn read(stream: &mut TcpStream) -> RawHttpResponse {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        RawHttpResponse::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> RawHttpResponse {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        RawHttpResponse { status, head, body: bytes[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

const SUCCESS: &str = r#"{"data":"","code":200,"message":"success"}"#;

#[test]
fn accounts_go_through_the_api() {
    let server = HttpServerFixture::start(|_| {});
    let one = r#"{"whatsAppList":["861821726232"]}"#;
    let many: Vec<String> =
        (0..400).map(|n| account(&[("whatsApp", &format!("\"861821{n:06}\"")), ("accountId", "\"\"")])).collect();
    let many = super::batch(&many);
    assert!(many.len() > INLINE_BODY_BYTES, "this batch is sealed off the workers");
    let phone = r#"{"phone":"1821726299","verifyType":0,"accountType":1,"areaCode":"+86","countryCode":"CN"}"#;
    let code = r#"{"phone":"1821726299","verifyCode":"123456","areaCode":"+86"}"#;
    let check = |path: &str, body: &str, status: u16, expected: &str| {
        let answer = server.post(path, body);
        assert_eq!((answer.status, answer.text()), (status, expected), "{path}");
    };
    check(
        "register/submitVerifyCode",
        code,
        404,
        &refused(
            "",
            404,
            "861821726299 has no registration that waits for a \
        code; submit the phone number first",
        ),
    );
    let repeated = r#"{"phone":"8613812345678","verifyType":1,"accountType":2,"areaCode":"+86","countryCode":"CN"}"#;
    let meant = r#"{"data":0,"code":400,"message":"phone repeats the calling code, so it is no possible number of +86; you probably mean 13812345678"}"#;
    check("register/submitPhone", repeated, 400, meant);
    check("register/submitPhone", phone, 200, r#"{"data":1,"code":200,"message":"success"}"#);
    check("register/submitPhone", phone, 200, r#"{"data":2,"code":200,"message":"success"}"#);
    check("register/submitVerifyCode", code, 200, SUCCESS);
    check("whatsapp/batchRecycle", one, 409, &refused("", 409, "861821726232 is unknown; import it first"));
    check("whatsapp/batchInsert", r#"{"whatsAppList":[]}"#, 200, SUCCESS);
    check("whatsapp/batchOnline", &super::batch(&[account(&[])]), 200, SUCCESS);
    check("whatsapp/batchInsert", &many, 200, SUCCESS);
    let row = r#"{"data":[{"whatsApp":"861821726232","status":1,"onlineStatus":1}],"code":200,"message":"success"}"#;
    assert_eq!(server.list("?whatsApp=861821726232", "").text(), row);
    check("whatsapp/batchRecycle", "{}", 200, SUCCESS);
    assert_eq!(server.list("?whatsApp=861821726232", "").text(), row.replace("Status\":1}", "Status\":3}"));
    assert_eq!(server.list("?whatsApp=861821726231", "").text(), SUCCESS.replace("\"\"", "[]"));
    assert_eq!(server.list("?whatsApp=1", "").status, 400);
    assert_eq!(server.list("", "").text().matches("whatsApp").count(), 402);
}

fn refused(data: &str, code: u16, message: &str) -> String {
    format!(r#"{{"data":"{data}","code":{code},"message":"{message}"}}"#)
}

#[test]
fn the_list_is_sent_only_when_it_changed() {
    let server = HttpServerFixture::start(|_| {});
    server.post("whatsapp/batchOnline", &super::batch(&[account(&[])]));
    let (plain, gzip) = (server.list("", ""), server.list("", "\naccept-encoding: gzip"));
    assert_eq!(plain.header("content-length"), Some(plain.body.len().to_string().as_str()));
    assert_eq!(gzip.header("content-length"), Some(gzip.body.len().to_string().as_str()));
    assert_eq!((gzip.header("content-encoding"), &gzip.body[..2]), (Some("gzip"), &[0x1f, 0x8b][..]));
    assert_eq!((plain.header("vary"), gzip.header("vary")), (Some("accept-encoding"), Some("accept-encoding")));
    let (etag, gzip_etag) = (plain.header("etag").unwrap(), gzip.header("etag").unwrap());
    assert_ne!(etag, gzip_etag);
    let again = |tag: &str| server.list("", &format!("\nif-none-match: {tag}"));
    let unchanged = again(etag);
    assert_eq!((unchanged.status, unchanged.header("etag"), unchanged.text()), (304, Some(etag), ""));
    assert_eq!(again(gzip_etag).status, 200);
    server.post("whatsapp/batchRecycle", "{}");
    assert_eq!(again(etag).status, 200);
}

#[test]
fn every_request_gets_an_envelope() {
    let server = HttpServerFixture::start(|http| http.max_body_bytes = 1_000);
    let check = |head: &str, body: &str, status: u16, start: &str| {
        let answer = server.send(head, body);
        assert_eq!(answer.status, status, "{head}");
        assert!(answer.text().starts_with(start), "{head}: {}", answer.text());
        answer
    };
    let online = "/group-dispatch-api/whatsapp/batchOnline HTTP/1.1";
    let list = "/group-dispatch-api/whatsapp/queryWhatsAppStatus HTTP/1.1";
    check("GET /nowhere HTTP/1.1", "", 404, r#"{"data":"","code":404,"#);
    check("GET /group-dispatch-api HTTP/1.1", "", 404, r#"{"data":"","code":404,"#);
    let answer = check(&format!("GET {online}"), "", 405, r#"{"data":"","code":405,"#);
    assert_eq!(answer.header("allow"), Some("POST"));
    check(&format!("POST {list}"), "{}", 405, r#"{"data":[],"code":405,"#);
    let (whole, head) = (check(&format!("GET {list}"), "", 200, "{"), check(&format!("HEAD {list}"), "", 200, ""));
    assert_eq!((head.header("content-length"), &head.body[..]), (whole.header("content-length"), &b""[..]));
    let malformed = |headers: &str, body: &str, status: u16, words: &str| {
        let start = format!(r#"{{"data":"","code":{status},"message":"the body {words}"#);
        check(&format!("POST {online}{headers}"), body, status, &start);
    };
    malformed("\ncontent-type: text/xml", "<a/>", 415, "is sent as text/xml; send JSON in UTF-8, with ");
    malformed("\ncontent-encoding: gzip", "", 415, "is compressed, as its Content-Encoding says; send it uncompressed");
    malformed("", " ", 400, "is empty; send JSON");
    malformed("", "\u{feff}{}", 400, "begins with a byte-order mark; send UTF-8 without it");
    check("GET // HTTP/1.1", "", 404, r#"{"data":"","code":404,"#);
    check("GET //accounts HTTP/1.1\naccept: */*", "", 404, r#"{"data":"","code":404,"#);
    check(
        &format!("POST {}", online.replace(' ', "?details=maybe ")),
        "{}",
        400,
        r#"{"data":"","code":400,"message":"details must be true or false"}"#,
    );
    // The client sends everything before it reads, and must still get the response.
    check(&format!("POST {online}"), &" ".repeat(8_000_000), 413, r#"{"data":"","code":413,"#);
    let pause = "POST /api/v1/webhooks/sync/pause HTTP/1.1\ncontent-type: application/json";
    check(pause, &" ".repeat(8_000_000), 413, r#"{"type":"about:blank","#);
    let answer = check("GET /healthz HTTP/1.1\nx-request-id: 7c9e6679-trace/1", "", 200, SUCCESS);
    assert_eq!(answer.header("x-request-id"), Some("7c9e6679-trace/1"));
    let answer = check("GET /readyz HTTP/1.1\nx-request-id: a b", "", 200, SUCCESS);
    assert_eq!(answer.header("x-request-id").map(str::len), Some(32), "an id with a space is replaced");
    check("GET /healthz?%ff&=&&a=%zz&+ HTTP/1.1", "", 200, SUCCESS);
    server.is_ready.store(false, Ordering::Relaxed);
    let answer = check("GET /readyz HTTP/1.1", "", 503, r#"{"data":"","code":503,"#);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// A request that exceeds its deadline gets an error in the form of the endpoint.
#[test]
fn requests_have_a_deadline() {
    let server = HttpServerFixture::start(|http| http.request_timeout = Duration::from_millis(20));
    let send_half = |path: &str| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(stream, "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{{")
            .unwrap();
        // The server still waits for the rest of the body, so the connection stays open.
        let mut received = Vec::new();
        while !received.ends_with(b"}") {
            let mut piece = [0; 1_024];
            let length = stream.read(&mut piece).unwrap();
            received.extend_from_slice(&piece[..length]);
        }
        let answer = RawHttpResponse::parse(&received);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
        answer
    };
    let documented = send_half("/group-dispatch-api/register/submitPhone");
    let words = "no response within 20ms; the request may still complete, in full or in part: check queryWhatsAppStatus \
        before you retry";
    assert_eq!(documented.text(), format!(r#"{{"data":0,"code":503,"message":"{words}"}}"#));
    let v1 = send_half("/api/v1/keys");
    assert_eq!(v1.header("content-type"), Some("application/problem+json"));
    assert!(v1.text().contains("the request may still complete"), "{}", v1.text());
}

/// An order without capacity is not started, so nothing is recorded.
#[test]
fn orders_without_capacity_are_not_recorded() {
    let server = HttpServerFixture::start(|_| {});
    let order = || {
        let head = "POST /api/v1/accounts/recycle HTTP/1.1\ncontent-type: application/json";
        server.send(head, r#"{"accounts":["861821726232"],"reason":"maintenance"}"#)
    };
    let recycle = ("861821726232".parse().unwrap(), Command::Recycle { comes_back: false, reason: Reason::none() });
    let reserved = server.accounts.reserve(vec![recycle; COMMANDS_IN_FLIGHT]).unwrap();
    let refused = order();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.text());
    assert!(refused.text().contains("65536 commands are in progress"), "{}", refused.text());
    assert_eq!(server.fixture.journal.head(), 0);
    drop(reserved);
    assert_eq!((order().status, server.fixture.journal.head()), (200, 1));
}

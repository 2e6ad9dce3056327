//! A key is checked when a request is carried out: requests whose last byte comes late, and streams that are read
//! slowly.

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::access::{ACCOUNT, DOCUMENTED, body, create_key};
use crate::service_process::{ProcessOutput, ServiceProcess, TEST_TIMEOUT, temp_directory, wait_for_exit};

/// These endpoints act on the head of a request: they have no body that could come late.
const WITHOUT_BODY: [&str; 4] = ["projections/{name}/rebuild", "verify", "replay", "backup"];

/// A request whose last byte is not sent yet.
struct HeldRequest {
    name: String,
    stream: TcpStream,
    last: u8,
}

impl HeldRequest {
    /// Sends all but the last byte of the body, once the service has read the head and asks for the body.
    async fn start(muster: &ServiceProcess, method: &str, path: &str, more: &str, body: &str) -> HeldRequest {
        let name = format!("{method} {path}");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nexpect: 100-continue\r\n{more}\
             content-length: {length}\r\n\r\n"
        );
        let mut stream = connect(muster).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        timeout(TEST_TIMEOUT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100 "), "{name}: {}", String::from_utf8_lossy(&answer));
        let (last, begin) = body.as_bytes().split_last().unwrap();
        stream.write_all(begin).await.unwrap();
        HeldRequest { name, stream, last: *last }
    }

    /// Sends the last byte; returns the status of the response.
    async fn finish(mut self) -> (String, u16) {
        self.stream.write_all(&[self.last]).await.unwrap();
        let (answer, _) = read_to_end(&mut self.stream).await;
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (self.name, status)
    }
}

async fn connect(muster: &ServiceProcess) -> TcpStream {
    // A small buffer, so that little of a response is under way.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(muster.url("").replace("http://", "").parse().unwrap()).await.unwrap()
}

/// All that comes until the connection ends, and whether it was closed or broken.
async fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut all = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match timeout(TEST_TIMEOUT, stream.read(&mut piece)).await.unwrap() {
            Ok(0) => return (all, Ok(())),
            Ok(length) => all.extend_from_slice(&piece[..length]),
            Err(error) => return (all, Err(error.kind())),
        }
    }
}

/// One request to each endpoint that acts on a body, and one for each form of the console. `more` are header lines.
async fn hold_all_requests(muster: &ServiceProcess, more: &str) -> Vec<HeldRequest> {
    let json = format!("{more}content-type: application/json\r\n");
    let keyed = format!("{json}idempotency-key: late\r\n");
    let plain = format!("{more}content-type: text/plain\r\n");
    let form = format!("{more}content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin\r\n");
    let segment = |name: &str| match name {
        "{account}" => ACCOUNT.to_owned(),
        "{channel}" => "sync".to_owned(),
        "{name}" => "simulator".to_owned(),
        "{position}" | "{key}" => "1".to_owned(),
        name => name.to_owned(),
    };
    let ours =
        ::muster::http::endpoints().filter_map(|endpoint| Some((endpoint, endpoint.path.strip_prefix("/api/v1/")?)));
    let ours = ours.filter(|(endpoint, path)| endpoint.method != "GET" && !WITHOUT_BODY.contains(path));
    let ours = ours.map(|(endpoint, path)| {
        let segments: Vec<String> = endpoint.path.split('/').map(segment).collect();
        let body = match path {
            "keys" => json!({"name": "late", "role": "admin"}),
            "accounts/online" | "accounts/recycle" => json!({"accounts": [ACCOUNT], "reason": "late"}),
            "accounts/{account}/labels" => json!({"labels": {"team": "late"}}),
            "webhooks/{channel}/url" => json!({"url": "http://127.0.0.1:9/late"}),
            "webhooks/{channel}/app-secret" => json!({"tenantId": "500975", "secret": "f9a40a4780f5e1306c46"}),
            "webhooks/{channel}/redeliver" => json!({"state": "dead"}),
            "webhooks/{channel}/resync" | "webhooks/{channel}/dead-letters/replay" => json!({"all": true}),
            "webhooks/{channel}/dead-letters/drop" => json!({"all": true, "reason": "late"}),
            "vault/rotate" | "webhooks/{channel}/secret" => json!({}),
            _ => json!({"reason": "late"}),
        };
        let headers = if path == "log/check" { &plain } else { &json };
        (endpoint.method.as_str(), segments.join("/"), headers, body.to_string())
    });
    let documented = DOCUMENTED.iter().filter(|(method, _)| *method == "POST").flat_map(|(method, path)| {
        let at = format!("/group-dispatch-api/{path}");
        [&json, &keyed].map(|headers| (*method, at.clone(), headers, body(path).to_string()))
    });
    let forms = [
        ("/accounts", format!("account={ACCOUNT}&order=recycle&reason=late")),
        (&format!("/accounts/{ACCOUNT}/labels"), "labels=team%3Alate".to_owned()),
        ("/keys", "name=late&role=admin".to_owned()),
        ("/gateways", "gateway=simulator&reason=late".to_owned()),
        ("/projections", "projection=roster".to_owned()),
        ("/webhooks/sync", "act=pause&reason=late".to_owned()),
        ("/webhooks/sync/deliveries/1", "act=resend".to_owned()),
    ];
    let forms = forms.map(|(path, body)| ("POST", path.to_owned(), &form, body));
    let all = ours.chain(documented).chain(forms);
    let sent = all.map(|(method, path, headers, body)| async move {
        HeldRequest::start(muster, method, &path, headers, &body).await
    });
    join_all(sent).await
}

/// Sends the last bytes: all requests are refused, and nothing has happened.
async fn assert_all_rejected(muster: &ServiceProcess, admin: &str, late: Vec<HeldRequest>) {
    let position = async || {
        let asked = muster.client().get(muster.url("/api/v1/projections")).bearer_auth(admin);
        muster.send(asked).await.unwrap().json()["head"]["position"].clone()
    };
    let before = position().await;
    for (name, status) in join_all(late.into_iter().map(HeldRequest::finish)).await {
        assert_eq!(status, 401, "{name}");
    }
    assert_eq!(position().await, before);
}

const QUIET: [(&str, &str); 1] = [("MUSTER_SIMULATOR__DELAY_MS", "3600000")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_meanwhile_does_nothing() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &QUIET);
    let server = muster.url("");
    let admin = create_key(&["--name", "admin", "--role", "admin", "--server", &server], &[]);
    let arguments = ["--name", "revoked", "--role", "admin", "--server", &server];
    let key = create_key(&arguments, &[("MUSTER_API_KEY", &admin)]);
    let more = format!("authorization: Bearer {key}\r\n");
    // A response stored under an Idempotency-Key belongs to its API key, too.
    let post = |path: &str| muster.client().post(muster.url(&format!("/group-dispatch-api/{path}"))).bearer_auth(&key);
    let batch = post("whatsapp/batchInsert").header("idempotency-key", "late");
    let batch = batch.header("content-type", "application/json").body(body("whatsapp/batchInsert").to_string());
    assert_eq!(muster.send(batch).await.unwrap().status, 200);
    let late = hold_all_requests(&muster, &more).await;
    let revoke = muster.client().delete(muster.url("/api/v1/keys/2")).bearer_auth(&admin);
    assert_eq!(muster.send(revoke).await.unwrap().status, 200);
    assert_all_rejected(&muster, &admin, late).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anonymous_requests_fail_once_the_first_key_exists() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &QUIET);
    let late = hold_all_requests(&muster, "").await;
    // Of several requests for the first key, one succeeds.
    let body = r#"{"name":"first","role":"admin"}"#;
    let first = (0..12).map(|_| HeldRequest::start(&muster, "POST", "/api/v1/keys", "", body));
    let first = join_all(first).await.into_iter().map(async |mut late| {
        late.stream.write_all(&[late.last]).await.unwrap();
        String::from_utf8(read_to_end(&mut late.stream).await.0).unwrap()
    });
    let (given, refused): (Vec<_>, Vec<_>) =
        join_all(first).await.into_iter().partition(|answer| answer.starts_with("HTTP/1.1 200 "));
    assert!(given.len() == 1 && refused.iter().all(|it| it.starts_with("HTTP/1.1 401 ")), "{given:?} {refused:?}");
    let given: Value = serde_json::from_str(given[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_all_rejected(&muster, given["key"].as_str().unwrap(), late).await;
}

/// A verb that reads a stream says that its key ended, not that the journal may be at fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verb_whose_key_ends_says_so() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &QUIET);
    let server = muster.url("");
    let admin = create_key(&["--name", "admin", "--role", "admin", "--server", &server], &[]);
    let key =
        create_key(&["--name", "reader", "--role", "auditor", "--server", &server], &[("MUSTER_API_KEY", &admin)]);
    let follow = ["events", "--after", "0", "--follow", "--server", &server];
    let mut child = crate::service_process::muster_command(&follow, &[("MUSTER_API_KEY", &key)]).spawn().unwrap();
    let read = ProcessOutput::read_from(child.stdout.take().unwrap());
    assert!(read.next_line().unwrap().contains("api_key_created"), "it follows");
    let revoke = muster.client().delete(muster.url("/api/v1/keys/2")).bearer_auth(&admin);
    assert_eq!(muster.send(revoke).await.unwrap().status, 200);
    let said = ProcessOutput::read_from(child.stderr.take().unwrap());
    assert_eq!(wait_for_exit(&mut child).code(), Some(1));
    assert_eq!(said.read_rest(), "muster: this API key was revoked; ask the administrator for another\n");
}

/// A stream ends with the key of its reader, who sees that it was cut short.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_breaks_off_with_its_key() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &QUIET);
    let server = muster.url("");
    let admin = create_key(&["--name", "admin", "--role", "admin", "--server", &server], &[]);
    // The shortest list has 2 MB. The buffers of a connection may hold 1.3 MB of it, and its end must not be there.
    for batch in 0..4 {
        let one = body("whatsapp/batchInsert")["whatsAppList"][0].clone();
        let accounts: Vec<Value> = (0..10_000)
            .map(|number| {
                let mut account = one.clone();
                account["whatsApp"] = json!((861_821_700_000_u64 + batch * 10_000 + number).to_string());
                account
            })
            .collect();
        let body = json!({"whatsAppList": accounts}).to_string();
        let post = muster.client().post(muster.url("/group-dispatch-api/whatsapp/batchInsert")).bearer_auth(&admin);
        let answer = muster.send(post.header("content-type", "application/json").body(body)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let begin = async |version: &str, key: &str, request: &str, accept: &str| {
        let mut stream = connect(&muster).await;
        let head = format!(
            "{request} {version}\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\
             accept: {accept}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut begun = vec![0; 15];
        timeout(TEST_TIMEOUT, stream.read_exact(&mut begun)).await.unwrap().unwrap();
        assert_eq!(begun, format!("{version} 200 OK").into_bytes(), "{request}");
        (format!("{version}: {request}, {accept}"), stream, begun)
    };
    let lines = "application/x-ndjson";
    for (id, version) in [(2, "HTTP/1.1"), (3, "HTTP/1.0")] {
        let arguments = ["--name", version, "--role", "admin", "--server", &server];
        let key = create_key(&arguments, &[("MUSTER_API_KEY", &admin)]);
        let mut streams = Vec::new();
        for (request, accept) in [
            ("GET /api/v1/export", "*/*"),
            ("GET /api/v1/export?format=csv", "*/*"),
            ("POST /api/v1/backup", "*/*"),
            ("GET /api/v1/events", lines),
            ("GET /api/v1/accounts", lines),
            ("GET /api/v1/accounts", "text/csv"),
            ("GET /api/v1/events?after=0", "text/event-stream"),
            ("GET /api/v1/events", "text/event-stream"),
            ("GET /events/live", "text/event-stream"),
        ] {
            streams.push(begin(version, &key, request, accept).await);
        }
        let revoke = muster.client().delete(muster.url(&format!("/api/v1/keys/{id}"))).bearer_auth(&admin);
        assert_eq!(muster.send(revoke).await.unwrap().status, 200);
        // Longer than a second, before anything more is read.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        for (name, mut stream, mut answer) in streams {
            let (more, end) = read_to_end(&mut stream).await;
            answer.extend(more);
            let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
            let (head, body) = (String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase(), &answer[head..]);
            if version == "HTTP/1.0" {
                assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{name}: {head}");
                assert_eq!(end, Err(ErrorKind::ConnectionReset), "{name}: {} bytes came", body.len());
                continue;
            }
            assert!(head.contains("transfer-encoding: chunked"), "{name}: {head}");
            assert!(!body.ends_with(b"0\r\n\r\n"), "{name}: {} bytes came, and the end", body.len());
        }
    }
}

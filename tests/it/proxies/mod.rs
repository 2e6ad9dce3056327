//! Muster behind real reverse proxies, with the configurations of the manual. Callers have addresses of loopback.

mod proxy_process;

use std::time::Duration;

use futures_util::future::join_all;
use muster::limits::{BODY_BYTES, LIVE_TAIL_HEARTBEAT};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::access::create_key;
use crate::service_process::{ServiceProcess, TEST_TIMEOUT, temp_directory};
use crate::testkit::requests::{INSERT, account_with, accounts};
use proxy_process::{PREFIX, ProxyProcess, Software};

/// Requests a second of one key or address: few, so that a test can exceed them.
const REQUESTS_PER_SECOND: usize = 50;

/// A service and its proxy. The proxy reaches the service from 127.0.0.1; callers have other addresses.
struct Deployment {
    proxy: ProxyProcess,
    muster: ServiceProcess,
    /// The prefix of all paths, or an empty text.
    base: &'static str,
    _data: TempDir,
}

impl Deployment {
    fn start(software: Software, base: &'static str) -> Deployment {
        let (data, limit) = (temp_directory(), REQUESTS_PER_SECOND.to_string());
        let settings = [
            ("MUSTER_HTTP__TRUSTED_PROXIES", "127.0.0.1"),
            ("MUSTER_HTTP__REQUESTS_PER_SECOND", limit.as_str()),
            ("MUSTER_HTTP__BASE_PATH", base),
        ];
        let muster = ServiceProcess::start(data.path(), &settings);
        let proxy = ProxyProcess::start(software, muster.url("").strip_prefix("http://").unwrap(), !base.is_empty());
        Deployment { proxy, muster, base, _data: data }
    }

    /// The URL of a path of Muster, through the proxy.
    fn url(&self, path: &str) -> String {
        self.proxy.url(&format!("{}{path}", self.base))
    }

    fn create_admin(&self) -> String {
        create_key(&["--name", "admin", "--role", "admin", "--server", &self.muster.url("")], &[])
    }
}

async fn send(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn nginx() {
    check_all(Software::Nginx).await;
}

#[tokio::test]
async fn haproxy() {
    check_all(Software::Haproxy).await;
}

#[tokio::test]
async fn caddy() {
    check_all(Software::Caddy).await;
}

/// The shortest configuration that many guides show. It adds no header, and the service takes everybody for 127.0.0.1.
#[tokio::test]
async fn a_mere_proxy_pass_of_nginx() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let configuration = "server {
        listen 443 ssl;
        ssl_certificate /etc/ssl/muster/cert.pem;
        ssl_certificate_key /etc/ssl/muster/key.pem;
        location / { proxy_pass http://127.0.0.1:8080; }
    }";
    let proxy = ProxyProcess::start_nginx(muster.url("").strip_prefix("http://").unwrap(), configuration);
    assert_eq!(muster.get("/api/v1/accounts").await.status, 200, "a program on this machine");
    assert_needs_key(&proxy, "").await;
    assert_eq!(send(proxy.client(2).get(proxy.url("/healthz"))).await.0, 200, "health is public");
}

/// An unknown path is answered with the path that a caller would use, whether the proxy forwards the prefix or removes it.
#[tokio::test]
async fn suggested_paths_have_the_prefix() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_HTTP__BASE_PATH", PREFIX)]);
    for (path, expected) in [
        ("/batchinsert", "did you mean /muster/group-dispatch-api/whatsapp/batchInsert?"),
        ("/unknown", "the API is under /muster/group-dispatch-api"),
        ("/api/v1/acounts", "did you mean /muster/api/v1/accounts?"),
    ] {
        for sent in [path.to_owned(), format!("{PREFIX}{path}")] {
            let response = muster.get(&sent).await;
            assert_eq!(response.status, 404, "{sent}");
            assert!(response.text.contains(&format!("no such path; {expected}")), "{sent}: {}", response.text);
        }
    }
}

/// Each API rejects malformed headers of a trusted proxy in its own form, and counts the request.
#[tokio::test]
async fn malformed_headers_are_rejected_in_the_form_of_each_api() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_HTTP__TRUSTED_PROXIES", "127.0.0.1")]);
    for (path, kind, body) in [
        (INSERT, "application/json", r#"{"data":"","code":400,"message":"the header X-Forwarded-For, which"#),
        ("/api/v1/accounts", "application/problem+json", r#""status":400,"detail":"the header X-Forwarded-For, which"#),
        (
            "/gateway/v1/work",
            "application/json",
            r#"{"error":{"code":"malformed","message":"the header X-Forwarded-For"#,
        ),
        ("/accounts", "text/html; charset=utf-8", "the header X-Forwarded-For, which"),
    ] {
        let request =
            muster.client().request(if path == INSERT { Method::POST } else { Method::GET }, muster.url(path));
        let request = request.header("x-forwarded-for", "unknown").header("x-request-id", "a-request");
        let response = muster.send(request.body(accounts(["861821726232"]))).await.unwrap();
        assert_eq!((response.status, response.header("content-type")), (400, kind), "{path}: {}", response.text);
        assert_eq!(response.header("x-request-id"), "a-request", "{path}");
        assert!(response.text.contains(body), "{path}: {}", response.text);
    }
    let metrics = muster.get("/metrics").await.text;
    for route in [INSERT, "/api/v1/accounts"] {
        let line = format!("muster_http_requests_total{{route=\"{route}\",status=\"4xx\"}} 1\n");
        assert!(metrics.contains(&line), "{route}: {metrics}");
    }
    assert_eq!(muster.get("/api/v1/accounts").await.json()["accounts"], json!([]), "nothing was carried out");
}

async fn check_all(software: Software) {
    for base in ["", PREFIX] {
        let deployment = Deployment::start(software, base);
        assert_needs_key(&deployment.proxy, base).await;
        let admin = deployment.create_admin();
        check_caller(&deployment, &admin).await;
        check_bodies_and_connections(&deployment, &admin).await;
        check_live_tail(&deployment, &admin).await;
        check_console(&deployment, &admin).await;
        check_description(&deployment).await;
        check_prefix(&deployment).await;
        check_rates(&deployment, &admin).await;
    }
}

/// Without a key, the service refuses everybody behind the proxy, and says what to do.
async fn assert_needs_key(proxy: &ProxyProcess, base: &str) {
    let caller = proxy.client(2);
    for path in ["/api/v1/accounts", "/group-dispatch-api/whatsapp/queryWhatsAppStatus", "/accounts"] {
        // A caller may claim to be on this machine.
        let request = caller.get(proxy.url(&format!("{base}{path}"))).header("x-forwarded-for", "127.0.0.1");
        let (status, text) = send(request).await;
        assert_eq!(status, 403, "{path}: {text}");
        for words in ["reverse proxy", "muster keys create"] {
            assert!(text.contains(words), "{path}: {text}");
        }
    }
}

/// The audit log has the caller's address, whatever the caller claims.
async fn check_caller(deployment: &Deployment, admin: &str) {
    let caller = deployment.proxy.client(2);
    let forged = [
        ("x-forwarded-for", "192.0.2.66"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "forged.example"),
        ("forwarded", "for=192.0.2.66;proto=http;host=forged.example"),
    ];
    let request =
        caller.post(deployment.url("/api/v1/keys")).bearer_auth(admin).header("content-type", "application/json");
    let request = forged.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let (status, text) = send(request.body(json!({"name": "auditor", "role": "auditor"}).to_string())).await;
    assert_eq!(status, 200, "{text}");
    let list = "/api/v1/events?type=api_key_created&order=desc&limit=1";
    let (_, events) = send(caller.get(deployment.url(list)).bearer_auth(admin)).await;
    let events: Value = serde_json::from_str(&events).unwrap();
    assert_eq!(events["events"][0]["data"]["from"], "127.0.0.2", "{events}");
}

/// A body as large as the service takes arrives, and connections to the service are used again.
async fn check_bodies_and_connections(deployment: &Deployment, admin: &str) {
    let caller = deployment.proxy.client(2);
    let post = |body: String| {
        let request = caller.post(deployment.url(INSERT)).bearer_auth(admin);
        send(request.header("content-type", "application/json").body(body))
    };
    let padded = |bytes: usize| {
        json!({"whatsAppList": [account_with("861821726232", &json!({}))], "padding": "x".repeat(bytes)}).to_string()
    };
    let frame = padded(0).len();
    let (status, text) = post(padded(BODY_BYTES - frame)).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(post(padded(BODY_BYTES - frame + 1)).await.0, 413);
    for number in 0..20 {
        let (status, text) = post(accounts([861_821_720_000_u64 + number])).await;
        assert_eq!(status, 200, "{text}");
    }
    let metrics =
        deployment.muster.send(deployment.muster.client().get(deployment.muster.url("/metrics")).bearer_auth(admin));
    let metrics = metrics.await.unwrap().text;
    let open = metrics.lines().find_map(|line| line.strip_prefix("muster_http_connections ")).unwrap();
    // Those of the proxy, and ours.
    assert!((2..=6).contains(&open.parse::<u32>().unwrap()), "{open} connections are open");
}

/// The first bytes and each event come at once.
async fn check_live_tail(deployment: &Deployment, admin: &str) {
    let (caller, path) = (deployment.proxy.client(2), "/api/v1/events?type=account_imported");
    let request = caller.get(deployment.url(path)).bearer_auth(admin).header("accept", "text/event-stream");
    let early = LIVE_TAIL_HEARTBEAT / 2;
    let mut tail = timeout(early, request.send()).await.expect("the head is held back").unwrap();
    let first = timeout(early, tail.chunk()).await.expect("the first comment is held back").unwrap().unwrap();
    assert!(first.starts_with(b":connected"), "{first:?}");
    let request = caller.post(deployment.url(INSERT)).bearer_auth(admin).header("content-type", "application/json");
    let (status, text) = send(request.body(accounts(["861821726299"]))).await;
    assert_eq!(status, 200, "{text}");
    let mut arrived = String::new();
    while !arrived.contains("861821726299") {
        let piece = timeout(TEST_TIMEOUT, tail.chunk()).await.expect("the event is held back").unwrap().unwrap();
        arrived += std::str::from_utf8(&piece).unwrap();
    }
}

/// A browser signs in with the key, and every link of the page leads back through the proxy.
async fn check_console(deployment: &Deployment, admin: &str) {
    let Deployment { proxy, base, .. } = deployment;
    let browser = proxy.client(2);
    let first = browser.get(deployment.url("/accounts")).send().await.unwrap();
    assert_eq!(
        (first.status().as_u16(), header(&first, "location")),
        (303, format!("{base}/sign-in?next=%2Faccounts").as_str())
    );
    // Some browsers send `Origin` alone.
    let sign_in = |origin: String| {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("key", admin), ("next", "/accounts")])
            .finish();
        let request = browser.post(deployment.url("/sign-in")).header("origin", origin);
        request.header("content-type", "application/x-www-form-urlencoded").body(body).send()
    };
    let foreign = sign_in("https://forged.example".to_owned()).await.unwrap();
    assert_eq!(foreign.status(), 403);
    let signed_in = sign_in(format!("https://{}", proxy.host())).await.unwrap();
    let status = signed_in.status().as_u16();
    assert_eq!((status, header(&signed_in, "location")), (303, format!("{base}/accounts").as_str()));
    let cookie = header(&signed_in, "set-cookie");
    let (name, path) = if base.is_empty() { ("__Host-", "/") } else { ("__Secure-", PREFIX) };
    let attributes = format!("; Path={path}; HttpOnly; SameSite=Strict; Secure");
    assert!(cookie.starts_with(&format!("{name}muster_session=")) && cookie.ends_with(&attributes), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let (status, page) = send(browser.get(deployment.url("/accounts")).header("cookie", cookie)).await;
    assert!(status == 200 && page.contains("861821726232"), "{status}: {page}");
    let mut links = 0;
    for attribute in [" href=\"", " src=\"", " action=\"", " hx-get=\""] {
        for link in page.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&")) {
            if link.starts_with('#') {
                continue;
            }
            assert!(link.starts_with(&format!("{base}/")), "{link} leads out of {base:?}");
            links += 1;
            if attribute != " action=\"" && links < 20 {
                let (status, text) = send(browser.get(proxy.url(&link)).header("cookie", cookie)).await;
                assert_eq!(status, 200, "{link}: {text}");
            }
        }
    }
    assert!(links > 10, "{page}");
}

/// Swagger UI and the description of the API know the prefix.
async fn check_description(deployment: &Deployment) {
    let (caller, base) = (deployment.proxy.client(2), deployment.base);
    let document: Value = serde_json::from_str(&send(caller.get(deployment.url("/openapi.json"))).await.1).unwrap();
    if !base.is_empty() {
        assert_eq!(document["servers"], json!([{"url": base}]));
    }
    let docs = caller.get(deployment.url("/docs")).send().await.unwrap();
    assert_eq!(header(&docs, "location"), format!("{base}/docs/"));
    let (_, script) = send(caller.get(deployment.url("/docs/swagger-initializer.js"))).await;
    assert!(script.contains(&format!("\"{base}/openapi.json\"")), "{script}");
}

/// The prefix without its slash leads to the first page. A longer word is another path.
async fn check_prefix(deployment: &Deployment) {
    let Deployment { proxy, base, .. } = deployment;
    if base.is_empty() {
        return;
    }
    let browser = proxy.client(2);
    let get = async |url: String| browser.get(url).send().await.unwrap();
    let expected = get(proxy.url(&format!("{base}/"))).await;
    assert_eq!(expected.status(), 303);
    let mut response = get(proxy.url(base)).await;
    if response.status() == 301 {
        // nginx adds the slash itself.
        response = get(header(&response, "location").to_owned()).await;
    }
    assert_eq!((response.status().as_u16(), header(&response, "location")), (303, header(&expected, "location")));
    let other = get(proxy.url(&format!("{base}ing"))).await;
    assert_eq!(header(&other, "x-request-id"), "", "it reaches Muster");
}

/// A flood of strangers at one address uses up neither the requests of another address, nor those of a good key.
async fn check_rates(deployment: &Deployment, admin: &str) {
    let [flooding, other] = [2, 3].map(|last| deployment.proxy.client(last));
    let get = |caller: &reqwest::Client| caller.get(deployment.url("/api/v1/accounts"));
    // The key was used before; its requests are those of a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let flood = join_all((0..4 * REQUESTS_PER_SECOND).map(|_| send(get(&flooding)))).await;
    let rejected = flood.iter().filter(|(status, _)| *status == 429).count();
    assert!(rejected > 0 && flood.iter().all(|(status, _)| [401, 429].contains(status)), "{rejected} were too many");
    assert_eq!(send(get(&other)).await.0, 401, "another caller behind the same proxy");
    assert_eq!(send(get(&flooding).bearer_auth(admin)).await.0, 200, "a good key at the address of strangers");
}

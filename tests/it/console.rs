//! The console as a browser sees it: every page and its security headers, sign-in, and permissions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::calls::post;
use crate::service_process::{ServiceProcess, ServiceResponse, WebhookReceiver, temp_directory};
use crate::testkit::requests::{INSERT, accounts};

/// The headers of every page.
const POLICY: &str =
    "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'";
/// A text that would be a script if it were not escaped.
const HOSTILE: &str = r#"<script>alert(1)</script>"'><img src=x onerror=alert(2)>"#;
/// Far more than the number of pages.
const MOST: usize = 300;

/// A browser: its cookie, and the origin of its forms.
struct Browser<'m> {
    muster: &'m ServiceProcess,
    client: reqwest::Client,
    cookie: Option<String>,
}

impl<'m> Browser<'m> {
    fn new(muster: &'m ServiceProcess) -> Browser<'m> {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Browser { muster, client: client.build().unwrap(), cookie: None }
    }

    async fn signed_in(muster: &'m ServiceProcess, key: &str) -> Browser<'m> {
        let mut browser = Browser::new(muster);
        let answer = browser.submit("/sign-in", &[("key", key)]).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        browser.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        browser
    }

    async fn get(&self, path: &str) -> ServiceResponse {
        self.ask(self.client.get(self.muster.url(path)).header("sec-fetch-site", "same-origin")).await
    }

    /// Submits a form of the console.
    async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> ServiceResponse {
        self.submit_from("same-origin", path, fields).await
    }

    /// Submits a form of a page of another origin.
    async fn submit_from(&self, site: &str, path: &str, fields: &[(&str, &str)]) -> ServiceResponse {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(self.muster.url(path)).header("sec-fetch-site", site);
        self.ask(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    }

    async fn ask(&self, mut request: reqwest::RequestBuilder) -> ServiceResponse {
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        self.muster.send(request).await.unwrap()
    }

    /// Every page that links lead to from here, with its content.
    async fn pages(&self) -> BTreeMap<String, String> {
        let (mut seen, mut pages) = (BTreeSet::from(["/".to_owned()]), BTreeMap::new());
        let mut waiting: Vec<String> = seen.iter().cloned().collect();
        while let Some(path) = waiting.pop() {
            assert!(seen.len() < MOST, "there is no end of links: {seen:#?}");
            let answer = self.get(&path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert_eq!(answer.headers["content-security-policy"], POLICY, "{path}");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(answer.headers.get_all("cache-control").iter().count(), 1, "{path}");
            if answer.headers.contains_key("content-disposition") {
                continue;
            }
            for attribute in ["href=\"", "src=\"", "hx-get=\""] {
                for link in answer.text.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                    let link = link.split('#').next().unwrap().replace("&amp;", "&");
                    if link.starts_with('/') && seen.insert(link.clone()) {
                        waiting.push(link);
                    }
                }
            }
            if !path.starts_with("/assets/") {
                assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
                pages.insert(path, answer.text);
            }
        }
        pages
    }
}

#[tokio::test]
async fn a_bound_key_opens_its_own_accounts() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let [admin] = keys(&muster, ["admin"]).await;
    import(&muster, "861821726232", Some(&admin)).await;
    import(&muster, "441821726232", Some(&admin)).await;
    let body = json!({"name": "bound", "role": "operator", "accounts": ["8618"]}).to_string();
    let request = muster.client().post(muster.url("/api/v1/keys")).bearer_auth(&admin);
    let made = muster.send(request.header("content-type", "application/json").body(body)).await.unwrap();
    let made: serde_json::Value = serde_json::from_str(&made.text).unwrap();
    let browser = Browser::signed_in(&muster, made["key"].as_str().unwrap()).await;
    for path in ["/", "/accounts", "/accounts?status=1"] {
        assert_eq!(browser.get(path).await.headers["location"], "/accounts?prefix=8618", "{path}");
    }
    let list = browser.get("/accounts?prefix=8618").await;
    assert!(list.text.contains("861821726232") && !list.text.contains("441821726232"), "{}", list.text);
    for (path, status) in [
        ("/accounts/861821726232", 200),
        ("/accounts/861821726232/verify", 200),
        ("/accounts/861821726232/events/1", 200),
        ("/events?account=861821726232", 200),
        ("/accounts/441821726232", 403),
        ("/accounts/441821726232/verify", 403),
        ("/accounts?prefix=44", 403),
        ("/acts", 403),
        ("/settings", 403),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(status == 200 || !answer.text.contains("441821726232</a>"), "{path}: {}", answer.text);
    }
    let fields = [("account", "441821726232"), ("order", "recycle"), ("reason", "x")];
    assert_eq!(browser.submit("/accounts", &fields).await.status, 403);
}

/// A response that is still streaming ends with the session that requested it.
#[tokio::test]
async fn the_live_tail_ends_with_its_session() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let [admin] = keys(&muster, ["admin"]).await;
    let browser = Browser::signed_in(&muster, &admin).await;
    let page = browser.get("/events").await.text;
    let tail = page.split("data-tail=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(tail, "/events/live?after=1", "it goes on behind what the page shows");
    let request = browser.client.get(muster.url(tail)).header("accept", "text/event-stream");
    let mut stream = request.header("cookie", browser.cookie.as_ref().unwrap()).send().await.unwrap();
    import(&muster, "861821726232", Some(&admin)).await;
    let mut arrived = String::new();
    while !arrived.contains("account_imported") {
        arrived += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
    }
    assert!(arrived.starts_with(":connected\n"), "{arrived}");
    assert_eq!(browser.submit("/sign-out", &[]).await.status, 303);
    // The stream breaks off, so that the reader does not take it for complete.
    while let Ok(Some(_)) = stream.chunk().await {}
    // A script cannot follow a redirect to a form.
    let refused = browser.client.get(muster.url(tail)).header("accept", "text/event-stream");
    assert_eq!(browser.ask(refused).await.status, 401);
}

/// Creates keys of these roles; the first must be an admin's.
async fn keys<const N: usize>(muster: &ServiceProcess, roles: [&str; N]) -> [String; N] {
    let mut made: Vec<String> = Vec::new();
    for role in roles {
        let mut request = muster.client().post(muster.url("/api/v1/keys"));
        if let Some(admin) = made.first() {
            request = request.bearer_auth(admin);
        }
        let body = json!({"name": role, "role": role}).to_string();
        let answer = muster.send(request.header("content-type", "application/json").body(body)).await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
        made.push(answer["key"].as_str().unwrap().to_owned());
    }
    made.try_into().unwrap()
}

async fn import(muster: &ServiceProcess, number: &str, key: Option<&str>) {
    let body = json!({"whatsAppList": [{"whatsApp": number, "whatsappType": 1, "name": HOSTILE, "avatar": HOSTILE,
        "publicKey": HOSTILE, "privateKey": "planted-private", "msgPublicKey": "", "msgPrivateKey": "planted-message",
        "accountId": HOSTILE, "nextKeyId": "", "registrationId": "", "deviceParams": "planted-device"}]});
    let request = muster.client().post(muster.url("/group-dispatch-api/whatsapp/batchInsert"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let request = key.map_or(request.try_clone().unwrap(), |key| request.bearer_auth(key));
    assert_eq!(muster.send(request).await.unwrap().status, 200);
}

#[tokio::test]
async fn every_page_is_there_and_safe() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let browser = Browser::new(&muster);
    import(&muster, "861821726232", None).await;
    let ordered =
        browser.submit("/accounts", &[("account", "861821726232"), ("order", "recycle"), ("reason", HOSTILE)]).await;
    assert!(ordered.status == 200 && ordered.text.contains("1 of 1 accounts"), "{}", ordered.text);
    let labels = format!("team:care\n\n {HOSTILE}:\r\n");
    let labelled = browser.submit("/accounts/861821726232/labels", &[("labels", &labels), ("reason", HOSTILE)]).await;
    assert_eq!(labelled.status, 303, "{}", labelled.text);
    let paused = browser.submit("/webhooks/sync", &[("do", "pause"), ("reason", HOSTILE)]).await;
    assert_eq!(paused.status, 303, "{}", paused.text);

    // A foreign cookie of another service on this machine does no harm, and there is no key to sign in with.
    let cookie = Some(format!("muster_session={}", "A".repeat(43)));
    let other = Browser { cookie, ..Browser::new(&muster) };
    assert_eq!(other.get("/accounts").await.status, 200);
    let entered = other.get("/sign-in?next=/accounts").await;
    assert!(entered.status == 303 && entered.headers["location"] == "/accounts", "{entered:?}");

    let pages = browser.pages().await;
    for (path, text) in &pages {
        assert_eq!(text.matches("<h1").count(), 1, "{path}");
        assert!(!text.contains("planted-"), "a secret is on {path}");
        let text = text.to_ascii_lowercase();
        for forbidden in ["<script>", "<img", "javascript:", " style=", " onclick="] {
            assert!(!text.contains(forbidden), "{forbidden} is in {path}:\n{text}");
        }
    }
    let hostile = pages.values().filter(|text| text.contains("&lt;script&gt;alert(1)&lt;/script&gt;")).count();
    assert!(hostile >= 4, "it is shown on {hostile} pages, as text");
    for page in ["/accounts", "/events", "/webhooks/sync", "/projections", "/log", "/acts", "/keys", "/settings"] {
        assert!(pages.contains_key(page), "no link leads to {page}: {:#?}", pages.keys());
    }
    let hostile = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>();
    for path in [
        format!("/accounts?prefix={hostile}"),
        format!("/accounts?label={hostile}"),
        format!("/events?type={hostile}"),
        format!("/events?since={hostile}&account={hostile}"),
        format!("/acts?origin={hostile}"),
        format!("/accounts/861821726232?at={hostile}"),
        format!("/accounts/861821726232?reason~={hostile}"),
        format!("/accounts/861821726232?from={hostile}&to=1"),
        format!("/webhooks/sync?account={hostile}"),
        format!("/log?from={hostile}"),
        format!("/log?checkpoint={hostile}"),
        format!("/accounts/{hostile}"),
        format!("/webhooks/{hostile}"),
    ] {
        let answer = browser.get(&path).await;
        assert!([200, 400, 404].contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text.contains("<script>alert"), "{path}: {}", answer.text);
    }
}

/// A mistyped address is a page in a browser. Clients of the API get JSON in any case.
#[tokio::test]
async fn an_unknown_path_is_a_page_in_a_browser() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let [_admin] = keys(&muster, ["admin"]).await;
    let browser = Browser::new(&muster);
    let html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let ask = async |path: &str, accept: &str| {
        let answer = browser.ask(browser.client.get(muster.url(path)).header("accept", accept)).await;
        (answer.status, answer.header("content-type").to_owned(), answer.text)
    };
    for path in ["/nowhere", "/batchInsert", "//", "//accounts"] {
        let (status, kind, text) = ask(path, html).await;
        assert_eq!((status, kind.as_str()), (404, "text/html; charset=utf-8"), "{path}");
        assert!(text.contains("There is no such page."), "{path}: {text}");
        let (status, kind, _) = ask(path, "*/*").await;
        assert_eq!((status, kind.as_str()), (404, "application/json"), "{path}");
    }
    for path in ["/api/v1/nothing", "/group-dispatch-api/nothing", "/gateway/v1/nothing"] {
        let (_, kind, _) = ask(path, html).await;
        assert!(kind.ends_with("json"), "{path}: {kind}");
    }
    assert_eq!(ask("/healthz", html).await.0, 200);
}

#[tokio::test]
async fn signing_in_and_out() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let [admin, operator, caller] = keys(&muster, ["admin", "operator", "caller"]).await;
    let stranger = Browser::new(&muster);
    let to = |answer: &ServiceResponse| answer.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(to(&stranger.get("/").await), "/sign-in");
    assert_eq!(to(&stranger.get("/accounts?status=2").await), "/sign-in?next=%2Faccounts%3Fstatus%3D2");
    let hostile = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>();
    let form = stranger.get(&format!("/sign-in?next={hostile}")).await;
    assert!(form.status == 200 && !form.text.contains("alert("), "{}", form.text);
    let part = stranger.client.get(muster.url("/accounts")).header("hx-request", "true");
    let part = stranger.ask(part).await;
    assert!(part.status == 401 && part.headers["hx-refresh"] == "true", "{part:?}");

    for (site, key, status, words) in [
        ("same-origin", "muster_1_no", 401, "this API key is unknown"),
        ("same-origin", caller.as_str(), 403, "role caller"),
        ("cross-site", admin.as_str(), 403, "another site's web page"),
        ("none", admin.as_str(), 403, "another site's web page"),
    ] {
        let answer = stranger.submit_from(site, "/sign-in", &[("key", key)]).await;
        assert!(answer.status == status && answer.text.contains(words), "{site} {key}: {answer:?}");
        assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    }
    let entered = stranger.submit("/sign-in", &[("key", &operator), ("next", "/accounts?status=2")]).await;
    assert_eq!(to(&entered), "/accounts?status=2");
    let cookie = entered.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict") && !cookie.contains(&operator), "{cookie}");

    let browser = Browser::signed_in(&muster, &operator).await;
    assert!(browser.get("/").await.text.contains("operator"));
    // The cookie opens pages only, and only from our own pages.
    assert_eq!(browser.get("/api/v1/accounts").await.status, 401);
    let foreign = browser.submit_from("cross-site", "/projections", &[("projection", "roster")]).await;
    assert_eq!(foreign.status, 403, "{foreign:?}");
    let other = Browser::signed_in(&muster, &operator).await;
    assert_eq!(to(&other.submit("/sign-out", &[]).await), "/sign-in");
    assert_eq!(to(&other.get("/").await), "/sign-in");
    assert_eq!(browser.get("/").await.status, 200, "another session goes on");

    let put = stranger.ask(stranger.client.put(muster.url("/accounts"))).await;
    assert!(put.status == 405 && put.headers["allow"] == "GET, HEAD, POST", "{put:?}");

    // A revoked key ends its sessions.
    let boss = Browser::signed_in(&muster, &admin).await;
    assert_eq!(boss.submit("/keys", &[("do", "revoke"), ("key", "2")]).await.status, 303);
    assert_eq!(to(&browser.get("/").await), "/sign-in");
    let log = tokio::task::spawn_blocking(move || muster.stop("TERM").1).await.unwrap();
    assert!(!log.contains(&operator) && !log.contains(cookie.split(['=', ';']).nth(1).unwrap()), "{log}");
}

#[tokio::test]
async fn an_auditor_reads_and_does_nothing() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let [admin, auditor] = keys(&muster, ["admin", "auditor"]).await;
    import(&muster, "861821726232", Some(&admin)).await;
    let browser = Browser::signed_in(&muster, &auditor).await;
    let events = |text: String| {
        let count = text.split("<dt>Events</dt><dd><a href=\"/events\">").nth(1).unwrap().split('<').next().unwrap();
        count.parse::<usize>().unwrap()
    };
    let before = events(browser.get("/").await.text);

    let mut pages = browser.pages().await;
    // Only requesters that may create keys see them.
    let keys = browser.get("/keys").await.text;
    assert!(keys.contains("use one with the role admin"), "{keys}");
    pages.insert("/keys".to_owned(), keys);
    for (path, text) in &pages {
        for form in text.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap()) {
            let changes = form.contains("method=\"post\"") && !form.contains("/sign-out");
            let is_dead = |button: &str| button.split('>').next().unwrap().contains("disabled");
            if changes && !form.contains("<fieldset disabled") {
                assert!(form.split("<button").skip(1).all(is_dead), "{path} has a button that does something: {form}");
            }
            assert!(!changes || text.contains("lacks the permission; use one with the role"), "{path} says not why");
        }
    }
    for (path, fields) in [
        ("/accounts", &[("account", "861821726232"), ("order", "recycle"), ("reason", "x")][..]),
        ("/accounts/861821726232/labels", &[("labels", "team:x")]),
        ("/webhooks/sync", &[("do", "pause"), ("reason", "x")]),
        ("/webhooks/sync", &[("do", "redeliver"), ("from", "1")]),
        ("/webhooks/sync", &[("do", "resync")]),
        ("/projections", &[("projection", "roster")]),
        ("/keys", &[("do", "create"), ("name", "x"), ("role", "admin")]),
        ("/keys", &[("do", "revoke"), ("key", "1")]),
    ] {
        let answer = browser.submit(path, fields).await;
        assert!(answer.status == 403 && answer.text.contains("role auditor"), "{path} {fields:?}: {answer:?}");
    }
    // The page that verifies a bundle, and its download, are recorded. Nothing else happened.
    assert_eq!(events(browser.get("/").await.text), before + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_is_counted_and_started_on_the_page_of_a_webhook() {
    const LEE: &str = "861821726232";
    let (data, receiver) = (temp_directory(), WebhookReceiver::start().await);
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_WEBHOOKS__BASE_URL", &receiver.base)]);
    post(&muster, INSERT, accounts([LEE, "861821726233"])).await;
    let browser = Browser::new(&muster);
    let counted = browser.submit("/webhooks/sync", &[("do", "count-resync")]).await;
    assert!(counted.text.contains("Would be resynced") && counted.text.contains("<dd>2</dd>"), "{}", counted.text);
    let fields = [("do", "resync"), ("accounts", "861821726232"), ("reason", "restored")];
    let started = browser.submit("/webhooks/sync", &fields).await;
    assert!(started.text.contains("Resync started") && started.text.contains("<dd>1</dd>"), "{}", started.text);
    receiver.wait_until("the resync", |all| !all.is_empty()).await;
    assert_eq!(receiver.accepted_payloads(LEE), ["1/4 "]);
    assert!(browser.get("/acts").await.text.contains("restored"));
    let unknown = browser.submit("/webhooks/sync", &[("do", "resync"), ("accounts", "861821729999")]).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
}

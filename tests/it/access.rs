//! Authentication and permissions: every path, for every role and every invalid key, with the real binary.

use std::collections::BTreeMap;
use std::fmt::Write;

use futures_util::future::join_all;
use md5::{Digest, Md5};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::service_process::{ServiceProcess, run_muster, temp_directory};
use crate::testkit::requests;

pub const ACCOUNT: &str = "861821726232";
pub const DOCUMENTED: [(&str, &str); 6] = [
    ("POST", "whatsapp/batchInsert"),
    ("POST", "whatsapp/batchOnline"),
    ("POST", "whatsapp/batchRecycle"),
    ("GET", "whatsapp/queryWhatsAppStatus"),
    ("POST", "register/submitPhone"),
    ("POST", "register/submitVerifyCode"),
];

/// The body for a contract endpoint.
pub fn body(path: &str) -> Value {
    let account = requests::account_with(ACCOUNT, &json!({"accountId": ACCOUNT}));
    match path {
        "whatsapp/batchInsert" | "whatsapp/batchOnline" => json!({"whatsAppList": [account]}),
        "whatsapp/batchRecycle" => json!({"whatsAppList": [ACCOUNT]}),
        "register/submitPhone" => requests::phone(ACCOUNT),
        "register/submitVerifyCode" => requests::code(ACCOUNT, "123456"),
        _ => json!({}),
    }
}

/// The headers with which a client of the contract's API family identifies itself now.
fn token(tenant: &str, secret: &str) -> [(&'static str, String); 3] {
    let now = (::muster::clock::now().0 / 1_000).to_string();
    let digest = Md5::digest(format!("{tenant}{now}{secret}"));
    let token = digest.iter().fold(String::new(), |token, byte| token + &format!("{byte:02x}"));
    [("tenant_id", tenant.to_owned()), ("timestamp", now), ("token", token)]
}

/// The column of a tenant, identified by its secret.
const TENANT: &str = "tenant 500975 ";

/// Sends a request with a key or without; returns the status.
async fn status(muster: &ServiceProcess, method: &str, path: &str, body: &Value, key: Option<&str>) -> u16 {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = muster.client().request(method.clone(), muster.url(path)).header("content-type", "application/json");
    let request = if method == Method::GET { request } else { request.body(body.to_string()) };
    let request = match key.map(|key| key.strip_prefix(TENANT).ok_or(key)) {
        Some(Ok(secret)) => token("500975", secret).into_iter().fold(request, |it, (name, text)| it.header(name, text)),
        Some(Err(key)) => request.bearer_auth(key),
        None => request,
    };
    muster.send(request).await.unwrap().status
}

/// Creates a key with the command line.
pub fn create_key(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    create_key_json(arguments, environment)["key"].as_str().unwrap().to_owned()
}

fn create_key_json(arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let words = [&["keys", "create", "-o", "json"], arguments].concat();
    let (code, stdout, stderr) = run_muster(&words, environment);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_for_every_role() {
    let data = temp_directory();
    let path = data.path().to_str().unwrap();
    let (code, _, stderr) = run_muster(&["serve", "--listen", "0.0.0.0:0", "--data-dir", path], &[]);
    assert_eq!(code, Some(1), "{stderr}");
    let mend = format!("`muster keys create --name admin --role admin --data-dir {path}`");
    assert!(stderr.contains(&mend), "{stderr}");

    let admin = create_key(&["--name", "admin", "--role", "admin", "--data-dir", path], &[]);
    // The simulator answers late, so that a registration waits for its code during the whole table.
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_SIMULATOR__DELAY_MS", "3600000")]);
    let server = muster.url("");
    let key = |name: &str, role: &str, more: &[&str]| {
        let arguments = [&["--name", name, "--role", role, "--server", &server], more].concat();
        create_key(&arguments, &[("MUSTER_API_KEY", &admin)])
    };
    let soon = ::muster::audit::write_time(::muster::clock::now().plus(std::time::Duration::from_millis(1_500)));
    let expired = key("expired", "admin", &["--expires", &soon]);
    let revoked = key("revoked", "admin", &[]);
    let caller = key("dispatch", "caller", &[]);
    let keys = BTreeMap::from([
        ("5 caller", caller.clone()),
        ("6 caller of others", key("others", "caller", &["--accounts", "44", "--accounts", "8617"])),
        ("7 operator", key("operator", "operator", &[])),
        ("8 auditor", key("auditor", "auditor", &[])),
        ("9 auditor of others", key("others", "auditor", &["--accounts", "44"])),
        ("admin", admin.clone()),
        ("token of a tenant", {
            let tenant = ["--name", "tenant", "--role", "caller", "--tenant", "500975", "--server", &server];
            let made = create_key_json(&tenant, &[("MUSTER_API_KEY", &admin)]);
            format!("{TENANT}{}", made["secret"].as_str().unwrap())
        }),
    ]);
    let (code, _, stderr) = run_muster(&["keys", "revoke", "3", "--server", &server], &[("MUSTER_API_KEY", &admin)]);
    assert_eq!(code, Some(0), "{stderr}");
    let (import, account) = ("/group-dispatch-api/whatsapp/batchInsert", body("whatsapp/batchInsert"));
    assert_eq!(status(&muster, "POST", import, &account, Some(&caller)).await, 200);

    let documented = DOCUMENTED.map(|(method, path)| (method, format!("/group-dispatch-api/{path}"), body(path)));
    let segment = |name: &str| match name {
        "{account}" => ACCOUNT.to_owned(),
        "{channel}" => "sync".to_owned(),
        "{position}" => "1".to_owned(),
        "{name}" => "roster".to_owned(),
        "{key}" => "999".to_owned(),
        name => name.to_owned(),
    };
    let v1 = ::muster::http::endpoints().filter(|endpoint| endpoint.path.starts_with("/api/v1/"));
    let ours = v1.map(|endpoint| {
        let segments: Vec<String> = endpoint.path.split('/').map(segment).collect();
        (endpoint.method.as_str(), segments.join("/"), json!({}))
    });
    let metrics = ("GET", "/metrics".to_owned(), json!({}));
    let paths: Vec<(&str, String, Value)> = documented.into_iter().chain([metrics]).chain(ours).collect();

    // Until the key has expired by the service's clock.
    while status(&muster, "GET", "/api/v1/projections", &json!({}), Some(&expired)).await == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // An unknown requester learns nothing, on any path. Failed attempts are delayed, so all run at once.
    let wrong = format!("muster_1_{}", "A".repeat(43));
    let strangers = [None, Some("secret"), Some(wrong.as_str()), Some(revoked.as_str()), Some(expired.as_str())];
    let knocks = paths.iter().flat_map(|path| strangers.map(|key| (path, key)));
    let answers = knocks.map(|((method, path, body), key)| {
        let muster = &muster;
        async move { (method, path, key.map(str::len), status(muster, method, path, body, key).await) }
    });
    for (method, path, key, status) in join_all(answers).await {
        assert_eq!(status, 401, "{method} {path} with a key of {key:?} characters");
    }

    let mut table = keys.keys().map(|who| format!("{who:>20}")).collect::<String>() + "\n";
    for (method, path, body) in &paths {
        for key in keys.values() {
            let mut answer = status(&muster, method, path, body, Some(key)).await;
            // Only one full read runs at a time, and a rebuild continues after its response.
            while answer == 409 && ["rebuild", "verify", "replay"].iter().any(|verb| path.ends_with(verb)) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                answer = status(&muster, method, path, body, Some(key)).await;
            }
            write!(table, "{answer:>20}").unwrap();
        }
        writeln!(table, "  {method} {path}").unwrap();
    }
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("who_may_what", table);
    });
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(&muster, "GET", path, &json!({}), None).await, 200, "anybody may ask");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_key_sees_and_touches_its_own_accounts() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_SIMULATOR__DELAY_MS", "1")]);
    let server = muster.url("");
    // A requester on this machine creates the first key; from then on every request needs one.
    let admin = create_key(&["--name", "a", "--role", "admin", "--server", &server], &[]);
    let key = |role| {
        let arguments = ["--name", "bound", "--role", role, "--accounts", "8618", "--server", &server];
        create_key(&arguments, &[("MUSTER_API_KEY", &admin)])
    };
    let (bound, auditor) = (key("caller"), key("auditor"));
    let (code, _, stderr) = run_muster(&["keys", "list", "--server", &server], &[]);
    assert!(code == Some(1) && stderr.contains("an API key is missing"), "{stderr}");
    let ask = async |method: Method, path: &str, body: Value, key: &str| {
        // The other header for a key.
        let request = muster.client().request(method, muster.url(path)).header("x-api-key", key);
        muster.send(request.header("content-type", "application/json").body(body.to_string())).await.unwrap()
    };
    let batch = |numbers: &[&str]| {
        let mut one = body("whatsapp/batchOnline")["whatsAppList"][0].clone();
        let accounts = numbers.iter().map(|number| {
            one["whatsApp"] = json!(number);
            one.clone()
        });
        json!({"whatsAppList": accounts.collect::<Vec<_>>()})
    };
    let online = "/group-dispatch-api/whatsapp/batchOnline";
    let both = batch(&[ACCOUNT, "442079460000"]);
    let refused = ask(Method::POST, online, both.clone(), &bound).await;
    let words = "442079460000 is not among the accounts of this API key";
    assert_eq!((refused.status, refused.json()), (403, json!({"data": "", "code": 403, "message": words})));
    assert_eq!(ask(Method::POST, online, both, &admin).await.status, 200);

    let list = "/group-dispatch-api/whatsapp/queryWhatsAppStatus";
    let listed = async |key: &str| {
        let answer = ask(Method::GET, list, json!({}), key).await.json();
        let accounts = answer["data"].as_array().unwrap().clone();
        accounts.iter().map(|account| account["whatsApp"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&bound).await, [ACCOUNT]);
    assert_eq!(listed(&admin).await.len(), 2);
    // Nor another account's events under another name, nor a key with fewer accounts.
    let proof = "/api/v1/log/proof/inclusion?seq=1&size=1";
    assert_eq!(ask(Method::GET, proof, Value::Null, &auditor).await.status, 403);
    let bound_admin = key("admin");
    let another = json!({"name": "another", "role": "admin"});
    assert_eq!(ask(Method::POST, "/api/v1/keys", another, &bound_admin).await.status, 403);
    assert_eq!(ask(Method::DELETE, "/api/v1/keys/1", Value::Null, &bound_admin).await.status, 403);
    // No list means all accounts of the key.
    let recycled = ask(Method::POST, "/group-dispatch-api/whatsapp/batchRecycle", json!({}), &bound).await;
    assert_eq!(recycled.status, 200);
    let last = async |account: &str| {
        let path =
            format!("/api/v1/accounts/{account}/events?type=online_requested,recycle_requested&order=desc&limit=1");
        let event = ask(Method::GET, &path, json!({}), &admin).await.json()["events"][0].clone();
        ["type", "origin", "keyname"].map(|name| event[name].as_str().unwrap().to_owned())
    };
    assert_eq!(last(ACCOUNT).await, ["muster.account.recycle_requested.v2", "caller:2", "bound"]);
    assert_eq!(last("442079460000").await, ["muster.account.online_requested.v2", "caller:1", "a"]);
    // The state names the key too, and so does the command line.
    let state = ask(Method::GET, &format!("/api/v1/accounts/{ACCOUNT}"), json!({}), &admin).await.json();
    assert_eq!([&state["asked"]["origin"], &state["asked"]["keyname"]], ["caller:2", "bound"]);
    for (path, expected) in [
        ("accounts", 403),
        ("accounts?prefix=8618", 200),
        ("accounts?prefix=86", 403),
        ("events", 403),
        ("events?account=861821726232", 200),
        ("events?account=442079460000", 403),
        ("accounts/861821726232/events", 200),
        ("accounts/442079460000/events", 403),
        ("log/proof/account/442079460000", 403),
        ("log/checkpoint", 200),
        ("webhooks/sync/deliveries?account=861821726232", 200),
        ("webhooks/sync/deliveries", 403),
        ("export", 403),
    ] {
        let answer = ask(Method::GET, &format!("/api/v1/{path}"), json!({}), &auditor).await;
        assert_eq!(answer.status, expected, "{path}: {}", answer.text);
    }
    // No key appears in the log or in stored data.
    let log = muster.stop("TERM").1;
    for key in [&admin, &bound, &auditor] {
        let secret = key.splitn(3, '_').nth(2).unwrap();
        assert!(!log.contains(secret), "{log}");
        for file in crate::service_process::list_files(data.path()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", file.display());
        }
    }
}

/// Typed clients of the contract's family send three headers, and read the family's codes in each endpoint's own
/// envelope.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_authenticates_with_a_token() {
    let (data, files) = (temp_directory(), temp_directory());
    let muster = ServiceProcess::start(data.path(), &[]);
    let server = muster.url("");
    let list = "/group-dispatch-api/whatsapp/queryWhatsAppStatus";
    let ask = async |path: &str, headers: &[(&str, String)]| {
        let get =
            headers.iter().fold(muster.client().get(muster.url(path)), |get, (name, text)| get.header(*name, text));
        muster.send(get).await.unwrap()
    };
    let secret = "f9a40a4780f5e1306c46f1c8daecee3b";
    assert_eq!(ask(list, &token("500975", secret)).await.status, 200, "as long as there is no key, nobody looks");
    let admin = create_key(&["--name", "admin", "--role", "admin", "--server", &server], &[]);
    let as_admin = [("MUSTER_API_KEY", admin.as_str())];
    let answer = ask(list, &token("500975", secret)).await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!(401)), "as long as there is no tenant, too");

    let file = files.path().join("tenant.secret");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let file = ["--tenant-secret-file", file.to_str().unwrap()];
    let tenant = ["--name", "old", "--role", "caller", "--tenant", "500975", "--accounts", "8618", "--server", &server];
    assert_eq!(create_key_json(&[&tenant[..], &file].concat(), &as_admin), json!({"id": 2, "tenant": "500975"}));
    for (path, data) in [
        ("whatsapp/batchInsert", json!("")),
        ("whatsapp/batchOnline", json!("")),
        ("whatsapp/batchRecycle", json!("")),
        ("whatsapp/queryWhatsAppStatus", json!([])),
        ("register/submitPhone", json!(0)),
        ("register/submitVerifyCode", json!("")),
    ] {
        let [tenant, timestamp, right] = token("500975", secret);
        let wrong = ("token", "0".repeat(32));
        let (ancient, words) = (("timestamp", "1666942813620".to_owned()), ("timestamp", "now".to_owned()));
        for (headers, code) in [
            (vec![tenant.clone(), ancient, right.clone()], 502),
            (vec![tenant.clone(), right.clone()], 518),
            (vec![tenant.clone(), words, right.clone()], 519),
            (vec![tenant.clone(), timestamp.clone(), wrong], 522),
            (vec![timestamp.clone(), right.clone()], 523),
            (vec![("tenant_id", String::new()), timestamp.clone(), right.clone()], 523),
            (vec![tenant.clone(), timestamp.clone()], 525),
        ] {
            let method = if path.ends_with("Status") { Method::GET } else { Method::POST };
            let request = muster.client().request(method, muster.url(&format!("/group-dispatch-api/{path}")));
            let request = headers.iter().fold(request, |request, (name, text)| request.header(*name, text));
            let answer = muster.send(request.body("{}")).await.unwrap();
            let body = answer.json();
            assert_eq!((answer.status, &body["data"], &body["code"]), (401, &data, &json!(code)), "{path} {headers:?}");
            assert!(body["message"].as_str().unwrap().starts_with("the header "), "{body}");
        }
    }
    // The tenant may do what its key allows, and every event of its requests names it.
    let import = async |number: &str| {
        let mut account = body("whatsapp/batchInsert");
        account["whatsAppList"][0]["whatsApp"] = json!(number);
        let post =
            muster.client().post(muster.url("/group-dispatch-api/whatsapp/batchInsert")).body(account.to_string());
        let post = token("500975", secret).iter().fold(post, |post, (name, text)| post.header(*name, text));
        muster.send(post.header("content-type", "application/json")).await.unwrap().status
    };
    assert_eq!((import(ACCOUNT).await, import("442079460000").await), (200, 403));
    let bearer = |key: &str| ("authorization", format!("Bearer {key}"));
    let events = ask("/api/v1/events", &[bearer(&admin)]).await.json();
    let of_account = |event: &&Value| event["subject"] == ACCOUNT;
    assert_eq!(events["events"].as_array().unwrap().iter().find(of_account).unwrap()["origin"], "caller:2");
    let given = events["events"].as_array().unwrap().iter().find(|it| it["data"]["tenant"] == "500975").unwrap();
    assert_eq!(given["type"], "muster.administration.tenant_key_created.v1");

    let refused = ask("/api/v1/keys", &token("500975", secret)).await;
    assert!(refused.status == 401 && refused.text.contains("are for the six documented endpoints only"), "{refused:?}");
    // With an API key beside it, the key decides.
    let both = |key: &str| [&token("500975", secret)[..], &[bearer(key)]].concat();
    assert_eq!(ask("/api/v1/keys", &both(&admin)).await.status, 200);
    assert_eq!(ask(list, &both("muster_1_x")).await.json()["code"], 401);
    assert_eq!(ask(list, &token("500975", secret)).await.status, 200);
    let (code, _, stderr) = run_muster(&["keys", "revoke", "2", "--server", &server], &as_admin);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(ask(list, &token("500975", secret)).await.json()["code"], 522, "at once");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let muster = ServiceProcess::start(data.path(), &[("MUSTER_HTTP__ALWAYS_200", "true")]);
    let request = token("500975", secret)
        .into_iter()
        .fold(muster.client().get(muster.url(list)), |get, (name, text)| get.header(name, text));
    let answer = muster.send(request).await.unwrap();
    assert_eq!((answer.status, &answer.json()["code"]), (200, &json!(522)));
}

/// A client that hangs up during a request leaves nothing half done: the keys in the audit log are the keys in force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_hangs_up_leaves_nothing_half_done() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    let admin = create_key(&["--name", "admin", "--role", "admin", "--server", &muster.url("")], &[]);
    let body = r#"{"name":"hung up","role":"auditor"}"#;
    let (length, host) = (body.len(), muster.url("").replace("http://", ""));
    let request = format!(
        "POST /api/v1/keys HTTP/1.1\r\nhost: localhost\r\nx-api-key: {admin}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    for hang_up in 0..60 {
        let mut caller = tokio::net::TcpStream::connect(&host).await.unwrap();
        caller.write_all(request.as_bytes()).await.unwrap();
        // From before the request is read until after the response is sent.
        tokio::time::sleep(std::time::Duration::from_micros(50 * hang_up)).await;
    }
    let ask = async |path: &str| {
        let request = muster.client().get(muster.url(path)).header("x-api-key", &admin);
        muster.send(request).await.unwrap().json()
    };
    let count = |list: &Value| list.as_array().unwrap().len();
    let mut counts = (0, 0);
    // The last request may still be running.
    for _ in 0..100 {
        let events = ask("/api/v1/events?type=api_key_created&limit=1000").await;
        counts = (count(&ask("/api/v1/keys").await["keys"]), count(&events["events"]));
        if counts.0 == counts.1 && counts.0 > 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{} keys are known, and {} are in the history", counts.0, counts.1);
}

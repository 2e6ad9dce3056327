//! Planted secrets are nowhere in clear text: not on the disk, in the log, in a response, or after a kill. A running
//! process cannot leave a core file.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use md5::{Digest, Md5};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::service_process::{ServiceProcess, list_files, run_muster, send_signal, serve_command, temp_directory};
use crate::testkit::requests::{account_with, list, phone};

const MASTER_KEY: &str = "5a17b3c9d2e4f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f";
const SIGNING: &str = "whsec_cGxhbnRlZCBzaWduaW5nIHNlY3JldCA5WQ==";
const TENANT_SECRET: &str = "planted-tenant-secret-2K";
/// Private key, message key, device parameters, code, app secret, password and query of a receiver's URL.
const TEXTS: [&str; 7] = [
    "planted-private-key-7Q",
    "planted-msg-private-key-8R",
    "planted-device-params-9S",
    "planted-code-4T",
    "planted-app-secret-5U",
    "planted-password-6V",
    "planted-query-7W",
];

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

fn unhex(digits: &str) -> Vec<u8> {
    digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// All stored and printed output, and the secrets to look for.
struct PlantedSecrets {
    service: Fixture,
    admin: String,
    answers: String,
    /// The secrets, with a name for each.
    secrets: Vec<(String, Vec<u8>)>,
}

impl PlantedSecrets {
    async fn new() -> PlantedSecrets {
        let mut planted = PlantedSecrets {
            service: Fixture::new().await,
            admin: String::new(),
            answers: String::new(),
            secrets: vec![("the signing secret's bytes".to_owned(), STANDARD.decode(&SIGNING[6..]).unwrap())],
        };
        for text in TEXTS.iter().chain([&SIGNING, &TENANT_SECRET]) {
            planted.plant(text);
        }
        planted
    }

    /// Adds a secret.
    fn plant(&mut self, text: &str) {
        self.secrets.push((text.to_owned(), text.as_bytes().to_vec()));
    }

    fn plant_key(&mut self, key: &str) {
        let secret = key.splitn(3, '_').nth(2).unwrap();
        self.plant(secret);
        self.secrets.push((format!("the bytes of {key}"), URL_SAFE_NO_PAD.decode(secret).unwrap()));
    }

    fn start(&self, master: &[(&str, &str)]) -> ServiceProcess {
        let path = self.service.path("");
        let settings = [
            ("MUSTER_WEBHOOKS__BASE_URL", self.service.receiver.base.as_str()),
            ("MUSTER_LOG__FILTER", "trace"),
            ("MUSTER_LOG__FULL_NUMBERS", "true"),
            ("MUSTER_SIMULATOR__DELAY_MS", "1"),
            ("TMPDIR", &path),
            ("PATH", "/usr/bin:/bin"),
        ];
        let mut command = serve_command(&self.service.data(), &[&settings[..], master].concat());
        ServiceProcess::spawn(command.current_dir(self.service.place.path()))
    }

    /// Sends a request as the admin, and keeps the response.
    async fn ask(&mut self, muster: &ServiceProcess, method: Method, path: &str, body: String, status: u16) -> Value {
        let request = muster.client().request(method, muster.url(path)).header("content-type", "application/json");
        // So that responses are stored, too.
        let request = request.header("idempotency-key", format!("key-{}", self.answers.len()));
        let request = if self.admin.is_empty() { request } else { request.header("x-api-key", &self.admin) };
        let answer = muster.send(request.body(body)).await.unwrap();
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        self.answers += &answer.text;
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    /// Sends secrets in every kind of request, and invalid values next to a secret or in one.
    async fn tell(&mut self, muster: &ServiceProcess, name: &str) {
        let fields = json!({"override": true, "name": name, "publicKey": "planted-public-key", "privateKey": TEXTS[0],
            "msgPrivateKey": TEXTS[1], "deviceParams": TEXTS[2]});
        let list = list([account_with("861821726232", &fields)]);
        let phone = phone("861821726232");
        let code = |code: Value| json!({"phone": "1821726232", "areaCode": "+86", "verifyCode": code}).to_string();
        let faulty = |to: &str| list.replace(&format!("\"{}\"", TEXTS[0]), to);
        let online = "whatsapp/batchOnline?details=true";
        for (path, body, status) in [
            (online, list.clone(), 200),
            ("whatsapp/batchInsert", list.replace(name, "another"), 409),
            (online, list.replace(r#""override":true"#, &format!(r#""override":"{}""#, TEXTS[0])), 400),
            (online, faulty(&format!("\"{}\\ud800\"", TEXTS[0])), 400),
            (online, faulty(&format!("[\"{}\"]", TEXTS[0])), 400),
            (online, TEXTS[0].to_owned(), 400),
            ("register/submitPhone", phone.to_string(), 200),
            ("register/submitVerifyCode", code(json!(TEXTS[3])), 200),
            ("register/submitVerifyCode", code(json!([TEXTS[3]])), 400),
            ("register/submitVerifyCode", code(json!({TEXTS[3]: 1})), 400),
        ] {
            self.ask(muster, Method::POST, &format!("/group-dispatch-api/{path}"), body, status).await;
        }
        let is_refused_code = |it: &crate::service_process::ReceivedDelivery| it.body["status"] == 0;
        self.service.receiver.wait_until("the refused code", |all| all.iter().any(is_refused_code)).await;
    }

    /// Configures receivers, keys and tenants.
    async fn set(&mut self, muster: &ServiceProcess) {
        let url = self.service.receiver.base.replace("//", &format!("//user:{}@", TEXTS[5]));
        for (method, path, body, status) in [
            (
                Method::PUT,
                "sync/url",
                json!({"url": format!("{url}/hooks?account=me@corp.example&token={}", TEXTS[6])}),
                200,
            ),
            (Method::PUT, "sync/url", json!({"url": format!("ftp://user:{}@example.com", TEXTS[5])}), 400),
            (Method::PUT, "sync/secret", json!({"secret": [SIGNING]}), 400),
            (Method::PUT, "register/app-secret", json!({"tenantId": "500975", "secret": TEXTS[4]}), 200),
            (Method::PUT, "register/app-secret", json!({"tenantId": "500 975", "secret": TEXTS[4]}), 400),
            (Method::POST, "sync/test", json!({}), 200),
            (Method::POST, "register/test", json!({}), 200),
        ] {
            self.ask(muster, method, &format!("/api/v1/webhooks/{path}"), body.to_string(), status).await;
        }
        // The responses that set or create a secret contain it.
        let kept = self.answers.len();
        let secret = json!({"secret": SIGNING}).to_string();
        self.ask(muster, Method::PUT, "/api/v1/webhooks/sync/secret", secret, 200).await;
        self.answers.truncate(kept);
        let tenant = |tenant: &str, secret: Value| {
            json!({"name": "t", "role": "caller", "tenant": tenant, "secret": secret}).to_string()
        };
        for (body, status) in [
            (tenant("500975", json!(TENANT_SECRET)), 200),
            (tenant("500975", json!(TENANT_SECRET)), 409),
            (tenant("500 975", json!(TENANT_SECRET)), 400),
            (tenant("500976", json!([TENANT_SECRET])), 400),
            (tenant("500976", json!(TENANT_SECRET)).replace("caller", "auditor"), 400),
        ] {
            self.ask(muster, Method::POST, "/api/v1/keys", body, status).await;
        }
        let kept = self.answers.len();
        let drawn = self.ask(muster, Method::POST, "/api/v1/keys", tenant("500976", Value::Null), 200).await;
        self.answers.truncate(kept);
        self.plant(drawn["secret"].as_str().unwrap());
        // A token opens the service for some minutes, so it is a secret too; and so is a key in a wrong header.
        let now = (::muster::clock::now().0 / 1_000).to_string();
        let token = Md5::digest(format!("500975{now}{TENANT_SECRET}"));
        let token = token.iter().fold(String::new(), |token, byte| token + &format!("{byte:02x}"));
        self.plant(&token);
        for (tenant, path, status) in [
            ("500975", "/group-dispatch-api/whatsapp/queryWhatsAppStatus", 200),
            ("500976", "/group-dispatch-api/whatsapp/queryWhatsAppStatus", 401),
            ("500975", "/api/v1/keys", 401),
        ] {
            let get = muster.client().get(muster.url(path)).header("tenant_id", tenant).header("timestamp", &now);
            let answer = muster.send(get.header("token", &token)).await.unwrap();
            assert_eq!(answer.status, status, "{}", answer.text);
            self.answers += &answer.text;
        }
        let wrong = muster.client().get(muster.url("/api/v1/keys")).bearer_auth(format!("{}x", self.admin));
        self.answers += &muster.send(wrong).await.unwrap().text;
    }

    /// Requests everything that is shown of accounts, receivers and keys.
    async fn read(&mut self, muster: &ServiceProcess) {
        for path in [
            "events?limit=1000",
            "accounts/861821726232",
            "accounts/861821726232/events",
            "log/proof/account/861821726232",
            "export",
            "webhooks",
            "webhooks/sync/deliveries",
            "webhooks/sync/deliveries/3",
            "keys",
            "vault",
        ] {
            self.ask(muster, Method::GET, &format!("/api/v1/{path}"), String::new(), 200).await;
        }
        let backup = muster.client().post(muster.url("/api/v1/backup")).header("x-api-key", &self.admin).send().await;
        let backup = backup.unwrap().bytes().await.unwrap();
        assert!(contains(&backup, b"planted-public-key"), "what is not secret is in the backup in clear");
        fs::write(self.service.path("backup"), &backup).unwrap();
    }

    /// Asserts that no secret is anywhere; the master key may be in the file that it is read from.
    fn check(&self, log: &str, but: &Path) {
        let on_disk: Vec<_> = list_files(self.service.place.path()).into_iter().filter(|file| file != but).collect();
        let on_disk: Vec<_> = on_disk.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect();
        assert!(on_disk.iter().any(|(bytes, _)| contains(bytes, b"planted-public-key")), "what is no secret is there");
        let deliveries = format!("{:?}", *self.service.receiver.deliveries());
        for (name, secret) in &self.secrets {
            for (bytes, file) in &on_disk {
                assert!(!contains(bytes, secret), "{name} is in {}", file.display());
            }
            for (place, text) in [("log", log), ("answers", &self.answers), ("webhooks", &deliveries)] {
                let line = text.lines().find(|line| contains(line.as_bytes(), secret));
                assert_eq!(line, None, "{name} is in the {place}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_secrets_are_nowhere() {
    for source in ["a file", "a command", "the environment"] {
        let mut planted = PlantedSecrets::new().await;
        let (given, made) = (planted.service.path("given.key"), planted.service.data().join("keys/master.key"));
        let (master, but) = match source {
            "a command" => {
                fs::write(&given, MASTER_KEY).unwrap();
                (vec![("MUSTER_VAULT__MASTER_KEY_COMMAND", format!("cat {given}"))], given.into())
            }
            "the environment" => (vec![("MUSTER_VAULT__MASTER_KEY", MASTER_KEY.to_owned())], given.into()),
            _ => (vec![], made.clone()),
        };
        let master: Vec<_> = master.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let muster = planted.start(&master);
        // A requester on this machine creates the first key.
        let admin = json!({"name": "admin", "role": "admin"}).to_string();
        let admin = planted.ask(&muster, Method::POST, "/api/v1/keys", admin, 200).await;
        planted.answers.clear();
        admin["key"].as_str().unwrap().clone_into(&mut planted.admin);
        planted.plant_key(&planted.admin.clone());
        let master_key = match source {
            "a file" => fs::read_to_string(&made).unwrap().trim().rsplit(' ').next().unwrap().to_owned(),
            _ => MASTER_KEY.to_owned(),
        };
        planted.plant(&master_key);
        planted.secrets.push((format!("the bytes of the master key from {source}"), unhex(&master_key)));

        planted.tell(&muster, "first").await;
        planted.set(&muster).await;
        planted.read(&muster).await;
        let command_line = fs::read(format!("/proc/{}/cmdline", muster.pid())).unwrap();
        assert!(contains(&command_line, b"serve") && !contains(&command_line, master_key.as_bytes()), "{source}");
        let log = muster.kill();
        assert!(log.contains("TRACE"), "the log is as talkative as can be");
        planted.check(&log, &but);

        let muster = planted.start(&master);
        planted.tell(&muster, "second").await;
        planted.read(&muster).await;
        let (status, log) = muster.stop("TERM");
        assert_eq!(status.code(), Some(0), "{log}");
        planted.check(&log, &but);
        let data = planted.service.path("data");
        for verb in [&["config"][..], &["keys", "list", "--data-dir", &data], &["events", "--data-dir", &data]] {
            let (code, stdout, stderr) = run_muster(verb, &[&master[..], &[("PATH", "/usr/bin:/bin")]].concat());
            assert_eq!(code, Some(0), "{stderr}");
            planted.answers += &(stdout + &stderr);
        }
        planted.check("", &but);
    }
}

/// Whatever limits the process was started with.
#[tokio::test]
async fn a_service_leaves_no_core_file() {
    let place = temp_directory();
    let (data, program) = (place.path().join("data"), env!("CARGO_BIN_EXE_muster"));
    // A shell that may not raise the limit keeps its own.
    let script =
        format!("ulimit -c unlimited; exec {program} serve --listen 127.0.0.1:0 --data-dir {}", data.display());
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(place.path()).env_clear();
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let muster = ServiceProcess::spawn(command.stderr(std::process::Stdio::piped()));
    let limits = fs::read_to_string(format!("/proc/{}/limits", muster.pid())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(limit.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{limits}");
    send_signal(muster.pid(), "ABRT");
    let (status, _) = muster.wait_for_exit();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["data"]);
}

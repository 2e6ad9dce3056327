//! `muster listen`: what it accepts and rejects, and what it prints.

use std::process::Child;

use ::muster::clock;
use ::muster::domain::Timestamp;
use ::muster::limits::REGISTRATION_ATTEMPTS;
use ::muster::webhooks::signature::{AppSecret, WebhookSecret};
use reqwest::RequestBuilder;
use serde_json::Value;

use crate::calls::{code, online, phone};
use crate::service_process::{
    ProcessOutput, ServiceProcess, client, muster_command, run_muster, send_signal, temp_directory, wait_for_exit,
};

const SUCCESS: &str = r#"{"data":"","code":200,"message":"success"}"#;
const PATH: &str = "/callback/gsTask/syncWhatsAppStatus";
const ONLINE: &str = r#"{"whatsApp":"861821726232","status":1,"onlineStatus":2,"reason":"","instanceCode":"SIM-1"}"#;

/// A running listener. Killed when dropped.
struct ListenProcess {
    child: Child,
    /// Its first line on standard error.
    said: String,
    url: String,
    stdout: ProcessOutput,
    stderr: ProcessOutput,
}

impl ListenProcess {
    /// Starts one on a free port, and waits until it prints its address.
    fn start(arguments: &[&str]) -> ListenProcess {
        let mut child =
            muster_command(&[&["listen", "--listen", "127.0.0.1:0"], arguments].concat(), &[]).spawn().unwrap();
        let (stdout, stderr) = (
            ProcessOutput::read_from(child.stdout.take().unwrap()),
            ProcessOutput::read_from(child.stderr.take().unwrap()),
        );
        let said = stderr.next_line().unwrap();
        let url = said.trim().split([' ', ',']).find(|word| word.starts_with("http://")).expect(&said).to_owned();
        ListenProcess { child, said, url, stdout, stderr }
    }

    /// Its response, and the line that it prints.
    async fn send(&self, request: RequestBuilder) -> (u16, String, String) {
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap(), self.line())
    }

    fn line(&self) -> String {
        self.stdout.next_line().unwrap().trim_end().to_owned()
    }

    fn post(&self, body: &'static str) -> RequestBuilder {
        client().post(format!("{}{PATH}", self.url)).body(body)
    }

    /// Stops it: its exit code, and the rest of its output.
    fn stop(mut self) -> (Option<i32>, String) {
        send_signal(self.child.id(), "TERM");
        (wait_for_exit(&mut self.child).code(), self.stdout.read_rest() + &self.stderr.read_rest())
    }
}

impl Drop for ListenProcess {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn signed(request: RequestBuilder, secret: &WebhookSecret, id: &str, at: Timestamp) -> RequestBuilder {
    let (signature, seconds) = (secret.sign(id, at, ONLINE.as_bytes()), (at.0 / 1_000_000).to_string());
    let request = request.header("webhook-id", id).header("webhook-timestamp", seconds);
    request.header("webhook-signature", signature).header("x-muster-account-version", "3")
}

#[tokio::test]
async fn only_what_is_signed_is_taken() {
    let (secret, now) = (WebhookSecret::from_bytes(&[7; 32]), clock::now());
    let text = secret.to_text().to_string();
    let listener = ListenProcess::start(&["--secret", &text]);
    assert!(listener.said.starts_with("muster listens on http://127.0.0.1:"), "{}", listener.said);
    let sent = |listener: &ListenProcess, secret, at| signed(listener.post(ONLINE), secret, "msg_3", at);

    let (status, body, line) = listener.send(sent(&listener, &secret, now)).await;
    assert_eq!((status, body.as_str()), (200, SUCCESS));
    for part in ["sync", "861821726232", "v3 ", "online instanceCode=SIM-1", "verified", "→ 200 success", "msg_3"] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    let (status, _, line) = listener.send(sent(&listener, &secret, now)).await;
    assert!(status == 200 && line.ends_with("DUPLICATE"), "{line}");
    let stale = Timestamp(now.0 - 301_000_000);
    for (forged, why) in [
        (sent(&listener, &WebhookSecret::from_bytes(&[8; 32]), now), "no signature matches"),
        (sent(&listener, &secret, stale), "the timestamp is more than 300 s from now"),
        (listener.post(ONLINE), "the header webhook-signature is missing"),
    ] {
        let (status, body, line) = listener.send(forged).await;
        assert_eq!(status, 401);
        assert_eq!(body, format!(r#"{{"data":"","code":401,"message":"Standard Webhooks: {why}"}}"#));
        assert!(line.contains("WRONG SIGNATURE") && line.contains(why), "{line}");
    }
    assert_eq!(listener.stop(), (Some(0), String::new()));
}

#[tokio::test]
async fn lines_of_json_and_faults() {
    let files = temp_directory();
    let path = files.path().join("app.secret");
    std::fs::write(&path, "f9a40a4780f5e1306c46f1c8daecee3b\n").unwrap();
    let app = AppSecret::new("500975", "f9a40a4780f5e1306c46f1c8daecee3b").unwrap();
    let file = path.to_str().unwrap();
    let faulty = ["--tenant-id", "500975", "--app-secret-file", file, "--fail", "1", "--code", "500", "--seed", "7"];
    let listener = ListenProcess::start(&[&faulty[..], &["-o", "json"]].concat());
    assert!(listener.said.ends_with(", with faults from --seed 7\n"), "{}", listener.said);
    let signed = |request: RequestBuilder| {
        let (timestamp, token) = app.sign(clock::now());
        request.header("tenant_id", "500975").header("timestamp", timestamp).header("access_token", token)
    };
    let (status, body, line) = listener.send(signed(listener.post(ONLINE))).await;
    assert_eq!((status, body.contains(r#""code":500"#)), (200, true), "{body}");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["signature"], &line["body"]), (&"verified".into(), &serde_json::from_str(ONLINE).unwrap()));

    // Content of others cannot mislead a program or a terminal that reads the output.
    let (status, body, line) = listener.send(signed(listener.post("\u{9b}2J\u{7f}\n no JSON"))).await;
    assert_eq!((status, body.contains(r#""code":400"#)), (400, true), "{body}");
    assert!(!line.contains(char::is_control), "{line}");
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["body"], "\u{9b}2J\u{7f}\n no JSON");
    let long = listener.post("").body(vec![b' '; ::muster::limits::RECEIVER_BODY_BYTES + 1]);
    assert_eq!(listener.send(long).await.0, 413);
    assert_eq!(listener.stop(), (Some(0), String::new()));
}

/// The service delivers to it, and it understands every webhook of the service.
#[tokio::test]
async fn the_service_is_understood() {
    let (data, listener) = (temp_directory(), ListenProcess::start(&[]));
    let settings = [("MUSTER_WEBHOOKS__BASE_URL", listener.url.as_str()), ("MUSTER_SIMULATOR__DELAY_MS", "1")];
    let muster = ServiceProcess::start(data.path(), &settings);
    online(&muster, "861821720002").await;
    for (version, words) in [(2, "online-coming"), (3, "offline reason=1002 instanceCode=")] {
        let line = listener.line();
        for part in [&format!("v{version} "), words, "attempt 1 ", "unsigned", "→ 200 success  msg_"] {
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
    }
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    assert_eq!(listener.stop(), (Some(0), String::new()));
}

#[test]
fn wrong_usage() {
    let taken = ListenProcess::start(&[]);
    let address = taken.url.strip_prefix("http://").unwrap();
    let (code, stdout, stderr) = run_muster(&["listen", "--listen", address], &[]);
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
    assert!(stderr.starts_with(&format!("muster: cannot listen on {address}: ")), "{stderr}");
    for arguments in [
        &["--secret", "planted-7Q"][..],
        &["--tenant-id", "1", "--app-secret", "7Q"],
        &["--app-secret", "planted-7Q"],
        &["--fail", "1.5"],
        &["--fail", "NaN"],
        &["--slow", "soon"],
        &["--status", "99"],
        &["--seed", "1"],
        &["--listen", "nowhere"],
    ] {
        let (code, stdout, stderr) = run_muster(&[&["listen"], arguments].concat(), &[]);
        assert_eq!((code, stdout.as_str(), stderr.contains("7Q")), (Some(2), "", false), "{arguments:?}: {stderr}");
    }
    let (code, _, stderr) = run_muster(&["listen", "--secret-file", "/nonexistent"], &[]);
    assert!(code == Some(1) && stderr.starts_with("muster: cannot read /nonexistent: "), "{stderr}");
}

/// By setting, a failed registration says whether another code may be tried, and the output says it in words.
#[tokio::test]
async fn a_failed_registration_says_whether_to_go_on() {
    let (listener, data) = (ListenProcess::start(&[]), temp_directory());
    let muster = ServiceProcess::start(
        data.path(),
        &[
            ("MUSTER_WEBHOOKS__BASE_URL", &listener.url),
            ("MUSTER_WEBHOOKS__REGISTER_STILL_WAITING", "true"),
            ("MUSTER_SIMULATOR__DELAY_MS", "1"),
        ],
    );
    phone(&muster, "861821726232").await;
    for attempt in 1..=REGISTRATION_ATTEMPTS {
        code(&muster, "861821726232", &format!("00000{attempt}")).await;
        let words = if attempt < REGISTRATION_ATTEMPTS { "another code" } else { "no more codes" };
        let line = listener.line();
        assert!(line.contains(&format!("registration failed, {words} can be submitted")), "{line}");
    }
}

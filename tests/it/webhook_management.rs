//! `muster webhooks` and its requests: the transcript of an operator and a service whose receiver first rejects and
//! then accepts deliveries.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::calls::online;
use crate::service_process::{ServiceProcess, WebhookReceiver, run_muster, temp_directory};

const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A transcript: commands, each with its exit code and output.
struct CommandTranscript {
    server: String,
    receiver: String,
    /// Whether deliveries are under way meanwhile, so that counts differ in each run.
    is_moving: bool,
    text: String,
}

/// The beginnings of lines that count work under way.
const MOVING: [&str; 9] =
    ["lag", "oldestPending", "inFlight", "waiting", "blocked", "deadLetters", "again", "attempts ", "failed "];

impl CommandTranscript {
    fn run(&mut self, command: &str) {
        let words = ["webhooks"].into_iter().chain(command.split(' ')).chain(["--server", &self.server]);
        let (code, stdout, stderr) = run_muster(&words.collect::<Vec<_>>(), &[]);
        let code = code.unwrap();
        let mut said = mask_variable_parts(&format!("{stdout}{stderr}")).replace(&self.receiver, "RECEIVER");
        if self.is_moving {
            let lines = said.lines().filter(|line| !MOVING.iter().any(|moving| line.starts_with(moving)));
            said = lines.map(|line| format!("{line}\n")).collect();
        }
        writeln!(self.text, "$ muster webhooks {command}\n{said}[{code}]\n").unwrap();
    }
}

/// Masks values that differ in each run: times, durations, ids and random secrets.
fn mask_variable_parts(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let word = |word: &str| {
            let (word, comma) = word.strip_suffix(',').map_or((word, ""), |word| (word, ","));
            let bare = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
            let (word, quote) = bare.map_or((word, ""), |word| (word, "\""));
            let is_time = word.len() == 27 && word.ends_with('Z') && word.starts_with("20");
            let is_fraction = word.split_once('.').is_some_and(|(whole, part)| {
                !part.is_empty() && [whole, part].iter().all(|it| it.bytes().all(|byte| byte.is_ascii_digit()))
            });
            let word = match word {
                _ if is_time => "TIME".to_owned(),
                _ if is_fraction => "NUMBER".to_owned(),
                _ if word.starts_with("msg_") => "ID".to_owned(),
                _ if word.starts_with("whsec_") && word != SECRET => "whsec_DRAWN".to_owned(),
                _ => word.to_owned(),
            };
            format!("{quote}{word}{quote}{comma}")
        };
        let mut words: Vec<String> = line.split_whitespace().map(word).collect();
        // The position of a channel depends on the moment.
        if let [name, position] = &mut words[..]
            && name == "cursor"
        {
            "NUMBER".clone_into(position);
        }
        lines += &(words.join(" ") + "\n");
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_steers_deliveries() {
    let data = temp_directory();
    let is_broken = Arc::new(AtomicBool::new(true));
    let breaks = is_broken.clone();
    let receiver = WebhookReceiver::start_failing(move |_| breaks.load(Ordering::Relaxed)).await;
    // No second attempt: a rejected delivery is a dead letter at once, and blocks its account.
    let settings = [
        ("MUSTER_WEBHOOKS__BASE_URL", receiver.base.as_str()),
        ("MUSTER_WEBHOOKS__RETRY_WAITS", ""),
        ("MUSTER_WEBHOOKS__AFTER_LAST_TRY", "block"),
        ("MUSTER_SIMULATOR__DELAY_MS", "1"),
    ];
    let muster = ServiceProcess::start(data.path(), &settings);
    online(&muster, "861821726232").await;
    receiver.wait_until("the first", |deliveries| deliveries.len() == 1).await;
    // Waits until the dead letter is there, and the next two events have happened.
    let is_so = |at: &'static str, wanted: &'static str| {
        let muster = &muster;
        async move {
            while !muster.get(at).await.text.contains(wanted) {
                tokio::task::yield_now().await;
            }
        }
    };
    let patience = crate::service_process::TEST_TIMEOUT;
    tokio::time::timeout(patience, is_so("/api/v1/webhooks/sync", r#""deadLetters":1"#)).await.unwrap();
    tokio::time::timeout(patience, is_so("/api/v1/events", r#""id":"3""#)).await.unwrap();

    let server = muster.url("");
    let mut talk = CommandTranscript { server, receiver: receiver.base.clone(), is_moving: false, text: String::new() };
    talk.run("show sync");
    talk.run("deliveries sync");
    talk.run("delivery sync 2");
    talk.run("dead-letters sync");
    talk.run("resend sync 3");
    talk.run("redeliver sync --state dead --dry-run");
    talk.run("pause sync --reason maintenance");
    talk.run("resend sync 1");
    is_broken.store(false, Ordering::Relaxed);
    talk.run("test sync");
    talk.run("replay sync 2");
    let before = receiver.deliveries().len();
    talk.is_moving = true;
    talk.run("resume sync");
    // The replayed dead letter, and the delivery that waited behind it.
    receiver.wait_until("both", |deliveries| deliveries.len() == before + 2).await;
    tokio::time::timeout(patience, is_so("/api/v1/webhooks/sync", r#""lag":{"events":0,"#)).await.unwrap();
    assert_eq!(receiver.accepted_payloads("861821726232"), ["1/1 ", "1/2 "], "in order, though the first was dead");
    talk.run("delivery sync 2 -o json");
    talk.run("dead-letters sync -o csv");
    talk.run("redeliver sync --from 1 --dry-run");
    talk.run("resume sync");
    talk.run("drop sync 2 --reason over");
    let secret = data.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let path = secret.to_str().unwrap().to_owned();
    talk.run("secret sync");
    talk.run(&format!("secret sync --secret-file {path} --grace 0s"));
    talk.run("secret sync --grace 2000h");
    talk.run(&format!("app-secret sync --tenant-id 500975 --secret-file {path}"));
    talk.run("url register http://169.254.169.254/");
    talk.run("url register https://user:password@example.invalid/hook?account=me@corp.example&sig=password");
    talk.run("url register --reset");
    talk.run("show other");
    std::fs::remove_file(secret).unwrap();
    let text = talk.text.replace(&path, "FILE");
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("webhooks_managed", text);
    });
    for body in [r#"{"secret":["whsec_told"]}"#, r#"{"secrets":"whsec_told"}"#, "whsec_told"] {
        let request = muster.client().put(muster.url("/api/v1/webhooks/sync/secret")).body(body);
        let answer = muster.send(request).await.unwrap();
        assert_eq!(answer.status, 400);
        assert!(!answer.text.contains("told"), "what may be a secret is not repeated: {}", answer.text);
    }
    let acts = muster.get("/api/v1/events?limit=100").await.text;
    for act in ["paused", "resumed", "redelivered", "secret_set", "url_set"] {
        assert!(acts.contains(&format!("muster.administration.webhook_{act}.v1")), "{act} is no act: {acts}");
    }
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0));
    for secret in ["password", SECRET] {
        assert!(!log.contains(secret) && !acts.contains(secret), "{secret} leaks");
        let is_in = |path: &std::path::PathBuf| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        };
        assert_eq!(
            crate::service_process::list_files(data.path()).iter().find(|path| is_in(path)),
            None,
            "{secret} is kept in clear"
        );
    }
}

//! An auditor with the log's public key and a kept checkpoint: each verdict, at the command line and over HTTP, and services
//! that lie.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use warp::Filter;

use crate::audit::events;
use crate::service_process::{ServiceProcess, ServiceResponse, copy_files, run_muster, temp_directory};
use crate::testkit::requests::{INSERT, accounts};

/// Files of an auditor, and data directories of an operator.
struct AuditorFixture {
    files: TempDir,
}

impl AuditorFixture {
    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    fn serve(&self, name: &str) -> ServiceProcess {
        ServiceProcess::start(Path::new(&self.path(name)), &[])
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Keeps the present checkpoint of a service.
    async fn keep(&self, muster: &ServiceProcess, name: &str) {
        self.write(name, &muster.get("/api/v1/log/checkpoint").await.text);
    }

    /// Runs `muster verify --checkpoint` with one more flag: the exit code, the result, and the error.
    fn verify(&self, kept: &str, with: (&str, &str)) -> (Option<i32>, Value, String) {
        let (kept, key) = (self.path(kept), self.path("public-key"));
        let with = (with.0, if with.0 == "--server" { with.1.to_owned() } else { self.path(with.1) });
        let verify = ["verify", "--checkpoint", &kept, "--public-key", &key, "-o", "json", with.0, &with.1];
        let (code, stdout, stderr) = run_muster(&verify, &[]);
        (code, serde_json::from_str(&stdout).unwrap_or_default(), stderr)
    }

    /// Checks the verdict of `muster verify --checkpoint`, and that the exit code agrees. Returns the result.
    fn expect(&self, kept: &str, with: (&str, &str), verdict: &str, sentence: &str) -> Value {
        let (code, result, stderr) = self.verify(kept, with);
        let (found, words) = (result["verdict"].as_str(), result["sentence"].as_str());
        assert_eq!(found, Some(verdict), "{kept} {with:?}: {result} {stderr}");
        assert!(words.unwrap().starts_with(sentence), "{kept} {with:?}: {result}");
        assert_eq!(code, Some(if verdict == "same_log" { 0 } else { 4 }), "{kept} {with:?}");
        assert_eq!(stderr.is_empty(), verdict == "same_log", "{stderr}");
        result
    }

    /// Checks the verdict that the proofs of a service lead to, and those of its own check and of its page.
    async fn expect_everywhere(&self, muster: &ServiceProcess, kept: &str, verdict: &str, sentence: &str) -> Value {
        let result = self.expect(kept, ("--server", &muster.url("")), verdict, sentence);
        let answer = post_note(muster, "text/plain; charset=utf-8", self.read(kept)).await;
        assert_eq!((answer.status, answer.json()), (200, result.clone()), "{kept}");
        let note: String =
            url::form_urlencoded::byte_serialize(self.read(kept).replace('\n', "\r\n").as_bytes()).collect();
        let page = muster.get(&format!("/log?checkpoint={note}")).await.text;
        assert!(page.contains(result["sentence"].as_str().unwrap()), "{kept}: {page}");
        result
    }
}

fn stop(muster: ServiceProcess) {
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}

async fn post_note(muster: &ServiceProcess, content_type: &str, note: String) -> ServiceResponse {
    let request = muster.client().post(muster.url("/api/v1/log/check")).header("content-type", content_type);
    muster.send(request.body(note)).await.unwrap()
}

/// Imports an account: one event.
async fn import(muster: &ServiceProcess, account: &str) {
    assert_eq!(muster.post(INSERT, accounts([account])).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_verdict_is_reached_by_an_auditor() {
    let fixture = AuditorFixture { files: temp_directory() };
    let muster = fixture.serve("true");
    fixture.write("public-key", &muster.get("/api/v1/log/public-key").await.text);
    import(&muster, "8618210001").await;
    import(&muster, "8618210002").await;
    fixture.keep(&muster, "early").await;
    let backup = fixture.path("backup");
    let (code, _, stderr) = run_muster(&["backup", &backup, "--server", &muster.url("")], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    stop(muster);
    copy_files(Path::new(&fixture.path("true")), Path::new(&fixture.path("fork")));
    let muster = fixture.serve("true");
    import(&muster, "8618210003").await;
    import(&muster, "8618210004").await;
    fixture.keep(&muster, "late").await;
    import(&muster, "8618210005").await;

    // The same log.
    let grown = fixture.expect_everywhere(&muster, "early", "same_log", "the same log, grown by 4 events").await;
    assert_eq!((&grown["generation"], &grown["size"], &grown["logSize"]), (&json!(0), &json!("2"), &json!("6")));
    assert_eq!(grown["root"], grown["logRoot"]);
    fixture.expect_everywhere(&muster, "late", "same_log", "the same log, grown by 1 event").await;

    // An altered note, a note of another log, and no note.
    let late = fixture.read("late");
    fixture.write("altered", &late.replacen("\n5\n", "\n4\n", 1));
    fixture.expect_everywhere(&muster, "altered", "altered", "altered").await;
    let stranger = fixture.serve("stranger");
    fixture.keep(&stranger, "foreign").await;
    fixture.expect_everywhere(&muster, "foreign", "other_key", "not signed by this log's key, muster.local/").await;
    stop(stranger);
    fixture.write("nothing", "hello\n");
    let (code, result, stderr) = fixture.verify("nothing", ("--server", &muster.url("")));
    assert!(code == Some(1) && result.is_null() && stderr.contains("it is not a signed checkpoint"), "{stderr}");
    for (content_type, note, status) in [
        ("text/plain", "hello".to_owned(), 400),
        ("text/plain", String::new(), 400),
        ("application/json", late.clone(), 400),
        ("text/csv", late.clone(), 415),
        ("text/plain", " ".repeat(20_000), 413),
    ] {
        assert_eq!(post_note(&muster, content_type, note).await.status, status, "{content_type}");
    }

    // Another history under the same name, key and generation.
    let fork = fixture.serve("fork");
    fixture.expect_everywhere(&fork, "late", "truncated", "truncated: this log has 3 events").await;
    for account in ["8618210006", "8618210007", "8618210008"] {
        import(&fork, account).await;
    }
    let other =
        fixture.expect_everywhere(&fork, "late", "other_history", "another history: at size 5 this log has").await;
    assert!(other["logRoot"].is_string() && other["logRoot"] != other["root"], "{other}");
    fixture.expect_everywhere(&fork, "early", "same_log", "the same log, grown by 4 events").await;
    fixture.keep(&fork, "forked").await;

    // The log in files.
    fixture.keep(&muster, "now").await;
    fixture.expect("forked", ("--against", "now"), "other_history", "another history: at size 6");
    fixture.expect("now", ("--against", "now"), "same_log", "the same log, grown by 0 events");
    for (kept, file, why) in [
        ("early", "now", "roots of two sizes"),
        ("late", "early", "the file is older"),
        ("late", "backup", "the file is older"),
    ] {
        let (code, _, stderr) = fixture.verify(kept, ("--against", file));
        assert!(code == Some(1) && stderr.contains("undecided") && stderr.contains(why), "{stderr}");
    }
    fixture.expect("early", ("--against", "backup"), "same_log", "the same log, grown by 0");
    let (early, now) = (fixture.path("early"), fixture.path("now"));
    for wrong in [
        &["verify", "--checkpoint", &early, "--against", &now][..],
        &["verify", "--against", &now],
        &["verify", "--checkpoint", &early, "--against", &now, "--server", "http://127.0.0.1:9"],
    ] {
        assert_eq!(run_muster(wrong, &[]).0, Some(2), "{wrong:?}");
    }

    // A restore, which says so.
    let key = fixture.path("true/keys/master.key");
    let restored = fixture.path("restored");
    let (code, _, stderr) = run_muster(&["restore", &backup, "--data-dir", &restored, "--master-key-file", &key], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let service = fixture.serve("restored");
    import(&service, "8618210009").await;
    let words = "from generation 0, beyond the fork at 2: what followed was lost by the restore of ";
    let lost = fixture.expect_everywhere(&service, "late", "lost_by_restore", words).await;
    assert_eq!(lost["fork"], "2");
    fixture.expect_everywhere(&service, "early", "same_log", "the same log, grown by 2 events").await;
    fixture.keep(&service, "restored-now").await;
    fixture.expect_everywhere(&service, "restored-now", "same_log", "the same log, grown by 0 events").await;
    let through = "another history: this log, of generation 0, does not lead through generation 1";
    fixture.expect_everywhere(&muster, "restored-now", "other_history", through).await;
    let later = fixture.path("restored-backup");
    assert_eq!(run_muster(&["backup", &later, "--server", &service.url("")], &[]).0, Some(0));
    fixture.expect("late", ("--against", "restored-backup"), "lost_by_restore", words);
    [muster, fork, service].into_iter().for_each(stop);

    // The same in stopped directories, also without the master key.
    std::fs::remove_file(fixture.path("fork/keys/master.key")).unwrap();
    for (kept, name, verdict, sentence) in [
        ("early", "true", "same_log", "the same log, grown by 4 events"),
        ("late", "true", "same_log", "the same log, grown by 1 event"),
        ("altered", "true", "altered", "altered"),
        ("foreign", "true", "other_key", "not signed"),
        ("late", "fork", "other_history", "another history: at size 5 this log has root"),
        ("late", "restored", "lost_by_restore", words),
        ("early", "restored", "same_log", "the same log, grown by 3 events"),
    ] {
        fixture.expect(kept, ("--data-dir", name), verdict, sentence);
    }
}

/// A dishonest service: serves these responses by path, and 404 elsewhere. Returns its URL.
async fn serve_lies(responses: Vec<(&'static str, String)>) -> String {
    let route = warp::path::full().map(move |path: warp::path::FullPath| {
        let found = responses.iter().find(|(known, _)| path.as_str() == format!("/api/v1/{known}"));
        let status = found.map_or(404, |_| 200);
        warp::http::Response::builder().status(status).body(found.map_or(String::new(), |(_, text)| text.clone()))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(warp::serve(route).incoming(listener).run());
    url
}

/// The service calls every checkpoint good. The auditor does not ask it, and verifies its proofs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_lies_is_found() {
    let fixture = AuditorFixture { files: temp_directory() };
    let muster = fixture.serve("true");
    let key = muster.get("/api/v1/log/public-key").await.text;
    fixture.write("public-key", &key);
    import(&muster, "8618210001").await;
    stop(muster);
    copy_files(Path::new(&fixture.path("true")), Path::new(&fixture.path("fork")));
    let (muster, fork) = (fixture.serve("true"), fixture.serve("fork"));
    for account in ["8618210002", "8618210003"] {
        import(&muster, account).await;
    }
    fixture.keep(&muster, "kept").await;
    import(&muster, "8618210004").await;
    for account in ["8618210005", "8618210006", "8618210007"] {
        import(&fork, account).await;
    }
    events(&fork, 4).await;
    let proof_path = "/api/v1/log/proof/consistency?from=3&to=4";
    let (true_proof, forked_proof) = (muster.get(proof_path).await.json(), fork.get(proof_path).await.json());
    let generations = fork.get("/api/v1/log/generations").await.text;
    let serve = async |generations: &str, proof: &str| {
        let responses = vec![
            ("log/public-key", key.clone()),
            ("log/checkpoint", fork.get("/api/v1/log/checkpoint").await.text),
            ("log/generations", generations.to_owned()),
            ("log/proof/consistency", proof.to_owned()),
            ("log/check", json!({"verdict": "same_log", "sentence": "the same log, grown by 1 event"}).to_string()),
        ];
        serve_lies(responses).await
    };
    // The proofs of the other history; with the root of the auditor; with the hashes of the true one; and no proof.
    let mut with_root = forked_proof.clone();
    with_root["fromRoot"] = true_proof["fromRoot"].clone();
    for proof in [forked_proof.to_string(), with_root.to_string(), true_proof.to_string(), "{}".to_owned()] {
        let server = serve(&generations, &proof).await;
        fixture.expect("kept", ("--server", &server), "other_history", "another history: ");
    }
    // Without a key of the auditor's own, the checkpoint itself binds the service to its key.
    let kept = fixture.path("kept");
    let server = serve(&generations, &forked_proof.to_string()).await;
    let (code, _, stderr) = run_muster(&["verify", "--checkpoint", &kept, "--server", &server], &[]);
    assert!(code == Some(4) && stderr.contains("another history"), "{stderr}");
    // A restore that never was: the checkpoint of another log, and generations without a proof.
    let mut invented: Value = serde_json::from_str(&generations).unwrap();
    invented["checkpoint"] = invented["checkpoint"].as_str().unwrap().replacen('\n', "/1\n", 1).into();
    for generations in [invented.to_string(), "{}".to_owned()] {
        let server = serve(&generations, &true_proof.to_string()).await;
        let (code, result, stderr) = fixture.verify("kept", ("--server", &server));
        assert!(code == Some(4) && result.is_null() && stderr.starts_with("muster: the service"), "{stderr}");
    }
    [muster, fork].into_iter().for_each(stop);
}

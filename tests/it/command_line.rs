//! The command line, from outside: help, settings, log, signals.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::service_process::{
    ProcessOutput, ServiceProcess, muster_command, run_muster, send_signal, temp_directory, wait_for_exit,
};

/// Runs the binary, which must succeed; returns its output.
pub fn printed(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let (code, stdout, stderr) = run_muster(arguments, environment);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    stdout
}

/// Runs the binary with faulty settings; returns its messages.
fn faults(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let (code, stdout, stderr) = run_muster(arguments, environment);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
    stderr
}

pub fn insta_text(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn help() {
    let mut pages = String::new();
    let verbs = "serve accounts history state diff events verify replay prove checkpoint export labels erase backup restore webhooks keys vault listen gateway openapi config dashboard alerts demo healthcheck service containerfile completions man";
    for verb in [""].into_iter().chain(verbs.split(' ')) {
        let arguments: Vec<&str> = [verb, "--help"].into_iter().filter(|it| !it.is_empty()).collect();
        let page = printed(&arguments, &[]);
        let longest = page.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(120), "a line of {arguments:?} has {longest:?} characters");
        writeln!(pages, "$ muster {}\n{page}", arguments.join(" ")).unwrap();
    }
    insta_text("cli_help", &pages);
    assert_eq!(printed(&[], &[]), printed(&["--help"], &[]), "alone it helps");
    assert_eq!(printed(&["--version"], &[]), format!("muster {}\n", env!("CARGO_PKG_VERSION")));
    // Help repeats defaults.
    let defaults = ::muster::config::Settings::default();
    for default in [defaults.http.listen, defaults.data_dir.display().to_string()] {
        assert!(pages.contains(&format!("[default: {default}]")), "{default}");
    }
}

#[test]
fn settings_with_their_sources() {
    let data = temp_directory();
    let path = data.path().join("muster.toml");
    let file = path.to_str().unwrap();
    fs::write(&path, "http.max_batch = 500\nlog.format = \"json\"\nsimulator.delay_ms = 7\n").unwrap();
    let arguments = ["config", "--listen", "localhost:0", "--webhook-base-url", "https://user:password@example.com"];
    let environment = [("MUSTER_CONFIG", file), ("MUSTER_SIMULATOR__DELAY_MS", "9"), ("MUSTER_LOG__FILTER", "warn")];
    let table = printed(&arguments, &environment);
    // Only the width of the last column depends on the path.
    insta_text("cli_config", &table.replace(file, "FILE"));
    let listed = printed(&[&arguments[..], &["-o", "json"]].concat(), &environment);
    let rows: Vec<Value> = serde_json::from_str(&listed).unwrap();
    assert_eq!(rows.len(), table.lines().count() - 1, "the same rows");
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("simulator.delay_ms")["value"], 9);
    assert_eq!(row("http.max_batch")["source"], file);
    assert!(!(table + &listed).contains("password"));
    // The flag wins over the variable that names the file.
    let empty = data.path().join("empty.toml");
    fs::write(&empty, "").unwrap();
    let other = printed(&["config", "--config", empty.to_str().unwrap()], &[("MUSTER_CONFIG", file)]);
    assert!(!other.contains(file), "{other}");
}

/// No message repeats the user, password or query of a URL.
#[test]
fn urls_in_messages() {
    let (data, secret) = (temp_directory(), temp_directory());
    let (data, secret) = (data.path().to_str().unwrap().to_owned(), secret.path().join("secret"));
    fs::write(&secret, "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\n").unwrap();
    let secret = secret.to_str().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
    let (server, endpoint) = ("MUSTER_SERVER", "MUSTER_TELEMETRY__OTLP_ENDPOINT");
    let check = |url| ["gateway", "check", url, "--secret-file", secret, "--listen", "127.0.0.1:0"];
    for (arguments, environment, code, shown) in [
        (
            &["events"][..],
            &[(server, "http://ulrich:hunter2@127.0.0.1:9/?a=@b&c=hunter2")][..],
            1,
            "http://127.0.0.1:9:",
        ),
        (&["events"], &[(server, "ulrich:hunter2@127.0.0.1:9")], 2, "must be an http or https URL"),
        (&check("ftp://ulrich:hunter2@127.0.0.1:9"), &[], 2, "must be an http or https URL"),
        (&serve, &[(endpoint, "http://ulrich:hunter2@127.0.0.1:9/a<b")], 1, "http://127.0.0.1:9/a%3Cb/v1/traces"),
        (&serve, &[(endpoint, "http://127.0.0.1:9/?a=@b&c=hunter2")], 2, "http://127.0.0.1:9"),
    ] {
        let (ended, stdout, stderr) = run_muster(arguments, environment);
        let said = stdout + &stderr;
        assert_eq!(ended, Some(code), "{arguments:?} {environment:?}: {said}");
        assert!(said.contains(shown) && !said.contains("hunter2") && !said.contains("ulrich"), "{said}");
    }
}

/// Settings from images and clusters are logged once, and change nothing.
#[test]
fn foreign_environment_variables() {
    let data = temp_directory();
    let environment = [("MUSTER_VERSION", "1.2.3"), ("MUSTER_HOME", "/opt/muster"), ("MUSTER_PORT", "8080")];
    let (status, log) = ServiceProcess::start(data.path(), &environment).stop("TERM");
    assert_eq!((status.code(), log.matches("are not settings").count()), (Some(0), 1), "{log}");
    assert!(environment.iter().all(|(variable, _)| log.contains(variable)) && !log.contains("/opt/muster"), "{log}");
    let (code, table, said) = run_muster(&["config"], &environment);
    assert_eq!((code, table.contains("8080 ")), (Some(0), true), "the default");
    assert!(said.contains("ignored") && said.contains("MUSTER_HOME"), "{said}");
    let (code, _, said) = run_muster(&["config"], &[("MUSTER_DATA_DRI", "/var/lib/muster")]);
    assert_eq!((code, said.contains("did you mean MUSTER_DATA_DIR?")), (Some(2), true), "{said}");
}

/// Every verb that is given a file refuses a FIFO and a device at once, and names it.
#[test]
fn files_that_do_not_end() {
    let place = temp_directory();
    let fifo = place.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let data = place.path().join("data");
    let data = data.to_str().unwrap();
    for (path, words) in [(fifo.to_str().unwrap(), "it is a FIFO"), ("/dev/zero", "it is a device")] {
        for arguments in [
            &["config", "--config", path][..],
            &["serve", "--config", path],
            &["serve", "--listen", "127.0.0.1:0", "--data-dir", data],
            &["verify", "--bundle", path],
            &["verify", "--export", path],
            &["verify", "--export", "Cargo.toml", "--public-key", path],
            &["backup", "verify", path],
            &["restore", path, "--data-dir", data],
            &["events", "--api-key-file", path],
            &["events", "--ca-file", path],
            &["events", "--client-cert-file", path],
            &["listen", "--listen", "127.0.0.1:0", "--secret-file", path],
            &["listen", "--listen", "127.0.0.1:0", "--tenant-id", "5", "--app-secret-file", path],
            &["gateway", "check", "--secret-file", path],
            &["webhooks", "secret", "sync", "--secret-file", path],
            &["webhooks", "app-secret", "sync", "--tenant-id", "5", "--secret-file", path],
        ] {
            let (code, _, said) = run_muster(arguments, &[("MUSTER_VAULT__MASTER_KEY_FILE", path)]);
            assert!(matches!(code, Some(1 | 2)), "{arguments:?}: {said}");
            assert!(said.contains(words) && said.contains(path), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn faulty_settings() {
    let data = temp_directory();
    let path = data.path().join("muster.toml");
    let missing = path.to_str().unwrap();
    let said = faults(&["serve", "--config", missing, "--listen", "nowhere"], &[("MUSTER_HTTP__MAX_BATHC", "1")]);
    insta_text("cli_faulty_settings", &said.replace(missing, "FILE"));
    assert!(faults(&["config"], &[("MUSTER_CONFIG", missing)]).contains("config (from MUSTER_CONFIG)"));
    fs::write(&path, "http.listen = \"nowhere\"\n").unwrap();
    assert!(faults(&["config", "--config", missing], &[]).contains(missing), "the file is named");
}

/// The demonstration checks itself: its transcript matches the deliveries, and it leaves nothing behind.
#[test]
fn the_demo() {
    let temporary = temp_directory();
    let said = printed(&["demo"], &[("TMPDIR", temporary.path().to_str().unwrap())]);
    assert_eq!(said.matches("861821720003").count(), 4, "three webhooks and the summary: {said}");
    assert!(said.contains("is banned              online-coming → online → banned\n"), "{said}");
    assert!(said.contains("43 webhooks arrived") && !said.contains('\x1b'), "{said}");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    let mut interrupted = muster_command(&["demo"], &[("TMPDIR", temporary.path().to_str().unwrap())]).spawn().unwrap();
    let stdout = ProcessOutput::read_from(interrupted.stdout.take().unwrap());
    stdout.next_line().unwrap();
    send_signal(interrupted.id(), "INT");
    assert_eq!(wait_for_exit(&mut interrupted).code(), Some(1), "it did not come to its end");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

/// The reader of the output may go away.
#[test]
fn output_without_a_reader() {
    for arguments in [&["config"][..], &["--help"], &[]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = muster_command(arguments, &[]).stdout(writer).spawn().unwrap();
        let stderr = ProcessOutput::read_from(child.stderr.take().unwrap());
        assert_eq!((wait_for_exit(&mut child).code(), stderr.read_rest()), (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn the_log() {
    let data = temp_directory();
    let log = |settings: &[(&str, &str)]| {
        let (status, log) = ServiceProcess::start(data.path(), settings).stop("TERM");
        assert_eq!(status.code(), Some(0), "{log}");
        log
    };
    let text = log(&[]);
    assert!(text.contains(" INFO ") && text.contains("SIGTERM: stopping") && !text.contains('\x1b'), "{text}");
    let json = log(&[("MUSTER_LOG__FORMAT", "json")]);
    let lines = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    let is_level = |level: &Value| level == "INFO" || level == "WARN";
    assert!(lines.iter().all(|line| is_level(&line["level"]) && line["timestamp"].is_string()), "{json}");
    assert!(lines.iter().any(|line| line["message"] == "SIGTERM: stopping"), "{json}");
    assert_eq!(log(&[("MUSTER_LOG__FILTER", "off")]), "");
}

/// Too many connections are logged, and logged once.
#[tokio::test]
async fn too_many_connections_are_logged_once() {
    let start = |most, most_of_one| {
        let settings =
            [("MUSTER_HTTP__MAX_CONNECTIONS", most), ("MUSTER_HTTP__MAX_CONNECTIONS_PER_ADDRESS", most_of_one)];
        let data = temp_directory();
        (ServiceProcess::start(data.path(), &settings), data)
    };
    let connect = async |muster: &ServiceProcess| {
        let mut stream = tokio::net::TcpStream::connect(muster.url("").replace("http://", "")).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        let answered = stream.read_exact(&mut answer).await.is_ok();
        (stream, answered)
    };
    let (muster, _data) = start("10", "1");
    let (_open, answered) = connect(&muster).await;
    assert!(answered);
    for _ in 0..3 {
        assert!(!connect(&muster).await.1, "one is enough for one address");
    }
    let log = tokio::task::spawn_blocking(move || muster.stop("TERM").1).await.unwrap();
    assert_eq!(log.matches("closing new connections from an address that has too many").count(), 1, "{log}");
    assert!(log.contains("from=127.0.0.1 open=1 refused=1"), "{log}");

    let (muster, _data) = start("1", "1");
    for _ in 0..2 {
        // The next connection waits until this one is closed.
        let (stream, answered) = connect(&muster).await;
        assert!(answered);
        drop(stream);
    }
    let log = tokio::task::spawn_blocking(move || muster.stop("TERM").1).await.unwrap();
    assert_eq!(log.matches("the connection limit is reached").count(), 1, "{log}");
    assert!(log.contains("open=1 busiest=\"127.0.0.1\" of_it=1"), "{log}");
}

/// The second signal stops what the first one waits for.
#[tokio::test]
async fn a_second_signal() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let data = temp_directory();
        let muster = ServiceProcess::start(data.path(), &[]);
        let mut half = tokio::net::TcpStream::connect(muster.url("").replace("http://", "")).await.unwrap();
        half.write_all(b"POST /group-dispatch-api/whatsapp/batchOnline HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{").await.unwrap();
        // By then the half request has been read, too.
        assert_eq!(muster.get("/readyz").await.status, 200);
        let begin = Instant::now();
        send_signal(muster.pid(), signal);
        // Long enough to handle the first signal; pending signals of a kind merge into one.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (status, log) = tokio::task::spawn_blocking(move || muster.stop(signal)).await.unwrap();
        assert_eq!(status.code(), Some(code), "{log}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{log}");
    }
}

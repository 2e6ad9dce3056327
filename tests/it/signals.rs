//! Signals, and outputs without a reader: only the signals that stop the service stop it.

use std::fs::{File, Permissions};
use std::io::{PipeReader, PipeWriter, Write};
use std::iter;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::time::Instant;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::calls::online;
use crate::service_process::{
    ProcessOutput, ServiceProcess, TEST_TIMEOUT, client, muster_command, send_signal, serve_command, temp_directory,
    wait_for_exit,
};

/// Bytes that a pipe holds.
const PIPE_BYTES: usize = 64 * 1024;

/// A pipe that is full.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'x'; PIPE_BYTES]).unwrap();
    (reader, writer)
}

/// The next line of the log that contains `words`.
fn line_with(log: &ProcessOutput, words: &str) -> String {
    iter::from_fn(|| log.next_line())
        .find(|line| line.contains(words))
        .unwrap_or_else(|| panic!("no line has {words:?}"))
}

/// Reads until each of `words` was in a line, in any order.
fn lines_with<const N: usize>(log: &ProcessOutput, words: [&str; N]) {
    let mut missing = Vec::from(words);
    while !missing.is_empty() {
        let line = log.next_line().unwrap_or_else(|| panic!("no line has {missing:?}"));
        missing.retain(|words| !line.contains(words));
    }
}

async fn lost_lines(muster: &ServiceProcess) -> u64 {
    let metrics = muster.get("/metrics").await.text;
    let lost = metrics.lines().find_map(|line| line.strip_prefix("muster_log_lines_lost_total "));
    lost.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[tokio::test]
async fn a_log_without_a_reader() {
    let data = temp_directory();
    let (reader, writer) = full_pipe();
    // The line that reports lost lines passes any filter.
    let filter = [("MUSTER_LOG__FILTER", "hyper=trace,muster=debug,muster::cli=off")];
    let muster = ServiceProcess::spawn(serve_command(data.path(), &filter).stderr(writer));
    let list = "/group-dispatch-api/whatsapp/queryWhatsAppStatus";
    for _ in 0..2_000 {
        assert_eq!(muster.get(list).await.status, 200);
    }
    while lost_lines(&muster).await == 0 {
        assert_eq!(muster.get("/healthz").await.status, 200);
    }
    let log = ProcessOutput::read_from(reader);
    let line = line_with(&log, "log lines were lost here");
    let lost = lost_lines(&muster).await;
    assert!(line.contains(" WARN ") && line.ends_with(&format!(" lines={lost}\n")), "{lost} lost: {line}");
    assert_eq!(muster.get("/here-again").await.status, 404);
    line_with(&log, "here-again");
    let (status, _) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0));
    let last = log.read_rest();
    assert!(last.contains("muster::service: stopping") && !last.contains("were lost"), "{last}");
}

/// The service notifies its service manager, serves and stops even if the reader of standard output hangs.
#[tokio::test]
async fn a_ready_line_without_a_reader() {
    let data = temp_directory();
    let path = data.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    let (_unread, stdout) = full_pipe();
    let (log, stderr) = std::io::pipe().unwrap();
    let notify = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let mut child = serve_command(&data.path().join("data"), &notify).stdout(stdout).stderr(stderr).spawn().unwrap();
    let mut message = [0; 64];
    let length = manager.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1\n");
    let log = ProcessOutput::read_from(log);
    let ready = line_with(&log, " ready address=");
    let address = ready.split("address=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(client().get(format!("http://{address}/healthz")).send().await.unwrap().status().is_success());
    send_signal(child.id(), "TERM");
    assert_eq!(wait_for_exit(&mut child).code(), Some(0), "{}", log.read_rest());
}

#[tokio::test]
async fn a_service_manager_that_reads_nothing() {
    let data = temp_directory();
    let path = data.path().join("notify");
    let _manager = UnixDatagram::bind(&path).unwrap();
    let full = UnixDatagram::unbound().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.send_to(b"x", &path).is_ok() {}
    let muster = ServiceProcess::start(&data.path().join("data"), &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert_eq!(muster.get("/healthz").await.status, 200);
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Half a request, which keeps a stopping service waiting.
async fn open_half_request(muster: &ServiceProcess) -> TcpStream {
    let mut half = TcpStream::connect(muster.url("").replace("http://", "")).await.unwrap();
    let head = "POST /group-dispatch-api/whatsapp/batchOnline HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/json\r\ncontent-length: 10\r\n\r\n{";
    half.write_all(head.as_bytes()).await.unwrap();
    half
}

#[tokio::test]
async fn a_second_signal_while_the_log_is_stuck() {
    let data = temp_directory();
    let (_unread, stderr) = full_pipe();
    let muster = ServiceProcess::spawn(serve_command(data.path(), &[]).stderr(stderr));
    let _half = open_half_request(&muster).await;
    send_signal(muster.pid(), "TERM");
    let address = muster.url("").replace("http://", "");
    // It listens until it has handled the first signal.
    while TcpStream::connect(&address).await.is_ok() {}
    let (status, _) = muster.stop("TERM");
    assert_eq!(status.code(), Some(143));
}

/// A start that waits for its master key.
struct BlockedStart {
    child: Child,
    log: ProcessOutput,
    stdout: ProcessOutput,
    /// The pipe from which the key command reads the key.
    key: File,
    _directory: TempDir,
}

impl BlockedStart {
    fn start() -> BlockedStart {
        let directory = temp_directory();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let (begun, key) = (path("begun"), path("key"));
        assert!(Command::new("mkfifo").args([&begun, &key]).status().unwrap().success());
        // Open for reading and writing, so that opening does not block.
        let open = |path| File::options().read(true).write(true).open(path).unwrap();
        let (heard, written) = (ProcessOutput::read_from(open(&begun)), open(&key));
        std::fs::write(path("program"), format!("echo > {begun}; read key < {key}; echo $key")).unwrap();
        let command = format!("/bin/sh {}", path("program"));
        let settings = [("MUSTER_VAULT__MASTER_KEY_COMMAND", command.as_str())];
        let mut child = serve_command(&directory.path().join("data"), &settings).spawn().unwrap();
        let (log, stdout) = (
            ProcessOutput::read_from(child.stderr.take().unwrap()),
            ProcessOutput::read_from(child.stdout.take().unwrap()),
        );
        assert_eq!(heard.next_line().as_deref(), Some("\n"));
        BlockedStart { child, log, stdout, key: written, _directory: directory }
    }

    fn provide_key(&mut self) {
        writeln!(self.key, "{}", "2a".repeat(32)).unwrap();
    }
}

/// No other signal ends the service, neither during the start nor while it serves.
#[tokio::test]
async fn signals_that_do_not_end_the_service() {
    let signals = ["HUP", "USR1", "USR2", "ALRM", "PIPE", "HUP"];
    let mut start = BlockedStart::start();
    let pid = start.child.id();
    for signal in signals {
        send_signal(pid, signal);
    }
    start.provide_key();
    let ready = start.stdout.next_line().unwrap();
    let url = ready.trim().strip_prefix("muster is ready on ").unwrap();
    for signal in signals {
        send_signal(pid, signal);
        assert!(client().get(format!("{url}/healthz")).send().await.unwrap().status().is_success(), "{signal}");
    }
    line_with(&start.log, "SIGHUP: the log filter was reloaded");
    send_signal(pid, "TERM");
    assert_eq!(wait_for_exit(&mut start.child).code(), Some(0), "{}", start.log.read_rest());
}

#[test]
fn a_stop_during_the_start() {
    let mut start = BlockedStart::start();
    send_signal(start.child.id(), "TERM");
    assert_eq!(wait_for_exit(&mut start.child).code(), Some(0), "{}", start.log.read_rest());
    // The key command still waits.
    start.provide_key();
}

/// TLS files and the log filter are read again. A faulty filter keeps the old one.
#[tokio::test]
async fn settings_are_read_again() {
    let data = temp_directory();
    let path = |name: &str| data.path().join(name);
    let make_certificate = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(path("key.pem"), Permissions::from_mode(0o600)).unwrap();
    };
    let set_filter = |filter: &str| {
        let tls = format!("[tls]\ncert = {:?}\nkey = {:?}\n", path("cert.pem"), path("key.pem"));
        std::fs::write(path("muster.toml"), format!("log.filter = {filter}\n{tls}")).unwrap();
    };
    make_certificate();
    set_filter("\"info\"");
    let (log, stderr) = std::io::pipe().unwrap();
    let config = path("muster.toml").display().to_string();
    let muster = ServiceProcess::spawn(serve_command(&path("data"), &[("MUSTER_CONFIG", &config)]).stderr(stderr));
    let log = ProcessOutput::read_from(log);
    line_with(&log, " ready address=");
    make_certificate();
    set_filter("\"muster=debug\"");
    send_signal(muster.pid(), "HUP");
    let filter = "SIGHUP: the log filter was reloaded";
    lines_with(&log, [filter, "the TLS files were read again: new connections use them"]);
    // A client without TLS is logged at debug.
    assert!(client().get(muster.url("/").replace("https:", "http:")).send().await.is_err());
    line_with(&log, " DEBUG muster::http::server: a client failed the TLS handshake");
    set_filter("3");
    send_signal(muster.pid(), "HUP");
    let line = line_with(&log, "SIGHUP: the log filter was not reloaded");
    assert!(line.contains("log.filter") && line.contains("muster.toml"), "{line}");
    assert!(client().get(muster.url("/").replace("https:", "http:")).send().await.is_err());
    line_with(&log, " DEBUG muster::http::server: a client failed the TLS handshake");
    // What became of the filter is told whatever the new one lets through.
    for filter in ["warn", "off"] {
        set_filter(&format!("{filter:?}"));
        send_signal(muster.pid(), "HUP");
        let told = line_with(&log, "SIGHUP: the log filter was reloaded");
        assert!(told.contains(&format!("filter=\"{filter}\"")), "{told}");
    }
    set_filter("3");
    send_signal(muster.pid(), "HUP");
    line_with(&log, "SIGHUP: the log filter was not reloaded");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    assert_eq!(log.read_rest(), "", "all else is off");
}

/// SIGHUP means something else before its handler is there, so it must be there with the first.
#[test]
fn a_signal_right_after_the_start() {
    let data = temp_directory();
    let mut child = serve_command(data.path(), &[]).spawn().unwrap();
    let (hangup, last) = (1_u64 << 0, 1_u64 << 24);
    let begin = Instant::now();
    let caught = loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        if caught & last != 0 {
            break caught;
        }
        assert!(begin.elapsed() < TEST_TIMEOUT, "{status}");
    };
    send_signal(child.id(), "HUP");
    assert_ne!(caught & hangup, 0, "SIGXFSZ has its handler, and SIGHUP has none: {caught:x}");
    let ready = ProcessOutput::read_from(child.stdout.take().unwrap());
    assert!(ready.next_line().unwrap().starts_with("muster is ready on "));
    send_signal(child.id(), "TERM");
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
}

/// A process that hangs in a place without signal handling ends all the same.
#[tokio::test]
async fn a_hanging_process_ends() {
    let (_unread, stdout) = full_pipe();
    let mut child = muster_command(&["listen", "--listen", "127.0.0.1:0"], &[]).stdout(stdout).spawn().unwrap();
    let log = ProcessOutput::read_from(child.stderr.take().unwrap());
    let said = line_with(&log, "muster listens on ");
    let url = said.trim().strip_prefix("muster listens on ").unwrap();
    client().post(url).body("{}").send().await.unwrap();
    send_signal(child.id(), "TERM");
    assert_eq!(wait_for_exit(&mut child).code(), Some(0), "{}", log.read_rest());
}

/// Everything that callers, receivers and others can leave half done.
#[tokio::test]
async fn a_stop_takes_at_most_ten_seconds() {
    let data = temp_directory();
    // It accepts connections, and responds to nothing.
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", receiver.local_addr().unwrap());
    let muster = ServiceProcess::start(
        data.path(),
        &[("MUSTER_WEBHOOKS__BASE_URL", &base), ("MUSTER_SIMULATOR__DELAY_MS", "1")],
    );
    online(&muster, "861821726232").await;
    let _attempt = receiver.accept().await.unwrap();
    let _half = open_half_request(&muster).await;
    let _silent = TcpStream::connect(muster.url("").replace("http://", "")).await.unwrap();
    let _unread =
        muster.client().get(muster.url("/api/v1/events")).header("accept", "text/event-stream").send().await.unwrap();
    let begin = Instant::now();
    let (status, log) = tokio::task::spawn_blocking(move || muster.stop("TERM")).await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(begin.elapsed().as_secs() <= 10, "{log}");
}

/// A backup that is ended leaves no files behind.
#[tokio::test]
async fn a_stopped_backup_leaves_no_files() {
    let data = temp_directory();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let to = data.path().join("backup");
    let mut child = muster_command(&["backup", to.to_str().unwrap(), "--server", &url], &[]).spawn().unwrap();
    let (mut stream, _) = server.accept().await.unwrap();
    assert!(stream.read(&mut [0; 1_024]).await.unwrap() > 0, "it asks");
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\r\nbegin").await.unwrap();
    send_signal(child.id(), "TERM");
    // Until the other side stops reading.
    while stream.write_all(&[b'x'; 1_024]).await.is_ok() {}
    assert_eq!(wait_for_exit(&mut child).code(), Some(143));
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}

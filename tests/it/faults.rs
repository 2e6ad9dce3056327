//! Faults around the service: one sentence that says what to do, an exit code, and no damage.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use muster::domain::{AccountNumber, Event, Reason};
use muster::journal::{AppendRequest, Origin};

use crate::service_process::{
    ServiceProcess, copy_files, list_files, muster_command, run_muster, send_signal, temp_directory,
};
use crate::testkit::fixture::{open_journal, open_store};
use crate::testkit::requests::{LIST, ONLINE, account_with, accounts, list};

/// Starts a service that cannot run; returns its error.
fn start_error(data: &Path, environment: &[(&str, &str)]) -> String {
    start_error_with(1, data, environment)
}

/// As `start_error`, for another exit code.
fn start_error_with(exit: i32, data: &Path, environment: &[(&str, &str)]) -> String {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let (code, stdout, stderr) = run_muster(&arguments, environment);
    assert_eq!((code, stdout.as_str()), (Some(exit), ""), "{stderr}");
    // The log may have lines before; the error is the last one. Keys are random, and so are their ids.
    let sentence = stderr.lines().last().unwrap().replace(data.to_str().unwrap(), "DATA");
    let hide_id = |word: &str| {
        let id = word.trim_end_matches(',');
        let is_id = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { word.replace(id, "ID") } else { word.to_owned() }
    };
    sentence.split(' ').map(hide_id).collect::<Vec<_>>().join(" ")
}

/// A batch with secrets.
fn sealed_batch(numbers: impl Iterator<Item = u64>) -> String {
    let fields = serde_json::json!({"privateKey": "c2VjcmV0"});
    list(numbers.map(|number| account_with(number, &fields)))
}

#[tokio::test]
async fn what_keeps_it_from_starting() {
    let mut sentences = String::new();
    let mut note = |what: &str, sentence: String| sentences += &format!("{what}:\n  {sentence}\n");

    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    note("a second process", start_error(data.path(), &[]));
    let address = muster.url("").replace("http://", "");
    let other = temp_directory();
    let (code, _, stderr) =
        run_muster(&["serve", "--listen", &address, "--data-dir", other.path().to_str().unwrap()], &[]);
    assert_eq!((code, list_files(other.path()).len()), (Some(1), 0), "a taken port leaves nothing on the disk");
    note("a taken port", stderr.lines().last().unwrap().replace(&address, "ADDRESS"));
    assert_eq!(muster.post(ONLINE, accounts(["8618210001"])).await.status, 200, "the first one lives");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));

    let key = data.path().join("keys/master.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    note("a key that others may read", start_error(data.path(), &[]));
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let right = fs::read(&key).unwrap();
    fs::write(&key, "nonsense").unwrap();
    note("a key file with something else", start_error(data.path(), &[]));
    fs::remove_file(&key).unwrap();
    note("no key file", start_error(data.path(), &[]));
    let another = temp_directory();
    assert_eq!(ServiceProcess::start(another.path(), &[]).stop("TERM").0.code(), Some(0));
    let wrong = another.path().join("keys/master.key");
    let wrong = wrong.to_str().unwrap();
    note("another key", start_error(data.path(), &[("MUSTER_VAULT__MASTER_KEY_FILE", wrong)]).replace(wrong, "KEY"));
    let new = temp_directory();
    let missing = new.path().join("nowhere/master.key");
    let missing = missing.to_str().unwrap();
    let sentence = start_error(new.path(), &[("MUSTER_VAULT__MASTER_KEY_FILE", missing)]);
    note("no named key file for a new directory", sentence);
    assert!(!Path::new(missing).exists() && !new.path().join("keys").exists());
    fs::write(&key, right).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    let foreign = temp_directory();
    fs::write(foreign.path().join("letters.txt"), "not ours").unwrap();
    note("a directory that is not ours", start_error(foreign.path(), &[]));
    assert_eq!(fs::read_to_string(foreign.path().join("letters.txt")).unwrap(), "not ours");
    let file = foreign.path().join("letters.txt");
    note("a file where the directory should be", start_error(&file, &[]));

    assert_eq!(ServiceProcess::start(data.path(), &[]).stop("TERM").0.code(), Some(0), "nothing is damaged");
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("faults_at_start", sentences);
    });
}

/// Any file of a data directory may be a FIFO without a writer: a start refuses it or does without it, and never waits.
#[tokio::test]
async fn a_fifo_in_the_place_of_a_file() {
    let data = temp_directory();
    let muster = ServiceProcess::start(data.path(), &[]);
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let mut names: Vec<PathBuf> =
        list_files(data.path()).iter().map(|path| path.strip_prefix(data.path()).unwrap().to_owned()).collect();
    // Files that are saved whole are written beside their places first.
    names.extend(["cache/roster.new", "log/checkpoint.new", "store/blobs/1"].map(PathBuf::from));
    for name in names {
        let copy = temp_directory();
        copy_files(data.path(), copy.path());
        let path = copy.path().join(&name);
        let _replaced = fs::remove_file(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        match ServiceProcess::try_start(copy.path(), &[]) {
            Ok(muster) => {
                let (status, log) = muster.stop("TERM");
                assert_eq!(status.code(), Some(0), "{name:?}: {log}");
                let is_made_anew = name.starts_with("cache") || name.extension().is_some_and(|it| it == "new");
                assert!(is_made_anew, "{name:?}: {log}");
            }
            Err((_, log)) => {
                let last = log.lines().last().unwrap_or_default();
                assert!(last.starts_with("muster: ") && last.contains("it is a FIFO"), "{name:?}: {log}");
            }
        }
    }
}

/// A journal with a flipped byte is not served.
#[tokio::test]
async fn a_corrupted_block() {
    let data = temp_directory();
    let account = AccountNumber::from_stored(861_821_726_232).unwrap();
    {
        let store = open_store(data.path());
        let journal = open_journal(store.clone());
        let at = muster::clock::now();
        let events = vec![Event::OnlineRequested { reason: Reason::none() }];
        journal
            .append(AppendRequest { account, expected_version: 0, events, origin: Origin::SERVICE, at })
            .await
            .unwrap();
        // A block that claims to be the next, with bytes that are no block.
        store.append(&[(2, [7; 200])]).unwrap();
    }
    let sentence = start_error_with(4, data.path(), &[]);
    assert!(sentence.contains("damaged at position 2") && sentence.contains("backup"), "{sentence}");
}

/// A byte changes on the disk, after a crash and without the caches. Either the start refuses the store, or the byte is
/// no longer read: then every event and every sealed value is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_byte() {
    let data = temp_directory();
    // The simulator would ban some of the accounts meanwhile.
    let settings = [("MUSTER_SIMULATOR__DELAY_MS", "60000")];
    let muster = ServiceProcess::start(data.path(), &settings);
    for from in (8_618_210_000..).step_by(1_000).take(5) {
        assert_eq!(muster.post(ONLINE, sealed_batch(from..from + 100)).await.status, 200);
    }
    muster.kill();
    let whole = fs::read(data.path().join("store/db")).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for part in 1..8 {
        let copy = temp_directory();
        copy_files(data.path(), copy.path());
        let mut changed = whole.clone();
        changed[end * part / 8] ^= 0x55;
        fs::write(copy.path().join("store/db"), &changed).unwrap();
        match ServiceProcess::try_start(copy.path(), &settings) {
            Ok(muster) => assert_complete(muster, part).await,
            Err((status, log)) => {
                assert!(matches!(status.code(), Some(1 | 4)), "part {part}: {log}");
                assert!(log.lines().last().unwrap().starts_with("muster: "), "part {part}: {log}");
            }
        }
    }
}

/// All accounts are served, the log is complete, and each sealed value opens: a rotation opens and seals all of them.
async fn assert_complete(muster: ServiceProcess, part: usize) {
    let listed = muster.get(LIST).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 500, "part {part}: it serves what is left");
    for check in ["verify", "replay"] {
        let checked = muster.post(&format!("/api/v1/{check}"), "").await;
        assert_eq!(checked.status, 200, "part {part}: {}", checked.text);
    }
    let (code, _, stderr) = run_muster(&["vault", "rotate", "--discard-old-key", "--server", &muster.url("")], &[]);
    assert_eq!(code, Some(0), "part {part}: {stderr}");
    // Importing the same content again fails if the stored content was read wrong.
    for from in (8_618_210_000..).step_by(1_000).take(5) {
        let same = muster.post(ONLINE, sealed_batch(from..from + 100)).await;
        assert_eq!(same.status, 200, "part {part}: {}", same.text);
    }
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
}

/// A full disk: the service answers nothing that is not stored, ends, and continues once there is space.
#[tokio::test]
async fn a_full_disk() {
    let data = temp_directory();
    assert_eq!(ServiceProcess::start(data.path(), &[]).stop("TERM").0.code(), Some(0));
    // A limit on file sizes stands for the full disk; `ulimit -f` counts blocks of 512 or 1,024 bytes.
    let serve = format!(
        "trap '' XFSZ; ulimit -f 40000; exec {} serve --listen 127.0.0.1:0 --data-dir {}",
        env!("CARGO_BIN_EXE_muster"),
        data.path().display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &serve]).env_clear();
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let muster = ServiceProcess::spawn(&mut shell);
    let mut imported: Vec<String> = Vec::new();
    let mut numbers = (8_618_210_000_u64..).step_by(1_000);
    let asked = format!("{ONLINE}?details=true");
    loop {
        let from = numbers.next().unwrap();
        assert!(from < 8_628_210_000, "the disk is never full");
        let Ok(answer) = muster.try_post(&asked, accounts(from..from + 1_000), "").await else { break };
        // The disk may fill up between two commits of one batch: then part of it is stored, and the response says which
        // part.
        assert!([200, 207, 500].contains(&answer.status), "{}", answer.text);
        let results = answer.json()["results"].as_array().cloned().unwrap_or_default();
        let taken = results.iter().filter(|result| result["code"] == 200);
        imported.extend(taken.map(|result| result["whatsApp"].as_str().unwrap().to_owned()));
        if answer.status != 200 {
            break;
        }
    }
    let (status, log) = muster.wait_for_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.lines().last().unwrap().contains("check the disk"), "{log}");
    let muster = ServiceProcess::start(data.path(), &[]);
    let listed = muster.get(LIST).await.text;
    assert!(imported.len() > 1_000, "{}", imported.len());
    for number in imported {
        assert!(listed.contains(&format!("\"{number}\"")), "{number} was answered, and is lost");
    }
}

/// Both signals end the service within ten seconds with exit code 0, even while a client is in the middle of a request.
#[tokio::test]
async fn signals() {
    for signal in ["TERM", "INT"] {
        let data = temp_directory();
        let muster = ServiceProcess::start(data.path(), &[]);
        let address = muster.url("").replace("http://", "");
        let mut half = tokio::net::TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST {ONLINE} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{{"
        );
        tokio::io::AsyncWriteExt::write_all(&mut half, head.as_bytes()).await.unwrap();
        let begin = std::time::Instant::now();
        let (status, log) = tokio::task::spawn_blocking(move || muster.stop(signal)).await.unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(begin.elapsed().as_secs() <= 10, "{log}");
    }
}

/// Clients that disconnect or send garbage do no harm.
#[tokio::test]
async fn garbage_on_the_wire() {
    let data = temp_directory();
    let service = ServiceProcess::start(data.path(), &[]);
    let address = service.url("").replace("http://", "");
    for rubbish in
        [&b"\0\0\0"[..], b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", &[b'a'; 100_000]]
    {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let _refused = tokio::io::AsyncWriteExt::write_all(&mut stream, rubbish).await;
    }
    assert_eq!(service.get("/readyz").await.status, 200);
    send_signal(service.pid(), "TERM");
    assert_eq!(service.wait_for_exit().0.code(), Some(0));
}

/// The command line explains usage errors.
#[test]
fn usage() {
    let (code, stdout, stderr) = run_muster(&["serve", "--listen", "nowhere"], &[("MUSTER_HTTP__MAX_BATCH", "many")]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("http.listen") && stderr.contains("http.max_batch"), "all faults at once: {stderr}");
    assert_eq!(muster_command(&["fly"], &[]).status().unwrap().code(), Some(2));
}

//! Backups, and the master keys that open them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::service_process::{ServiceProcess, run_muster, temp_directory};
use crate::testkit::requests::{INSERT, accounts};

const ACCOUNT: &str = "861821726232";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A backup from before a rotation is restored with the old key: `restore` tries it, and names the key that it needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_needs_the_key_of_the_backup() {
    let (data, files) = (temp_directory(), temp_directory());
    let file = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let muster = ServiceProcess::start(data.path(), &[]);
    assert_eq!(muster.post(INSERT, accounts([ACCOUNT])).await.status, 200);
    let id = muster.get("/api/v1/vault").await.json()["id"].as_str().unwrap().to_owned();
    let (server, backup, old) = (muster.url(""), file("backup"), file("old.key"));
    assert_eq!(run_muster(&["backup", &backup, "--server", &server], &[]).0, Some(0));
    let (code, _, stderr) = run_muster(&["vault", "rotate", "--keep-old-key", &old, "--server", &server], &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    let (new, to) = (data.path().join("keys/master.key"), file("restored"));
    let restore = |key: &[&str]| run_muster(&[&["restore", &backup, "--data-dir", &to], key].concat(), &[]);

    // Another key, or none in the file: nothing is left behind.
    let (code, _, stderr) = restore(&["--master-key-file", new.to_str().unwrap()]);
    assert!(code == Some(1) && stderr.contains(&format!("the backup needs key {id}, the file holds ")), "{stderr}");
    assert!(restore(&["--master-key-file", &file("none")]).2.contains("is missing"));
    assert_eq!(fs::read_dir(files.path()).unwrap().count(), 2);

    let (code, stdout, stderr) = restore(&["--master-key-file", &old, "-o", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let restored: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(restored["masterKey"], id.as_str());
    assert!(restored["next"].as_str().unwrap().starts_with("start the service"), "{restored}");
    let keys = Path::new(&to).join("keys");
    assert_eq!((mode(&keys), mode(&keys.join("master.key"))), (0o700, 0o600));
    let muster = ServiceProcess::start(Path::new(&to), &[]);
    assert_eq!(muster.post(INSERT, accounts([ACCOUNT])).await.status, 200);
    let history = muster.get(&format!("/api/v1/accounts/{ACCOUNT}/events")).await.json();
    assert_eq!(history["events"].as_array().unwrap().len(), 1, "the content opens, so it is recognized: {history}");
    assert_eq!(muster.stop("TERM").0.code(), Some(0));
    fs::remove_dir_all(&to).unwrap();

    let (code, stdout, stderr) = restore(&[]);
    assert!(code == Some(0) && stdout.contains(&format!("put key {id} into {to}/keys/master.key")), "{stdout}{stderr}");
    assert_eq!((mode(&keys), fs::read_dir(&keys).unwrap().count()), (0o700, 0));
    let (code, _, stderr) = run_muster(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &to], &[]);
    assert!(code == Some(1) && stderr.contains(&format!("the store needs key {id}, but ")), "{stderr}");
}

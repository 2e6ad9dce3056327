//! Everything that earlier versions wrote stays readable. `snapshots/frozen/VERSION` has it, byte by byte: a data
//! directory of a killed service, backups, exports, bundles, checkpoints, settings, the description of the API.
//!
//! Do not change these files: operators and auditors have the same on their disks. A test that fails here has found
//! that Muster no longer reads them; mend the code. A changed stored form gets a new number, beside the old one, and a
//! new frozen folder:
//!
//! ```text
//! MUSTER_FREEZE=0.4 cargo test --test it frozen::the_recipe     fails if the folder exists
//! ```
//!
//! Then add the line that it prints to `VERSIONS`.
//!
//! | file | content |
//! |---|---|
//! | `recipe` | writes the content of a folder |
//! | `interfaces` | whether an API still offers what it offered |
//! | `fixture` | a service with its gateways and receivers |
//! | `serving` | serves frozen directories and backups |

mod fixture;
mod interfaces;
mod recipe;
mod serving;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fake_graph::{APP_SECRET, TOKEN, VERIFY_TOKEN};
use crate::gateway_check::SECRET;
use crate::service_process::{list_files, run_muster, temp_directory};
use fixture::directory_of;

/// Each frozen version, and the SHA-256 of its `SHA256SUMS`.
const VERSIONS: [(&str, &str); 3] = [
    ("0.1", "508d84a0e31eeeb637c406d8e454ea6f05e216f654678f7cfe5a88e2ed85f7de"),
    ("0.2", "bf82bcad530accfe9aa5844be140bdf8b99b4c165f1b8037ab7f558e1933690a"),
    ("0.3", "9dc8d43beb87f07d62dae58b37b5dbc05c0c3f76686de6975d3147016e51421b"),
];

/// Accounts of each gateway. All their events and states are compared with the frozen output.
const ACCOUNTS: [&str; 22] = [
    "8618210011",
    "8618210001",
    "8618210002",
    "8618210003",
    "8618210004",
    "8618210005",
    "8618210006",
    "8618210010",
    "8618210012",
    "8618210013",
    "8618210014",
    "8618210015",
    "8618210016",
    "8618210017",
    "8618210021",
    "8618210022",
    "8618210031",
    "8618210032",
    "8618310001",
    "8618310002",
    "8618310003",
    "15550783881",
];
const SIGNING_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const TENANT: &str = "500975";
const TENANT_SECRET: &str = "tenant-secret-of-the-tests";

/// Every setting that a file may have; of settings that exclude each other, one.
const SETTINGS: &str = r#"data_dir = "/var/lib/muster"

[http]
listen = "127.0.0.1:8081"
always_200 = true
max_batch = 5_000
max_body_bytes = 8388608
max_connections = 5000
max_connections_per_address = 1000
request_timeout = "30s"
requests_per_second = 500

[tls]
cert = "/etc/muster/cert.pem"
key = "/etc/muster/key.pem"
client_ca = "/etc/muster/clients.pem"

[accounts]
registration_lifetime = "5m"
auto_reconnect = true
reconnect_wait = "10s"

[actors]
coming_timeout = "90s"
idle_after = "1m"
max_active = 1000
max_in_flight = 2000

[store]
cache_bytes = 33554432
checkpoint_every = 1000

[vault]
master_key_file = "/run/keys/master.key"

[webhooks]
base_url = "https://receiver.example.com"
allow_networks = ["10.0.0.0/8", "fd00::/8"]
retry_waits = ["1s", "1h 30m"]
after_last_try = "block"
timeout = "5s"
max_in_flight = 16
redeliver_per_second = 10
keep_attempts = "48h"
accept_plain_2xx = true
register_status_as_string = true
include_labels = true
channel_sync_status.url = "https://receiver.example.com/sync"
channel_sync_status.deliver = "latest"
channel_register_status.url = "https://receiver.example.com/register"
channel_register_status.deliver = "latest"

[gateway]
default = "bridge"
rules = ["8618=simulator", "business=cloud_api"]
reconcile_every = "1h"

[gateway.bridge]
url = "https://gateway.example.com"
lease = "1m"
timeout = "5s"
max_in_flight = 8
calls_per_second = 20

[gateway.cloud_api]
base_url = "https://graph.example.com"
version = "v22.0"
waba_id = "102290129340398"
verified_name = "Lucky Shrub"
language = "de"
region = "DE"
deregister_on_recycle = true
code_request = "form"
timeout = "5s"
max_in_flight = 4
calls_per_second = 2

[simulator]
delay_ms = 10

[log]
filter = "muster=debug,warn"
format = "json"
full_numbers = true

[telemetry]
otlp_endpoint = "https://collector.example.com"
service_name = "muster-test"
sample_ratio = 0.5
"#;

/// The settings that only the environment may have; of settings that exclude each other, one.
const SECRETS: [(&str, &str); 6] = [
    ("MUSTER_GATEWAY__BRIDGE__SECRET", SECRET),
    ("MUSTER_GATEWAY__CLOUD_API__TOKEN", TOKEN),
    ("MUSTER_GATEWAY__CLOUD_API__APP_SECRET", APP_SECRET),
    ("MUSTER_GATEWAY__CLOUD_API__VERIFY_TOKEN", VERIFY_TOKEN),
    ("MUSTER_GATEWAY__CLOUD_API__PIN", "212834"),
    ("MUSTER_TELEMETRY__OTLP_HEADERS", "name=value"),
];

fn frozen(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/frozen").join(version)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder's `SHA256SUMS`, in the format of `sha256sum`.
fn sums(folder: &Path) -> String {
    let mut paths = list_files(folder);
    paths.retain(|path| !path.ends_with("SHA256SUMS"));
    paths.sort();
    let line = |path: &PathBuf| {
        format!("{}  {}\n", hex(&fs::read(path).unwrap()), path.strip_prefix(folder).unwrap().display())
    };
    paths.iter().map(line).collect()
}

/// The output of the command line for an unused directory, as JSON, by verb.
fn shown(data: &str) -> Value {
    let mut shown = json!({});
    let verbs = [vec!["events"], vec!["replay"], vec!["keys", "list"]];
    let of_account = |number| [vec!["history", number], vec!["state", number]];
    for verb in verbs.into_iter().chain(ACCOUNTS.into_iter().flat_map(of_account)) {
        let (code, stdout, stderr) = run_muster(&[&verb[..], &["-o", "json", "--data-dir", data]].concat(), &[]);
        assert_eq!(code, Some(0), "{verb:?}: {stderr}");
        shown[verb.join(" ")] = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{verb:?}: {error}"));
    }
    shown
}

/// Asserts that everything in `was` is in `now`; there may be more.
fn assert_has(now: &Value, was: &Value, place: &str) {
    match (now, was) {
        (Value::Object(now), Value::Object(was)) => {
            for (name, was) in was {
                let now = now.get(name).unwrap_or_else(|| panic!("{place}: {name} is gone"));
                assert_has(now, was, &format!("{place}.{name}"));
            }
        }
        (Value::Array(now), Value::Array(was)) => {
            assert_eq!(now.len(), was.len(), "{place}: {now:?} was {was:?}");
            now.iter()
                .zip(was)
                .enumerate()
                .for_each(|(at, (now, was))| assert_has(now, was, &format!("{place}[{at}]")));
        }
        _ => assert_eq!(now, was, "{place}"),
    }
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn frozen_files_do_not_change() {
    let listed: Vec<_> = VERSIONS.iter().map(|(version, _)| *version).collect();
    let mut folders: Vec<_> =
        fs::read_dir(frozen("")).unwrap().map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
    folders.sort();
    assert_eq!(folders, listed, "each folder is in VERSIONS, and stays");
    for (version, sum) in VERSIONS {
        let list = fs::read_to_string(frozen(version).join("SHA256SUMS")).unwrap();
        assert_eq!(sums(&frozen(version)), list, "frozen files are never changed: put back what {version} had");
        assert_eq!(hex(list.as_bytes()), sum, "frozen files are never changed: put back what {version} had");
    }
}

/// The command line's output and the handed-out files are unchanged, and the proofs hold.
fn check_proofs(frozen: &Path) {
    let data = directory_of(frozen);
    let path = data.path().to_str().unwrap();
    let key = frozen.join("public-key");
    let key = key.to_str().unwrap();
    let said = |arguments: &[&str]| {
        let (code, stdout, stderr) = run_muster(arguments, &[]);
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        stdout
    };
    assert_eq!(said(&["checkpoint", "--public-key", "--data-dir", path]), fs::read_to_string(key).unwrap());
    assert_has(&shown(path), &json_file(&frozen.join("shown.json")), "shown");
    let is_of = |path: &Path, first: &str| path.file_name().unwrap().to_str().unwrap().starts_with(first);
    for file in list_files(frozen) {
        let path = file.to_str().unwrap();
        if is_of(&file, "bundle.") {
            said(&["verify", "--public-key", key, "--bundle", path]);
        } else if is_of(&file, "export.") && path.ends_with(".jsonl") {
            said(&["verify", "--public-key", key, "--export", path]);
        }
    }
    // The same is exported now, except for new signatures and added columns.
    for (name, arguments) in [
        ("export.csv", &["export", "--format", "csv"][..]),
        ("export.account.csv", &["export", "--format", "csv", "--account", ACCOUNTS[0]]),
        ("export.jsonl", &["export"]),
    ] {
        let now = said(&[arguments, &["--data-dir", path]].concat());
        let was = fs::read_to_string(frozen.join(name)).unwrap();
        let is_event = |line: &&str| !line.starts_with(r#"{"muster":"#);
        let (now, was): (Vec<_>, Vec<_>) =
            (now.lines().filter(is_event).collect(), was.lines().filter(is_event).collect());
        assert_eq!(now.len(), was.len(), "{name}");
        now.iter()
            .zip(was)
            .for_each(|(now, was)| assert!(now.starts_with(was.trim_end_matches('}')), "{now} was {was}"));
    }
    // The journal matches every checkpoint that an auditor may have kept.
    for checkpoint in ["checkpoint.early", "checkpoint.late"] {
        fs::copy(frozen.join(checkpoint), data.path().join("log/checkpoint")).unwrap();
        let size = fs::read_to_string(frozen.join(checkpoint)).unwrap().lines().nth(1).unwrap().to_owned();
        let verified = said(&["verify", "--data-dir", path]);
        assert!(verified.contains(&format!("checkpoint  {size}")), "{checkpoint}: {verified}");
    }
}

/// The settings of a file and of the environment, as JSON.
fn settings(file: &Path) -> String {
    let (code, stdout, stderr) = run_muster(&["config", "-o", "json", "--config", file.to_str().unwrap()], &SECRETS);
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

fn check_settings(frozen: &Path) {
    let now: Value = serde_json::from_str(&settings(&frozen.join("muster.toml"))).unwrap();
    let named = |all: &Value, name: &Value| all.as_array().unwrap().iter().find(|it| it["name"] == *name).cloned();
    for was in json_file(&frozen.join("settings.json")).as_array().unwrap() {
        let now = named(&now, &was["name"]).unwrap_or_else(|| panic!("{} is no setting any more", was["name"]));
        assert_eq!(now["value"], was["value"], "{}", was["name"]);
    }
}

fn check_interfaces(frozen: &Path) {
    let now: Value = serde_json::from_str(&run_muster(&["openapi"], &[]).1).unwrap();
    interfaces::assert_offers(&now, &json_file(&frozen.join("openapi.json")));
    let verbs = |help: &str| {
        let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
        commands.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let now = verbs(&run_muster(&["--help"], &[]).1);
    for verb in verbs(&fs::read_to_string(frozen.join("help.txt")).unwrap()) {
        assert!(now.contains(&verb), "muster {verb} is gone");
    }
}

#[test]
fn exports_and_proofs_still_verify() {
    VERSIONS.iter().for_each(|(version, _)| check_proofs(&frozen(version)));
}

#[test]
fn settings_are_still_taken() {
    VERSIONS.iter().for_each(|(version, _)| check_settings(&frozen(version)));
}

#[test]
fn interfaces_are_still_complete() {
    VERSIONS.iter().for_each(|(version, _)| check_interfaces(&frozen(version)));
}

/// Data of this version is read like data of earlier versions, and can be frozen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recipe() {
    let place = temp_directory();
    let made = place.path().join("made");
    fs::create_dir(&made).unwrap();
    recipe::write_frozen_data(&made).await;
    check_proofs(&made);
    check_settings(&made);
    serving::check_directory(&made).await;
    serving::check_backup(&made).await;
    if let Ok(version) = std::env::var("MUSTER_FREEZE") {
        let folder = frozen(&version);
        assert!(!folder.exists(), "{} is there already, and is never written again", folder.display());
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        fs::rename(&made, &folder).unwrap();
        println!("(\"{version}\", \"{}\")", hex(&fs::read(folder.join("SHA256SUMS")).unwrap()));
    }
}

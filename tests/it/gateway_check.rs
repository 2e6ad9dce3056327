//! `muster gateway check`: the reference gateway passes, and each fault fails its check.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::service_process::{ProcessOutput, muster_command, run_command, temp_directory};

/// A made-up secret: 24 bytes.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
/// Each fault of `tests/gateway/faulty.py`, and the checks that it fails.
const FAULTS: [(&str, &[&str]); 18] = [
    ("trusting", &["unsigned", "forged", "stale", "replayed", "nothing-done"]),
    ("patient", &["stale", "nothing-done"]),
    ("forgetting_signatures", &["replayed"]),
    ("wordless", &["malformed", "unknown-type", "too-late"]),
    ("timeless", &["too-late", "nothing-done"]),
    ("of_another_session", &["connect", "paged", "once", "gap"]),
    ("of_another_task", &["code-sent"]),
    ("without_attempt", &["wrong-code"]),
    ("never_registered", &["right-code"]),
    ("forgetful", &["once"]),
    ("unforgiving", &["repeated"]),
    ("clinging", &["closed"]),
    ("empty_lists", &["listed", "paged"]),
    ("endless_pages", &["paged"]),
    ("renaming", &["sent-again"]),
    // After a gap that is never closed, no other report is accepted.
    ("deaf", &["gap", "code-sent", "wrong-code", "right-code", "sequences"]),
    ("skipping", &["sequences"]),
    ("formless", &["connect", "paged", "sent-again", "once", "gap", "code-sent", "wrong-code", "right-code", "form"]),
];

/// A Python gateway under test. Stopped when dropped.
pub struct PythonGateway {
    child: Child,
    pub url: Option<String>,
}

impl PythonGateway {
    /// Starts a script of `tests/gateway` with its files in `place`.
    pub fn start(script: &str, arguments: &[&str], place: &Path) -> PythonGateway {
        std::fs::write(place.join("bridge.secret"), SECRET).unwrap();
        let is_pull = arguments.contains(&"--pull");
        let mut command = Command::new("python3");
        command.arg("-B").arg(format!("{}/tests/gateway/{script}", env!("CARGO_MANIFEST_DIR"))).args(arguments);
        command.current_dir(place).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdout = ProcessOutput::read_from(child.stdout.take().unwrap());
        let line = if is_pull { String::new() } else { stdout.next_line().unwrap() };
        let url =
            serde_json::from_str::<Value>(&line).ok().map(|ready| ready["listening"].as_str().unwrap().to_owned());
        PythonGateway { child, url }
    }
}

impl Drop for PythonGateway {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// An unused address on this machine.
pub fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Checks a gateway: the exit code, the closing line, and the outcome of each check.
fn check(
    script: &str,
    fault: &[&str],
    pull: bool,
    patience: &str,
) -> (Option<i32>, String, Vec<(String, bool, String)>) {
    let (place, listen): (TempDir, String) = (temp_directory(), free_address());
    let url = format!("http://{listen}");
    let mut arguments = [fault, &["--listen", "127.0.0.1:0", "--muster", &url, "--delay", "0"]].concat();
    if pull {
        arguments.push("--pull");
    }
    let gateway = PythonGateway::start(script, &arguments, place.path());
    let secret = place.path().join("bridge.secret");
    let mut command =
        muster_command(&["gateway", "check", "--listen", &listen, "--patience", patience, "-o", "json"], &[]);
    command.arg("--secret-file").arg(secret).args(&gateway.url);
    let (code, stdout, stderr) = run_command(&mut command);
    let finding = |line: &str| {
        let finding: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| finding[field].as_str().unwrap().to_owned();
        (text("check"), finding["passed"].as_bool().unwrap(), text("seen"))
    };
    let findings = stdout.lines().map(finding).collect();
    (code, stderr, findings)
}

fn failed(findings: &[(String, bool, String)]) -> Vec<&str> {
    findings.iter().filter(|(_, passed, _)| !passed).map(|(check, ..)| check.as_str()).collect()
}

#[test]
fn the_reference_gateway_passes() {
    for (pull, checks) in [(false, 22), (true, 18)] {
        let (code, said, findings) = check("reference.py", &[], pull, "10s");
        assert_eq!((code, failed(&findings)), (Some(0), vec![]), "{said}\n{findings:#?}");
        assert_eq!(findings.len(), checks);
    }
}

/// Split into parts, so that they run in parallel.
fn each_fault_is_found(part: usize) {
    for (fault, expected) in FAULTS.iter().skip(part).step_by(4) {
        let (code, said, findings) = check("faulty.py", &[fault], false, "5s");
        assert_eq!(failed(&findings), *expected, "{fault}: {findings:#?}");
        assert_eq!(code, Some(4), "{fault}: {said}");
        assert!(said.contains("of 22 checks"), "{fault}: {said}");
    }
}

#[test]
fn faults_are_found_1() {
    each_fault_is_found(0);
}

#[test]
fn faults_are_found_2() {
    each_fault_is_found(1);
}

#[test]
fn faults_are_found_3() {
    each_fault_is_found(2);
}

#[test]
fn faults_are_found_4() {
    each_fault_is_found(3);
}

#[test]
fn a_gateway_that_repeats_a_request_or_fetches_nothing_is_found_out() {
    let (_, _, findings) = check("faulty.py", &["repeating"], false, "1s");
    assert!(failed(&findings).contains(&"sent-again") && failed(&findings).contains(&"signatures"), "{findings:#?}");
    let (_, _, findings) = check("faulty.py", &["idle"], true, "1s");
    assert_eq!(failed(&findings)[0], "fetches", "{findings:#?}");
}

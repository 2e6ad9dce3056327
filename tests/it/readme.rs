//! README is right: each command prints what README shows, and each setting has the default in README.

use std::process::Command;

use muster::config::load;
use serde_json::Value;

use crate::audit::events;
use crate::service_process::{ServiceProcess, run_command, temp_directory};

const README: &str = include_str!("../../README.md");

/// The commands of the `console` blocks that begin with `begin`, each with its output.
fn console_commands(begin: &[&str]) -> Vec<(String, String)> {
    let blocks = README.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands = blocks.flat_map(|block| block.strip_prefix("$ ").unwrap().split("\n$ "));
    let split = |command: &str| {
        let (command, printed) = command.split_once('\n').unwrap_or((command, ""));
        (command.to_owned(), printed.trim_end().to_owned())
    };
    commands.map(split).filter(|(command, _)| begin.iter().any(|begin| command.starts_with(begin))).collect()
}

/// Masks values that differ in each run: times, ids, keys, roots.
fn mask_variable_parts(text: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "+/=.:-".contains(letter);
    let mut words = Vec::new();
    for line in text.lines() {
        let word = |word: &str| {
            let (name, value) = word.split_once('=').filter(|it| it.0.len() < 30).unwrap_or(("", word));
            let has_digit = value.contains(|letter: char| letter.is_ascii_digit());
            let is_key_id = value.len() == 8 && value.chars().all(|letter| letter.is_ascii_hexdigit());
            match is_key_id || (value.len() > 20 && has_digit && value.chars().all(is_part)) {
                true if name.is_empty() => "…".to_owned(),
                true => format!("{name}=…"),
                false => word.to_owned(),
            }
        };
        words.push(line.split_whitespace().map(word).collect::<Vec<_>>().join(" "));
    }
    words.join("\n")
}

#[tokio::test]
async fn every_command() {
    let (data, place) = (temp_directory(), temp_directory());
    let muster = ServiceProcess::start(data.path(), &[]);
    let (address, url) = (muster.url("").replace("http://", ""), muster.url(""));
    let binary = format!("{} ", env!("CARGO_BIN_EXE_muster"));
    // The number of events after each call, once nothing is pending.
    let mut settled = [1, 1, 3, 5, 7, 9].into_iter();
    let commands = console_commands(&["curl ", "muster "]);
    for (command, printed) in &commands {
        let needs_none = ["--bundle", "--export", "--data-dir"].iter().any(|flag| command.contains(flag));
        let asks = command.starts_with("muster ") && !needs_none;
        let local_command = command.replace("localhost:8080", &address).replacen(
            "muster ",
            &binary,
            usize::from(!command.starts_with("curl")),
        );
        let (verb, rest) = local_command
            .split_once(" >")
            .map_or((local_command.as_str(), String::new()), |(verb, to)| (verb, format!(" >{to}")));
        let server = if asks { format!(" --server {url}") } else { String::new() };
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{verb}{server}{rest}")]).current_dir(place.path());
        let (_, stdout, stderr) = run_command(&mut shell);
        assert_eq!(stderr, "", "{command}");
        if command.starts_with("curl ") {
            assert_eq!(stdout, *printed, "{command}");
            events(&muster, settled.next().unwrap()).await;
        } else {
            assert_eq!(mask_variable_parts(&stdout), mask_variable_parts(printed), "{command}");
        }
    }
    let all = commands.iter().map(|(command, _)| command.as_str()).collect::<String>();
    let endpoints = ["Insert", "query", "Online", "Recycle", "submitPhone", "submitVerifyCode"];
    assert!(endpoints.iter().all(|endpoint| all.contains(endpoint)), "all six");
}

#[test]
fn settings_and_their_defaults() {
    let words = |value: &Value| match value {
        Value::Null => "(not set)".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(values) => {
            format!("`{}`", values.iter().map(|it| it.as_str().unwrap()).collect::<Vec<_>>().join(","))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => format!("`{value}`"),
    };
    let rows = load(None, [], &[]).unwrap().rows;
    let missing: Vec<String> = rows
        .iter()
        .map(|row| format!("| `{}` | {} | ", row.name, words(&row.value)))
        .filter(|row| !README.contains(row))
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "README.md lacks these rows");
}

/// A shell runs the walk-through of the bridge as it is in README, with free ports and its own directory.
#[test]
fn the_walk_through_of_the_bridge() {
    let block = README.split("Try it (these lines are run by the tests):\n\n```sh\n").nth(1).unwrap();
    let [service, gateway] = [(); 2].map(|()| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    });
    let place = temp_directory();
    let serve = format!("{} serve --listen {service} --data-dir data > served", env!("CARGO_BIN_EXE_muster"));
    let lines = block
        .split("```")
        .next()
        .unwrap()
        .replace("cargo run --release -- serve", &serve)
        .replace("localhost:8080", &service)
        .replace("127.0.0.1:8080", &service)
        .replace("127.0.0.1:9000", &gateway)
        .replace("tests/gateway/", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/"));
    // Its background processes end with it, even on a timeout.
    let script = format!("trap 'kill $(jobs -p)' EXIT\nset -e\n{lines}");
    let mut bash = Command::new("timeout");
    bash.args(["50", "bash", "-c", &script]).current_dir(place.path());
    let (_, stdout, stderr) = run_command(&mut bash);
    let seen = r#"{"data":[{"whatsApp":"861821726232","status":1,"onlineStatus":2}],"code":200,"message":"success"}"#;
    assert!(stdout.trim_end().ends_with(seen), "{stdout}\n{stderr}");
}

//! What README says is so: each call in it answers as it says there, each setting has the default that stands there.

use std::process::Command;

use muster::config::load;
use serde_json::Value;

use crate::muster::{Muster, directory};

const README: &str = include_str!("../../README.md");

/// The commands of the `console` blocks that begin so, each with what it prints.
fn commands(begin: &str) -> Vec<(String, String)> {
    let blocks = README.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands = blocks.flat_map(|block| block.strip_prefix("$ ").unwrap().split("\n$ "));
    let split = |command: &str| {
        let (command, printed) = command.split_once('\n').unwrap_or((command, ""));
        (command.to_owned(), printed.trim_end().to_owned())
    };
    commands.map(split).filter(|(command, _)| command.starts_with(begin)).collect()
}

#[test]
fn the_six_calls() {
    let data = directory();
    let muster = Muster::start(data.path(), &[]);
    let calls = commands("curl ");
    for (command, printed) in &calls {
        let here = command.replace("localhost:8080", &muster.url("").replace("http://", ""));
        let output = Command::new("sh").args(["-c", &here]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), *printed, "{command}");
    }
    let endpoints = ["Insert", "query", "Online", "Recycle", "submitPhone", "submitVerifyCode"];
    assert!(endpoints.iter().all(|endpoint| calls.iter().any(|call| call.0.contains(endpoint))), "all six");
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

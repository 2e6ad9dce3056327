//! The circuit breaker, driven by a script of timed attempts.

use std::fmt::Write;
use std::time::Duration;

use super::super::circuit_breaker::{AttemptPermit, CircuitBreaker};
use crate::domain::Timestamp;

/// The time `seconds` after the start.
fn at(seconds: u64) -> Timestamp {
    Timestamp(1_666_942_810_000_000).plus(Duration::from_secs(seconds))
}

/// Runs a script. Each line begins with the time in seconds. For attempts, their count, kind and result follow, as in
/// `0 9 first failed`.
fn run_script(script: &str) -> String {
    let mut breaker = CircuitBreaker::default();
    let mut report = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let now = at(words[0].parse().unwrap());
        match words[1..] {
            [count, kind, end] => {
                for _ in 0..count.parse().unwrap() {
                    let is_taken = end == "taken";
                    match kind {
                        "first" | "further" => drop(breaker.record_attempt(kind == "first", is_taken, now)),
                        _ => {
                            assert_eq!(breaker.permit(now), AttemptPermit::Probe);
                            breaker.start_probe();
                            assert_eq!(breaker.permit(now), AttemptPermit::Wait(None), "one probe at a time");
                            breaker.finish_probe(is_taken, now);
                        }
                    }
                }
            }
            [] => {}
            ref other => panic!("{other:?}"),
        }
        let permit = match breaker.permit(now) {
            AttemptPermit::Attempt => "attempts".to_owned(),
            AttemptPermit::Probe => "one probe".to_owned(),
            AttemptPermit::Wait(until) => format!("nothing for {} s", until.unwrap().since(now).as_secs()),
        };
        writeln!(report, "{line}: {permit}; {:?}", breaker.recent_attempts(now)).unwrap();
    }
    report
}

#[test]
fn the_breaker_opens_and_closes() {
    let report = run_script(
        "0 9 first failed
         1 50 further failed
         2 1 first taken
         3 1 first failed
         10
         32
         33
         34 1 probe failed
         63
         64
         65 1 probe taken
         66 9 first failed
         67 1 first failed
         120 1 probe taken
         400 7 first failed
         401 3 first taken
         402 1 first failed
         800 1 further failed",
    );
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("webhook_breaker", report);
    });
}

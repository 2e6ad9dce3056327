//! The breaker, told as a story: what happens when, and what it lets through.

use std::fmt::Write;
use std::time::Duration;

use super::super::circuit_breaker::{AttemptPermit, CircuitBreaker};
use crate::domain::Timestamp;

/// A time so many seconds after the beginning.
fn at(seconds: u64) -> Timestamp {
    Timestamp(1_666_942_810_000_000).plus(Duration::from_secs(seconds))
}

/// Plays lines such as `5 ten first attempts fail`: the second, how many, which, and how they end.
fn play(story: &str) -> String {
    let mut breaker = CircuitBreaker::default();
    let mut told = String::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
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
        writeln!(told, "{line}: {permit}; {:?}", breaker.recent_attempts(now)).unwrap();
    }
    told
}

#[test]
fn it_opens_and_closes() {
    let told = play(
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
        insta::assert_snapshot!("webhook_breaker", told);
    });
}

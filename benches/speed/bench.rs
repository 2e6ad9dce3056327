//! A bench: its rounds, their results, and the printed summary.

use std::cell::OnceCell;

use crate::cost::Cost;
use crate::wide_store::WideStore;

/// A bench: its id, the measured work, and how to run it.
pub struct Bench {
    pub id: &'static str,
    pub what: &'static str,
    /// The unit of work, as in "events".
    pub unit: &'static str,
    /// The number of rounds.
    pub rounds: usize,
    /// Whether it takes minutes and gigabytes; such a bench runs only by its name.
    pub is_long: bool,
    pub run: fn(&Scale) -> Vec<RoundResult>,
}

/// The result of one round.
pub struct RoundResult {
    /// The suffix of the bench's id for each further result; empty for the first.
    pub part: &'static str,
    /// Units of work of the subject, and of the floor.
    pub units: u64,
    pub subject: Cost,
    pub floor: Cost,
}

/// The amount of work in a round.
pub struct Scale {
    pub is_short: bool,
    wide: OnceCell<WideStore>,
}

/// The most units in a short run, which may run without optimization.
const SHORT: u64 = 2_000;

impl Scale {
    pub fn new(is_short: bool) -> Scale {
        Scale { is_short, wide: OnceCell::new() }
    }

    /// `full` units of work, or a few in a short run.
    pub fn units(&self, full: u64) -> u64 {
        if self.is_short { (full / 100).clamp(1, SHORT) } else { full }
    }

    /// How many times a bench with a costly setup measures.
    pub fn repeat(&self, full: usize) -> usize {
        if self.is_short { 1 } else { full }
    }

    /// The store of a million accounts. The first bench that needs it builds it.
    pub fn wide(&self) -> &WideStore {
        self.wide.get_or_init(|| WideStore::build(self.units(1_000_000)))
    }
}

impl Bench {
    /// Runs the bench and prints the results. Returns the closing lines.
    pub fn measure(&self, scale: &Scale) -> String {
        println!("\n{}: {}", self.id, self.what);
        let rounds: Vec<RoundResult> = (0..scale.repeat(self.rounds)).flat_map(|_| (self.run)(scale)).collect();
        let mut parts: Vec<&str> = Vec::new();
        for round in &rounds {
            if !parts.contains(&round.part) {
                parts.push(round.part);
            }
        }
        let mut closing = String::new();
        for part in parts {
            if !part.is_empty() {
                println!("  {}{part}", self.id);
            }
            let ratio = self.print(&rounds.iter().filter(|round| round.part == part).collect::<Vec<_>>());
            closing += &format!("ratio {}{part} {ratio:.2}\n", self.id);
        }
        closing
    }

    /// Prints the results of one part. Returns their median ratio.
    fn print(&self, rounds: &[&RoundResult]) -> f64 {
        let unit = self.unit;
        let seconds = |cost: fn(&RoundResult) -> Cost, round: &RoundResult| cost(round).time.as_secs_f64();
        let rate = |cost| median(rounds.iter().map(|round| round.units as f64 / seconds(cost, round)));
        let subject: fn(&RoundResult) -> Cost = |it| it.subject;
        let floor: fn(&RoundResult) -> Cost = |it| it.floor;
        let units: u64 = rounds.iter().map(|round| round.units).sum();
        let total =
            |cost: fn(&RoundResult) -> Cost| rounds.iter().map(|it| cost(it)).fold(Cost::NOTHING, |sum, it| sum + it);
        let cpu = |cost| total(cost).cpu.as_secs_f64() * 1e6 / units as f64;
        let allocations = |cost| {
            let count = total(cost).allocations;
            count.map_or("-".to_owned(), |count| format!("{:.2}", count as f64 / units as f64))
        };
        let ratios = || rounds.iter().map(|it| seconds(floor, it) / seconds(subject, it));
        let (least, most) = (ratios().fold(f64::MAX, f64::min), ratios().fold(0.0, f64::max));
        println!("    rate         subject {:>12.0} {unit}/s   floor {:>12.0} {unit}/s", rate(subject), rate(floor));
        println!("    cpu          subject {:>12.2} us/unit   floor {:>12.2} us/unit", cpu(subject), cpu(floor));
        println!(
            "    allocations  subject {:>12} a unit   floor {:>12} a unit",
            allocations(subject),
            allocations(floor)
        );
        println!("    ratios of {} rounds from {least:.2} to {most:.2}", rounds.len());
        median(ratios())
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

//! Statistics of the process, from `/proc`. Without `/proc` they are 0.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::param::clock_ticks_per_second;

use crate::clock;

/// Lost log lines. Global, because a process has one log, and logging starts before the instruments exist.
static LOG_LINES_LOST: AtomicU64 = AtomicU64::new(0);

/// Adds to the number of lost log lines.
pub fn count_lost_log_lines(lines: u64) {
    LOG_LINES_LOST.fetch_add(lines, Ordering::Relaxed);
}

/// The standard statistics of a process, with the number of lost log lines and of clock jumps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ProcessStats {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_fds: u64,
    pub(super) max_fds: u64,
    pub(super) start_time: f64,
    pub(super) threads: u64,
    pub(super) log_lines_lost: u64,
    pub(super) clock_leaps: u64,
}

impl ProcessStats {
    /// The current statistics of this process. Blocks: reads a few files of `/proc`, and lists the open files.
    pub(super) fn read() -> ProcessStats {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let (stat, status) = (text("/proc/self/stat"), text("/proc/self/status"));
        let open_fds = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
        let log_lines_lost = LOG_LINES_LOST.load(Ordering::Relaxed);
        ProcessStats {
            open_fds,
            log_lines_lost,
            clock_leaps: clock::leaps(),
            ..ProcessStats::parse(&stat, &status, &text("/proc/self/limits"), &text("/proc/stat"))
        }
    }

    /// Parses files of `/proc`: `system` is `/proc/stat`, the others are those of the process.
    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> ProcessStats {
        let ticks = clock_ticks_per_second() as f64;
        // The program's name is in brackets and may contain any character. The fields after it begin with the third.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let seconds =
            |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / ticks;
        let kilobytes = |name| number_after(status, name) * 1_024;
        ProcessStats {
            cpu_seconds: seconds(14) + seconds(15),
            resident_bytes: kilobytes("VmRSS:"),
            virtual_bytes: kilobytes("VmSize:"),
            max_fds: number_after(limits, "Max open files"),
            start_time: if system.is_empty() { 0.0 } else { number_after(system, "btime") as f64 + seconds(22) },
            threads: number_after(status, "Threads:"),
            ..ProcessStats::default()
        }
    }
}

/// The number after `name` at the start of a line; 0 if there is none.
fn number_after(text: &str, name: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_parsed() {
        let stat = "42 (mus) ter) S 1 42 42 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 9 0 1000 10000 200 99";
        let status = "Name:\tmuster\nVmSize:\t  2048 kB\nVmRSS:\t   1024 kB\nThreads:\t9\n";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        let ticks = clock_ticks_per_second() as f64;
        let expected = ProcessStats {
            cpu_seconds: 300.0 / ticks,
            resident_bytes: 1_048_576,
            virtual_bytes: 2_097_152,
            max_fds: 1_024,
            start_time: 1_700_000_000.0 + 1_000.0 / ticks,
            threads: 9,
            ..ProcessStats::default()
        };
        assert_eq!(ProcessStats::parse(stat, status, limits, "cpu 1 2 3\nbtime 1700000000\n"), expected);
        assert_eq!(ProcessStats::parse("", "", "", ""), ProcessStats::default(), "where there is no /proc");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process() {
        let ProcessStats { resident_bytes: resident, virtual_bytes, open_fds, max_fds, start_time, threads, .. } =
            ProcessStats::read();
        assert!(resident > 1 << 20 && virtual_bytes >= resident, "{resident} {virtual_bytes}");
        assert!((3..=max_fds).contains(&open_fds) && threads > 0, "{open_fds} {max_fds} {threads}");
        assert!(start_time > 1.7e9, "{start_time}");
    }
}

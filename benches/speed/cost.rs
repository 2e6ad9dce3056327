//! What a piece of work costs: time, CPU time and allocations.

use std::ops::Add;
use std::time::{Duration, Instant};

use alloc_tracker::{ProcessSpan, Session};
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// The cost of a piece of work.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Wall time.
    pub time: Duration,
    /// CPU time of all processes that took part.
    pub cpu: Duration,
    /// Allocations of this process, the bench's. `None` if another process took part, because its allocations are not
    /// counted.
    pub allocations: Option<u64>,
}

impl Cost {
    /// The cost of no work.
    pub const NOTHING: Cost = Cost { time: Duration::ZERO, cpu: Duration::ZERO, allocations: Some(0) };

    /// The same, with the CPU time that another process spent on it.
    pub fn with_process(self, cpu: Duration) -> Cost {
        Cost { cpu: self.cpu + cpu, allocations: None, ..self }
    }
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        let allocations = self.allocations.zip(other.allocations).map(|(one, another)| one + another);
        Cost { time: self.time + other.time, cpu: self.cpu + other.cpu, allocations }
    }
}

/// Measures what this process does from start to stop.
pub struct CostMeter {
    session: Session,
    allocations: ProcessSpan,
    cpu: Duration,
    begin: Instant,
}

impl CostMeter {
    /// Starts measuring.
    pub fn start() -> CostMeter {
        let session = Session::new().no_stdout().no_file();
        let allocations = session.operation("measured").measure_process();
        CostMeter { session, allocations, cpu: cpu_of_this_process(), begin: Instant::now() }
    }

    /// Stops measuring.
    pub fn stop(self) -> Cost {
        let CostMeter { session, allocations, cpu, begin } = self;
        let (time, cpu) = (begin.elapsed(), cpu_of_this_process() - cpu);
        drop(allocations.iterations(1));
        let counted = session.to_report().operations().map(|(_, operation)| operation.total_allocations_count()).sum();
        Cost { time, cpu, allocations: Some(counted) }
    }
}

/// The cost of `work`.
pub fn measure(work: impl FnOnce()) -> Cost {
    let meter = CostMeter::start();
    work();
    meter.stop()
}

/// CPU time of all threads of this process since it started.
fn cpu_of_this_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// CPU time of all threads of another process since it started, in steps of a clock tick (10 ms).
pub fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The program's name may contain any character. It is in brackets, and the third field follows it.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields.skip(14 - 3).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

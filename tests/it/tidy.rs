//! The wall of the house. One crate has no walls, so these tests are: who sees whom, who names which outside crate, and
//! what every file has in common. Each message says where, what, and the mend.

mod files;
mod module_order;
mod source;
mod vocabulary;

/// What is not as it should be, all of it, so that it is mended in one go.
#[derive(Default)]
struct TidyFaults(Vec<String>);

macro_rules! fault {
    ($faults:expr, $($message:tt)+) => { $faults.0.push(format!($($message)+)) };
}
use fault;

impl TidyFaults {
    #[track_caller]
    fn assert_none(self) {
        assert!(self.0.is_empty(), "{} faults:\n{}", self.0.len(), self.0.join("\n"));
    }
}

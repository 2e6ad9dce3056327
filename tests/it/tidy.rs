//! Static checks of the source: which module uses which, which crate belongs to which module, and the form of files.
//! Each message says where the fault is, what it is, and how to mend it.

mod files;
mod frozen_comments;
mod module_order;
mod source;
mod vocabulary;

/// All faults found, so that they can be mended in one go.
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

//! Where in a trace events came about. The journal does not keep it: webhooks that are sent soon after find it here, and
//! those that are sent much later, or by another process, have the trace of their request's id.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::TraceContext;
use crate::domain::AccountNumber;
use crate::journal::RequestId;
use crate::limits::TRACE_CONTEXTS_REMEMBERED;

/// What something came of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceOrigin {
    /// A request.
    Request(RequestId),
    /// The commit of an account's event, by its version.
    Event(AccountNumber, u64),
    /// What a gateway was asked about an account.
    GatewayCall(AccountNumber),
}

/// The last of them, oldest first.
#[derive(Default)]
struct TraceMemory {
    contexts: HashMap<TraceOrigin, TraceContext>,
    order: VecDeque<TraceOrigin>,
}

static TRACE_MEMORY: LazyLock<Mutex<TraceMemory>> = LazyLock::new(Mutex::default);
/// Where nobody sends or collects traces, nobody waits for the others here.
static HAS_CONTEXTS: AtomicBool = AtomicBool::new(false);

/// Remembers where in a trace `cause` is.
pub fn remember(cause: TraceOrigin, context: TraceContext) {
    HAS_CONTEXTS.store(true, Ordering::Relaxed);
    let mut memory = TRACE_MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    memory.remember(cause, context);
}

/// Where in a trace `cause` is, if that is still known.
pub fn recall(cause: TraceOrigin) -> Option<TraceContext> {
    HAS_CONTEXTS.load(Ordering::Relaxed).then(|| {
        let memory = TRACE_MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
        memory.contexts.get(&cause).cloned()
    })?
}

/// The same, once.
pub fn recall_once(cause: TraceOrigin) -> Option<TraceContext> {
    HAS_CONTEXTS.load(Ordering::Relaxed).then(|| {
        let mut memory = TRACE_MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
        memory.contexts.remove(&cause)
    })?
}

impl TraceMemory {
    fn remember(&mut self, cause: TraceOrigin, context: TraceContext) {
        if self.contexts.insert(cause, context).is_none() {
            self.order.push_back(cause);
        }
        // One that was taken still stands in the order, so this is what is bounded.
        while self.order.len() > TRACE_CONTEXTS_REMEMBERED {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.contexts.remove(&oldest));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut memory = TraceMemory::default();
        let context = TraceContext { trace: 1, span: 1, is_sampled: true, state: "".into() };
        for request in 0..=TRACE_CONTEXTS_REMEMBERED as u128 {
            memory.remember(TraceOrigin::Request(RequestId(request)), context.clone());
            memory.contexts.remove(&TraceOrigin::Request(RequestId(7)));
        }
        assert_eq!(memory.order.len(), TRACE_CONTEXTS_REMEMBERED);
        let knows = |request| memory.contexts.contains_key(&TraceOrigin::Request(RequestId(request)));
        assert_eq!([0, 1, 7, 8].map(knows), [false, true, false, true]);
    }
}

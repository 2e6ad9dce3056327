//! The trace contexts of recent events. The journal does not store them: webhooks sent soon after find them here.
//! Webhooks sent much later, or by another process, use the trace of their request's id.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::TraceContext;
use crate::domain::AccountNumber;
use crate::journal::RequestId;
use crate::limits::TRACE_CONTEXTS_REMEMBERED;

/// The cause of later work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceOrigin {
    /// A request.
    Request(RequestId),
    /// The commit of an account's event, by version.
    Event(AccountNumber, u64),
    /// A call to a gateway about an account.
    GatewayCall(AccountNumber),
}

/// The most recent contexts, oldest first.
#[derive(Default)]
struct TraceMemory {
    contexts: HashMap<TraceOrigin, TraceContext>,
    order: VecDeque<TraceOrigin>,
}

static TRACE_MEMORY: LazyLock<Mutex<TraceMemory>> = LazyLock::new(Mutex::default);
/// Without traces from callers or for a collector this stays false, and no code waits for the lock.
static HAS_CONTEXTS: AtomicBool = AtomicBool::new(false);

/// Remembers the trace context of `cause`.
pub fn remember(cause: TraceOrigin, context: TraceContext) {
    HAS_CONTEXTS.store(true, Ordering::Relaxed);
    let mut memory = TRACE_MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    memory.remember(cause, context);
}

/// The trace context of `cause`, if it is still remembered.
pub fn recall(cause: TraceOrigin) -> Option<TraceContext> {
    HAS_CONTEXTS.load(Ordering::Relaxed).then(|| {
        let memory = TRACE_MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
        memory.contexts.get(&cause).cloned()
    })?
}

/// Like [`recall`], and forgets the context.
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
        // `recall_once` leaves the cause in `order`, so the length of `order` is the bound.
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

//! Isolates the calls to one gateway: it limits concurrency and rate, sets a deadline, and has a circuit breaker.
//!
//! The breaker opens after [`GATEWAY_BREAKER_FAILURES`] consecutive calls that found the gateway away. One probe call
//! tries again after [`GATEWAY_BREAKER_OPEN`]. Each failed probe doubles the wait, up to [`GATEWAY_BREAKER_OPEN_MAX`],
//! with 20 % jitter.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock;
use crate::domain::{GatewayKind, Timestamp, escape_controls};
use crate::limits::{
    GATEWAY_BREAKER_FAILURES, GATEWAY_BREAKER_OPEN, GATEWAY_BREAKER_OPEN_MAX, GATEWAY_ERROR_BYTES, GATEWAY_ERRORS_KEPT,
};
use crate::webhooks::deterministic_random;

/// The bulkhead of one gateway.
pub(crate) struct Bulkhead {
    gateway: GatewayKind,
    deadline: Duration,
    /// The minimum time between the starts of two calls.
    call_interval: Duration,
    max_in_flight: usize,
    permits: Semaphore,
    state: Mutex<BulkheadState>,
    /// Whether the gateway is available, for tasks that wait for it.
    is_available: watch::Sender<bool>,
}

/// Why a call was not made, or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError<E> {
    /// The breaker is open: no call is made before `wait` is over.
    #[error("the gateway is away; the next try is in {} s", .wait.as_secs())]
    BreakerOpen {
        /// The time until the next probe.
        wait: Duration,
    },
    /// No answer before the deadline.
    #[error("no answer within {} s", .deadline.as_secs_f32())]
    Timeout {
        /// The deadline.
        deadline: Duration,
    },
    /// The call failed.
    #[error("{0}")]
    Failed(E),
}

/// Figures of a gateway's calls.
#[derive(Clone, Debug)]
pub(crate) struct CallStats {
    /// The state of the breaker.
    pub(crate) breaker: GatewayBreakerState,
    /// Calls under way.
    pub(crate) in_flight: usize,
    /// Calls that were answered, whatever the answer.
    pub(crate) answered: u64,
    /// Calls that found the gateway away.
    pub(crate) failed: u64,
    /// When the gateway last answered.
    pub(crate) last_answer: Option<Timestamp>,
    /// The last errors, the newest first.
    pub(crate) errors: Vec<ErrorEntry>,
}

/// A recorded error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ErrorEntry {
    /// The time of the error.
    pub(crate) at: Timestamp,
    /// The message, without secrets.
    pub(crate) message: String,
}

/// The state of a gateway's circuit breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GatewayBreakerState {
    /// Calls are made.
    Closed,
    /// No call is made.
    Open {
        /// When one probe call tries again.
        until: Instant,
    },
    /// The probe call is under way.
    Probing,
}

struct BulkheadState {
    breaker: GatewayBreakerState,
    /// Consecutive calls that found the gateway away.
    consecutive_failures: u32,
    /// Consecutive probes that found the gateway away.
    failed_probes: u32,
    /// When the next call may begin.
    next_call_at: Instant,
    answered: u64,
    failed: u64,
    last_answer: Option<Timestamp>,
    errors: VecDeque<ErrorEntry>,
}

/// A call under way. A call that is dropped before its end says nothing about the gateway.
struct InFlightCall<'b> {
    bulkhead: &'b Bulkhead,
    is_probe: bool,
    is_finished: bool,
}

impl Bulkhead {
    /// A bulkhead for this gateway. `deadline` applies to each call; `per_second` is the rate limit.
    pub(crate) fn new(gateway: GatewayKind, deadline: Duration, max_in_flight: usize, per_second: usize) -> Bulkhead {
        let call_interval = Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(u32::MAX).max(1);
        let state = BulkheadState {
            breaker: GatewayBreakerState::Closed,
            consecutive_failures: 0,
            failed_probes: 0,
            next_call_at: Instant::now(),
            answered: 0,
            failed: 0,
            last_answer: None,
            errors: VecDeque::new(),
        };
        let (state, permits) = (Mutex::new(state), Semaphore::new(max_in_flight));
        Bulkhead {
            gateway,
            deadline,
            call_interval,
            max_in_flight,
            permits,
            state,
            is_available: watch::Sender::new(true),
        }
    }

    /// Makes a call when it gets a permit and its time slot. `is_away` says whether an error means that the gateway is
    /// away; any other error counts as an answer.
    pub(crate) async fn call<T, E: Display>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        is_away: impl Fn(&E) -> bool,
    ) -> Result<T, CallError<E>> {
        // The semaphore is never closed. If it were, calls would still be made, without the limit.
        let _permit = self.permits.acquire().await;
        let mut in_flight = self.begin_call()?;
        sleep_until(self.reserve_call_time()).await;
        match timeout(self.deadline, call).await {
            Ok(Ok(answer)) => {
                in_flight.record_answer();
                Ok(answer)
            }
            Ok(Err(error)) if is_away(&error) => {
                in_flight.record_failure(&error.to_string());
                Err(CallError::Failed(error))
            }
            Ok(Err(error)) => {
                self.record_error(&error.to_string());
                in_flight.record_answer();
                Err(CallError::Failed(error))
            }
            Err(_) => {
                let error = CallError::Timeout { deadline: self.deadline };
                in_flight.record_failure(&error.to_string());
                Err(error)
            }
        }
    }

    /// Records an error without counting a call.
    pub(crate) fn record_error(&self, message: &str) {
        self.lock().record_error(message);
    }

    /// Whether the gateway is available. It changes when the breaker opens and closes.
    pub(crate) fn availability(&self) -> watch::Receiver<bool> {
        self.is_available.subscribe()
    }

    /// The figures of its calls.
    pub(crate) fn call_stats(&self) -> CallStats {
        let in_flight = self.max_in_flight - self.permits.available_permits().min(self.max_in_flight);
        let state = self.lock();
        CallStats {
            breaker: state.breaker,
            in_flight,
            answered: state.answered,
            failed: state.failed,
            last_answer: state.last_answer,
            errors: state.errors.iter().rev().cloned().collect(),
        }
    }

    /// Begins a call, unless the breaker is open.
    fn begin_call<E>(&self) -> Result<InFlightCall<'_>, CallError<E>> {
        let mut state = self.lock();
        let now = Instant::now();
        let is_probe = match state.breaker {
            GatewayBreakerState::Closed => false,
            GatewayBreakerState::Open { until } if until <= now => true,
            GatewayBreakerState::Open { until } => return Err(CallError::BreakerOpen { wait: until - now }),
            GatewayBreakerState::Probing => return Err(CallError::BreakerOpen { wait: self.deadline }),
        };
        if is_probe {
            state.breaker = GatewayBreakerState::Probing;
        }
        Ok(InFlightCall { bulkhead: self, is_probe, is_finished: false })
    }

    /// Reserves the next time slot, and returns when it starts.
    fn reserve_call_time(&self) -> Instant {
        let mut state = self.lock();
        let slot = state.next_call_at.max(Instant::now());
        state.next_call_at = slot + self.call_interval;
        slot
    }

    // Each change is one assignment, so a panic while the lock is held leaves a consistent state.
    fn lock(&self) -> MutexGuard<'_, BulkheadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BulkheadState {
    fn record_error(&mut self, message: &str) {
        if self.errors.len() == GATEWAY_ERRORS_KEPT {
            self.errors.pop_front();
        }
        // The message may contain text from the gateway.
        let message = escape_controls(&message[..message.floor_char_boundary(GATEWAY_ERROR_BYTES)]);
        self.errors.push_back(ErrorEntry { at: clock::now(), message });
    }

    /// How long the breaker stays open after a failure.
    fn open_duration(&self, seed: u64) -> Duration {
        // Counts failed probes, not failed calls: concurrent calls all fail at once, and that is one outage.
        let wait = GATEWAY_BREAKER_OPEN.saturating_mul(1 << self.failed_probes.min(16)).min(GATEWAY_BREAKER_OPEN_MAX);
        wait * u32::try_from(80 + deterministic_random(seed, u64::from(self.failed_probes)) % 41).unwrap_or(100) / 100
    }
}

impl InFlightCall<'_> {
    fn record_answer(&mut self) {
        self.is_finished = true;
        let mut state = self.bulkhead.lock();
        state.answered += 1;
        state.last_answer = Some(clock::now());
        state.consecutive_failures = 0;
        state.failed_probes = 0;
        if state.breaker != GatewayBreakerState::Closed {
            state.breaker = GatewayBreakerState::Closed;
            drop(state);
            tracing::info!(gateway = self.bulkhead.gateway.name(), "the gateway is back");
            self.bulkhead.is_available.send_replace(true);
        }
    }

    fn record_failure(&mut self, message: &str) {
        self.is_finished = true;
        let gateway = self.bulkhead.gateway;
        let mut state = self.bulkhead.lock();
        state.record_error(message);
        state.failed += 1;
        state.consecutive_failures = state.consecutive_failures.saturating_add(1);
        // A call that was under way when the breaker opened does not extend the wait.
        let opens =
            state.breaker == GatewayBreakerState::Closed && state.consecutive_failures >= GATEWAY_BREAKER_FAILURES;
        state.failed_probes += u32::from(self.is_probe);
        if opens || self.is_probe {
            state.breaker =
                GatewayBreakerState::Open { until: Instant::now() + state.open_duration(u64::from(gateway.code())) };
        }
        if opens {
            let failures = state.consecutive_failures;
            drop(state);
            tracing::error!(
                gateway = gateway.name(),
                failures,
                error = message,
                "the gateway is away; calls to it are stopped"
            );
            self.bulkhead.is_available.send_replace(false);
        }
    }
}

impl Drop for InFlightCall<'_> {
    fn drop(&mut self) {
        if self.is_probe && !self.is_finished {
            self.bulkhead.lock().breaker = GatewayBreakerState::Open { until: Instant::now() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulkhead() -> Bulkhead {
        Bulkhead::new(GatewayKind::Bridge, Duration::from_secs(10), 2, 100)
    }

    async fn ask(bulkhead: &Bulkhead, answer: Result<(), &'static str>) -> Result<(), CallError<&'static str>> {
        bulkhead.call(async { answer }, |error| *error == "away").await
    }

    #[tokio::test(start_paused = true)]
    async fn breaker_wait_grows_with_each_failed_probe() {
        let bulkhead = bulkhead();
        let mut availability = bulkhead.availability();
        for _ in 0..GATEWAY_BREAKER_FAILURES {
            assert!(matches!(ask(&bulkhead, Err("away")).await, Err(CallError::Failed("away"))));
        }
        assert!(availability.has_changed().unwrap() && !*availability.borrow_and_update());
        let mut waits = Vec::new();
        for _ in 0..9 {
            let Err(CallError::BreakerOpen { wait }) = ask(&bulkhead, Ok(())).await else { panic!("it is left alone") };
            waits.push(wait.as_secs_f32());
            tokio::time::advance(wait).await;
            assert!(matches!(ask(&bulkhead, Err("away")).await, Err(CallError::Failed("away"))), "one call tries");
        }
        let expected = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0_f32];
        let is_about = |(wait, expected): (&f32, f32)| (0.79 * expected..=1.21 * expected).contains(wait);
        assert!(waits.iter().zip(expected).all(is_about), "{waits:?}");
        tokio::time::advance(GATEWAY_BREAKER_OPEN_MAX * 2).await;
        ask(&bulkhead, Ok(())).await.unwrap();
        ask(&bulkhead, Ok(())).await.unwrap();
        assert!(*availability.borrow_and_update());
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_failures_count_as_one_outage() {
        let bulkhead = Bulkhead::new(GatewayKind::Bridge, Duration::from_secs(10), 64, 100_000);
        let fail = || {
            bulkhead.call(
                async {
                    tokio::task::yield_now().await;
                    Err::<(), &str>("away")
                },
                |_| true,
            )
        };
        futures_util::future::join_all((0..64).map(|_| fail())).await;
        for max_seconds in [2, 3, 5] {
            let Err(CallError::BreakerOpen { wait }) = ask(&bulkhead, Ok(())).await else { panic!("it is left alone") };
            assert!(wait <= Duration::from_secs(max_seconds), "{wait:?}");
            tokio::time::advance(wait).await;
            assert!(matches!(ask(&bulkhead, Err("away")).await, Err(CallError::Failed("away"))), "one call tries");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn error_answers_and_dropped_probes_are_no_outage() {
        let bulkhead = bulkhead();
        for _ in 0..2 * GATEWAY_BREAKER_FAILURES {
            assert!(matches!(ask(&bulkhead, Err("refused")).await, Err(CallError::Failed("refused"))));
        }
        assert_eq!(bulkhead.call_stats().breaker, GatewayBreakerState::Closed);
        for _ in 0..GATEWAY_BREAKER_FAILURES {
            let hanging_call = bulkhead.call(std::future::pending::<Result<(), &str>>(), |_| true);
            assert!(matches!(hanging_call.await, Err(CallError::Timeout { .. })));
        }
        tokio::time::advance(GATEWAY_BREAKER_OPEN_MAX).await;
        let probe =
            timeout(Duration::from_secs(1), bulkhead.call(std::future::pending::<Result<(), &str>>(), |_| true));
        assert!(probe.await.is_err());
        ask(&bulkhead, Ok(())).await.unwrap();
        assert_eq!(bulkhead.call_stats().breaker, GatewayBreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn concurrency_and_rate_are_limited() {
        let bulkhead = bulkhead();
        let started = Instant::now();
        let running = std::sync::atomic::AtomicUsize::new(0);
        let calls = (0..200).map(|_| async {
            let call = async {
                assert!(running.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2);
                tokio::time::sleep(Duration::from_millis(1)).await;
                running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                Ok::<(), &str>(())
            };
            bulkhead.call(call, |_| true).await.unwrap();
        });
        futures_util::future::join_all(calls).await;
        assert!(started.elapsed() >= Duration::from_millis(1_990), "{:?}", started.elapsed());
    }
}

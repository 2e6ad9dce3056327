//! A registration ends by elapsed time, even if the wall clock is changed meanwhile.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::*;
use crate::clock;
use crate::domain::{SealedBytes, Timestamp};

const HOUR: i64 = 60 * 60;
const YEAR: i64 = 365 * 24 * HOUR;
const TEN_MINUTES: Duration = Duration::from_secs(600);
/// The longest wait for an event that happens soon.
const PATIENCE: Duration = Duration::from_secs(30);

/// The number of microseconds by which a test has moved the wall clock. Static, because the actors run on their own
/// threads.
static SET_BY: AtomicI64 = AtomicI64::new(0);

/// The clock of all actor tests.
pub(super) fn wall_clock() -> Timestamp {
    Timestamp(clock::now().0 + SET_BY.load(Ordering::Relaxed))
}

/// Held by one test at a time.
struct WallClock {
    _alone: MutexGuard<'static, ()>,
}

impl WallClock {
    async fn right() -> WallClock {
        static ALONE: Mutex<()> = Mutex::const_new(());
        WallClock { _alone: ALONE.lock().await }
    }

    fn set_by(&self, seconds: i64) {
        SET_BY.store(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        self.set_by(0);
    }
}

impl ActorsFixture {
    /// A fixture that retires actors as soon as they are idle.
    fn forgetful() -> ActorsFixture {
        ActorsFixture::new(|actors| actors.idle_after = Duration::ZERO)
    }

    async fn registering(&self, lifetime: Duration) {
        let command = self.register(lifetime);
        let outcome = self.accounts.execute(account(1), command, Origin::SERVICE).await.unwrap();
        assert_eq!(outcome, Ok(CommandSuccess::Recorded));
    }

    async fn submit(&self, code: u8) -> CommandResult {
        let command = Command::SubmitCode { code: SealedBytes(Box::new([code])), reason: Reason::none() };
        self.accounts.execute(account(1), command, Origin::SERVICE).await.unwrap()
    }

    fn waits(&self) -> bool {
        self.data.journal.load_account(account(1)).unwrap().0.registration.is_some()
    }

    /// Waits until the registration has ended.
    async fn ended(&self) {
        let mut head = self.data.journal.subscribe_head();
        let ended = async {
            while self.waits() {
                head.changed().await.unwrap();
            }
        };
        assert!(timeout(PATIENCE, ended).await.is_ok(), "the registration goes on");
    }

    /// The same journal in a new process.
    async fn restarted(self) -> ActorsFixture {
        self.accounts.drain().await;
        let mut fixture = ActorsFixture::on(self.data);
        fixture.run_inbox(vec![account(1)]);
        fixture
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_none_longer() {
    let clock = WallClock::right().await;
    let mut fixture = ActorsFixture::new(|_| {});
    fixture.registering(Duration::from_millis(50)).await;
    clock.set_by(-HOUR);
    fixture.run_inbox(vec![]);
    fixture.ended().await;
}

#[tokio::test]
async fn a_clock_that_is_set_ahead_ends_none() {
    let clock = WallClock::right().await;
    let mut fixture = ActorsFixture::forgetful();
    fixture.run_inbox(vec![]);
    fixture.registering(TEN_MINUTES).await;
    clock.set_by(YEAR);
    for code in 0..3 {
        fixture.retired().await;
        assert_eq!(fixture.submit(code).await, Ok(CommandSuccess::Recorded), "code {code}");
        let left = *fixture.gateway.left.lock().unwrap();
        assert!((TEN_MINUTES - 2 * PATIENCE..=TEN_MINUTES).contains(&left), "the gateway has {left:?}");
    }
    // A deadline that was due would be handled before this report.
    fixture
        .reports
        .execute(GatewayKind::Simulator, account(1), Command::Report(Report::BanLifted))
        .await
        .unwrap()
        .unwrap();
    assert!(fixture.waits());
}

/// The command that ends the registration comes after the code, or never.
#[tokio::test]
async fn a_code_after_the_end_is_refused() {
    let clock = WallClock::right().await;
    let fixture = ActorsFixture::forgetful();
    fixture.registering(Duration::ZERO).await;
    clock.set_by(-HOUR);
    assert_eq!(fixture.submit(1).await, Err(CommandRejection::NoRegistrationWaiting));
    fixture.retired().await;
    assert_eq!(fixture.submit(1).await, Err(CommandRejection::NoRegistrationWaiting));
}

/// After a start the remaining time is the smaller of the lifetime and the time to the end by the wall clock.
#[tokio::test]
async fn after_a_start_the_smaller_of_two_is_left() {
    let clock = WallClock::right().await;
    for (lifetime, set_by) in [(Duration::ZERO, -HOUR), (TEN_MINUTES, YEAR)] {
        clock.set_by(0);
        let fixture = ActorsFixture::new(|_| {});
        fixture.registering(lifetime).await;
        clock.set_by(set_by);
        fixture.restarted().await.ended().await;
    }
    for (set_by, least, most) in [(0, 500, 600), (-HOUR, 600, 600), (300, 200, 300)] {
        clock.set_by(0);
        let fixture = ActorsFixture::new(|_| {});
        fixture.registering(TEN_MINUTES).await;
        clock.set_by(set_by);
        let mut fixture = fixture.restarted().await;
        timeout(PATIENCE, fixture.dispatched.recv()).await.unwrap();
        let left = *fixture.gateway.left.lock().unwrap();
        let most = Duration::from_secs(most);
        assert!(left <= most && left + PATIENCE >= Duration::from_secs(least), "{set_by}: {left:?}");
        assert_eq!(fixture.submit(1).await, Ok(CommandSuccess::Recorded));
    }
}

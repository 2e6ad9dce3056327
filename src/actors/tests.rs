//! Actors on a real journal, with a gateway that only records its calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::account_actor::ActorDependencies;
use super::{
    Accounts, CommandResult, CommandSuccess, Error, GatewayPort, Inbox, ReportSender, finish_erasures, report_channel,
};
use crate::config;
use crate::domain::{
    Account, AccountNumber, AccountType, Command, CommandRejection, GatewayKind, OnlineStatus, PendingEffect, Reason,
    Report, VerifyType,
};
use crate::journal::{Origin, StreamId};
use crate::metrics::{CommandKind, CommandOutcome};
use crate::testkit::fixture::StorageFixture;
use crate::testkit::sample::{account, content};

mod contents;
mod registrations;

/// Records its calls; panics once on request.
struct RecordingGateway {
    effects: mpsc::UnboundedSender<(AccountNumber, PendingEffect)>,
    panics: AtomicBool,
    /// The time limit of the last call.
    left: Mutex<Duration>,
}

impl GatewayPort for RecordingGateway {
    fn dispatch(&self, account: AccountNumber, _: &Account, effect: &PendingEffect, left: Duration) {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "the gateway panics, as the test wants");
        *self.left.lock().unwrap() = left;
        let _unread = self.effects.send((account, effect.clone()));
    }
}

struct ActorsFixture {
    data: StorageFixture,
    accounts: Accounts,
    inbox: Option<Inbox>,
    gateway: Arc<RecordingGateway>,
    dispatched: mpsc::UnboundedReceiver<(AccountNumber, PendingEffect)>,
    reports: ReportSender,
}

impl ActorsFixture {
    fn new(change: impl FnOnce(&mut config::ActorSettings)) -> ActorsFixture {
        ActorsFixture::on(StorageFixture::with_settings(|settings| {
            settings.accounts.reconnect_wait = Duration::from_millis(1);
            change(&mut settings.actors);
        }))
    }

    fn on(data: StorageFixture) -> ActorsFixture {
        let (sender, dispatched) = mpsc::unbounded_channel();
        let gateway =
            Arc::new(RecordingGateway { effects: sender, panics: AtomicBool::new(false), left: Mutex::default() });
        let (reports, reported) = report_channel();
        let settings = &data.settings;
        let dependencies = ActorDependencies {
            journal: data.journal.clone(),
            vault: data.vault.clone(),
            gateway: gateway.clone(),
            deadlines: Arc::default(),
            coming_timeout: settings.actors.coming_timeout,
            reconnect_wait: Some(settings.accounts.reconnect_wait),
            routing: settings.gateway.routing.clone(),
            now: registrations::wall_clock,
        };
        let (accounts, inbox) = Accounts::start_in(dependencies, &settings.actors, reported, 0).unwrap();
        ActorsFixture { data, accounts, inbox: Some(inbox), gateway, dispatched, reports }
    }

    fn run_inbox(&mut self, unsettled: Vec<AccountNumber>) {
        tokio::spawn(self.inbox.take().unwrap().run(unsettled, CancellationToken::new()));
    }

    /// A registration with this lifetime.
    fn register(&self, lifetime: Duration) -> Command {
        Command::Register {
            task: self.accounts.next_task_id().unwrap(),
            verify_type: VerifyType::Sms,
            account_type: AccountType::Personal,
            calling_code: "86".parse().unwrap(),
            country: "CN".to_owned(),
            lifetime,
            reason: Reason::none(),
        }
    }

    /// Waits until all actors are retired.
    async fn retired(&self) {
        while self.accounts.active_actors() > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn online(&self, account: AccountNumber) -> Result<CommandResult, Error> {
        let command =
            Command::BringOnline { content: Some(content(1)), replace: false, reason: Reason::none(), labels: None };
        self.accounts.execute(account, command, Origin::SERVICE).await
    }

    async fn until(&self, account: AccountNumber, status: OnlineStatus) {
        let mut head = self.data.journal.subscribe_head();
        while self.data.journal.load_account(account).unwrap().0.online_status != status {
            head.changed().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_session_from_the_caller_to_the_gateway_and_back() {
    let mut fixture = ActorsFixture::new(|_| {});
    fixture.run_inbox(vec![]);
    let account = account(1);
    assert_eq!(fixture.online(account).await.unwrap(), Ok(CommandSuccess::Recorded));
    assert_eq!(fixture.dispatched.recv().await, Some((account, PendingEffect::Connect { session: 1 })));
    let connected = |session| Report::Connected { session: Some(session), instance_code: String::new() };
    fixture.reports.send(GatewayKind::Simulator, account, connected(7)).await;
    fixture.reports.send(GatewayKind::Simulator, account, connected(1)).await;
    fixture.until(account, OnlineStatus::Online).await;
    assert_eq!(
        fixture.data.journal.head(),
        3,
        "imported, online requested, came online; the stranger's report changed nothing"
    );
}

#[tokio::test]
async fn commands_of_one_account_are_decided_one_after_the_other() {
    let fixture = ActorsFixture::new(|_| {});
    let import = |name: String| (account(1), contents::import(fixture.sealed(account(1), Some(&name))));
    let commands = (0..64).map(|name| import(name.to_string())).collect();
    let outcomes = fixture.accounts.execute_all(commands, Origin::SERVICE).await.unwrap();
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(CommandRejection::OtherContent)).count();
    assert_eq!((outcomes[0], refused, fixture.data.journal.head()), (Ok(CommandSuccess::Recorded), 63, 1));
}

#[tokio::test]
async fn too_many_commands_are_turned_away_at_once() {
    let fixture = ActorsFixture::new(|actors| actors.max_in_flight = 1);
    let (first, second) = tokio::join!(fixture.online(account(1)), fixture.online(account(2)));
    assert_eq!(first.unwrap(), Ok(CommandSuccess::Recorded));
    assert!(matches!(second, Err(Error::Overloaded { limit: 1 })));
    assert_eq!(fixture.online(account(2)).await.unwrap(), Ok(CommandSuccess::Recorded), "the permit is back");
    let counted = |outcome| fixture.data.journal.metrics().commands.with((CommandKind::BringOnline, outcome)).get();
    assert_eq!((counted(CommandOutcome::Accepted), counted(CommandOutcome::Overloaded)), (2, 1));
}

#[tokio::test]
async fn retired_accounts_come_back_as_they_were() {
    let fixture = ActorsFixture::new(|actors| actors.max_active = 4);
    for number in 0..50 {
        fixture.online(account(number)).await.unwrap().unwrap();
        assert!(fixture.accounts.active_actors() <= 4, "{} are active", fixture.accounts.active_actors());
    }
    for number in 0..50 {
        let recycled = fixture
            .accounts
            .execute(account(number), Command::Recycle { comes_back: false, reason: Reason::none() }, Origin::SERVICE)
            .await
            .unwrap();
        assert_eq!(
            (recycled, fixture.data.journal.stream_head(StreamId::Account(account(number))).version),
            (Ok(CommandSuccess::Recorded), 3)
        );
    }
}

#[tokio::test]
async fn idle_accounts_are_retired() {
    let fixture = ActorsFixture::new(|actors| actors.idle_after = Duration::ZERO);
    fixture.online(account(1)).await.unwrap().unwrap();
    fixture.retired().await;
}

#[tokio::test]
async fn a_panic_ends_one_actor_and_loses_nothing() {
    let mut fixture = ActorsFixture::new(|_| {});
    fixture.gateway.panics.store(true, Ordering::Relaxed);
    // The panic comes after the commit, so the successor finds the account in transition already.
    assert_eq!(fixture.online(account(1)).await.unwrap(), Ok(CommandSuccess::Unchanged));
    assert_eq!(fixture.dispatched.recv().await, Some((account(1), PendingEffect::Connect { session: 1 })));
    assert_eq!(fixture.data.journal.head(), 2);
}

/// If callers hang up, their commands are still executed, and leave nothing behind.
#[tokio::test]
async fn a_caller_that_hangs_up() {
    let fixture = ActorsFixture::new(|actors| {
        actors.max_in_flight = 1;
        actors.idle_after = Duration::ZERO;
    });
    let mut continued = 0;
    for number in 0..20 {
        let mut request = Box::pin(fixture.online(account(number)));
        // On a busy machine the command may be complete before it is polled.
        let is_under_way = futures_util::poll!(&mut request).is_pending();
        drop(request);
        // The command continues, and holds its permit.
        let other = fixture
            .accounts
            .execute(account(99), Command::Recycle { comes_back: false, reason: Reason::none() }, Origin::SERVICE)
            .await;
        continued += u32::from(is_under_way && matches!(other, Err(Error::Overloaded { .. })));
        fixture.until(account(number), OnlineStatus::OnlineComing).await;
        // The permit is free once the actor has completed the command.
        while fixture.accounts.inner.permits.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert!(continued > 0, "a command of a caller that hung up holds no permit");
    fixture.retired().await;
}

#[tokio::test]
async fn a_registration_is_not_asked_for_twice_after_a_panic() {
    let mut fixture = ActorsFixture::new(|_| {});
    fixture.gateway.panics.store(true, Ordering::Relaxed);
    let command = fixture.register(Duration::from_secs(600));
    assert_eq!(
        fixture.accounts.execute(account(1), command, Origin::SERVICE).await.unwrap(),
        Ok(CommandSuccess::Unchanged)
    );
    assert!(matches!(fixture.dispatched.recv().await, Some((_, PendingEffect::RequestCode { .. }))));
    assert_eq!(fixture.data.journal.head(), 1);
}

/// The gateway is not asked again for work whose deadline has passed, even after a recovery.
#[tokio::test]
async fn an_expired_registration_is_not_dispatched() {
    let mut fixture = ActorsFixture::new(|actors| actors.idle_after = Duration::ZERO);
    let command = fixture.register(Duration::ZERO);
    assert_eq!(
        fixture.accounts.execute(account(1), command, Origin::SERVICE).await.unwrap(),
        Ok(CommandSuccess::Recorded)
    );
    fixture.dispatched.recv().await.unwrap();
    fixture.retired().await;
    fixture.run_inbox(vec![]);
    let mut head = fixture.data.journal.subscribe_head();
    head.wait_for(|head| *head == 2).await.unwrap();
    assert!(fixture.dispatched.try_recv().is_err(), "the code was asked for again");
}

#[tokio::test]
async fn dropped_accounts_come_back() {
    let mut fixture = ActorsFixture::new(|_| {});
    fixture.run_inbox(vec![]);
    fixture.online(account(1)).await.unwrap().unwrap();
    for (session, reason) in [(1, Reason::NETWORK), (2, "flat battery"), (3, Reason::PAIRING_FAILED)] {
        assert_eq!(fixture.dispatched.recv().await, Some((account(1), PendingEffect::Connect { session })));
        let (reason, instance_code) = (Reason::new(reason), String::new());
        let report = Report::Disconnected { session: None, reason, instance_code };
        fixture.reports.send(GatewayKind::Simulator, account(1), report).await;
        fixture.until(account(1), OnlineStatus::Offline).await;
    }
    // After a failed pairing a person must scan again. The callers decide when.
    let events = fixture.data.journal.head();
    fixture.online(account(1)).await.unwrap().unwrap();
    assert_eq!(fixture.data.journal.head(), events + 1);
    assert_eq!(fixture.dispatched.recv().await, Some((account(1), PendingEffect::Connect { session: 4 })));
}

#[tokio::test]
async fn a_gateway_that_never_answers_is_given_up() {
    let mut fixture = ActorsFixture::new(|actors| actors.coming_timeout = Duration::from_millis(10));
    fixture.run_inbox(vec![]);
    fixture.online(account(4)).await.unwrap().unwrap();
    fixture.until(account(4), OnlineStatus::Offline).await;
    assert_eq!(fixture.data.journal.load_account(account(4)).unwrap().0.reason, Reason::new(Reason::NETWORK));
}

#[tokio::test]
async fn pending_effects_are_dispatched_after_a_restart() {
    let first = ActorsFixture::new(|_| {});
    first.online(account(1)).await.unwrap().unwrap();
    first.accounts.drain().await;
    assert!(matches!(first.online(account(2)).await, Err(Error::Stopping)));
    let mut second = ActorsFixture::on(first.data);
    second.run_inbox(vec![account(1)]);
    assert_eq!(second.dispatched.recv().await, Some((account(1), PendingEffect::Connect { session: 1 })));
}

#[tokio::test]
async fn task_ids_rise_and_end() {
    let fixture = ActorsFixture::new(|_| {});
    let ids = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..100).for_each(|_| ids.lock().unwrap().push(fixture.accounts.next_task_id().unwrap().get()));
            });
        }
    });
    let mut ids = ids.into_inner().unwrap();
    ids.sort_unstable();
    assert_eq!(ids, (1..=400).collect::<Vec<_>>());
    fixture.accounts.inner.last_task.store(crate::limits::TASK_ID_MAX, Ordering::Relaxed);
    assert!(matches!(fixture.accounts.next_task_id(), Err(Error::TaskIdsExhausted)));
}

/// The service ended after the event and before the key was destroyed, or before both.
#[tokio::test]
async fn an_erasure_that_was_begun_is_ended() {
    let fixture = ActorsFixture::new(|_| {});
    let vault = &fixture.data.vault;
    let [erased, kept] = [account(1), account(2)];
    for account in [erased, kept] {
        vault.create_data_key(account).unwrap();
        fixture.online(account).await.unwrap().unwrap();
        vault.lock_for_erasure().await.record_intent(account).unwrap();
    }
    let command = Command::EraseSecrets { reason: Reason::new("asked to") };
    fixture.accounts.execute(erased, command, Origin::SERVICE).await.unwrap().unwrap();
    finish_erasures(vault, &fixture.data.journal).await.unwrap();
    assert_eq!(vault.unfinished_erasures().unwrap(), []);
    assert!(vault.seal_code(erased, "123456").unwrap().is_none(), "its key is gone");
    assert!(vault.seal_code(kept, "123456").unwrap().is_some(), "its key is there");
}

/// Pending effects that a gateway seems to have lost are dispatched again, and nothing else happens.
#[tokio::test]
async fn pending_effects_are_redispatched() {
    let mut fixture = ActorsFixture::new(|_| {});
    fixture.run_inbox(vec![]);
    fixture.online(account(1)).await.unwrap().unwrap();
    let first = fixture.dispatched.recv().await.unwrap();
    fixture.online(account(1)).await.unwrap().unwrap();
    fixture.reports.redispatch(account(1)).await.unwrap();
    assert_eq!(fixture.dispatched.try_recv(), Ok(first));
    assert!(fixture.dispatched.try_recv().is_err(), "once");
    assert_eq!(fixture.data.journal.head(), 2);
}

/// The sender of an executed report learns the outcome once it is durable.
#[tokio::test]
async fn an_executed_report_is_answered() {
    let mut fixture = ActorsFixture::new(|_| {});
    fixture.run_inbox(vec![]);
    fixture.online(account(1)).await.unwrap().unwrap();
    let connected = || Command::Report(Report::Connected { session: Some(1), instance_code: "I-1".to_owned() });
    for effect in [CommandSuccess::Recorded, CommandSuccess::Unchanged] {
        let settled = fixture.reports.execute(GatewayKind::Bridge, account(1), connected()).await.unwrap();
        assert_eq!(settled, Ok(effect));
    }
    let (state, _) = fixture.data.journal.load_account(account(1)).unwrap();
    assert_eq!((state.online_status, state.version), (OnlineStatus::Online, 3));
}

//! Reconciliation of real accounts on a real journal, with a gateway that lists what the test sets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, pause, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::compare::RECONCILED_REASON;
use super::status::ReconcileStatus;
use crate::actors::{Accounts, ReportSender, report_channel};
use crate::domain::{
    Account, AccountNumber, Command, GatewayKind, OnlineStatus, PendingEffect, Reason, Report, Status,
};
use crate::gateway::bulkhead::Bulkhead;
use crate::gateway::provider::GatewayProvider;
use crate::gateway::remote_gateway::{GatewaySession, GatewaySessionState, GatewayUnavailable, RemoteGateway};
use crate::gateway::{GatewayRegistry, describe};
use crate::journal::Origin;
use crate::limits::{GATEWAY_BREAKER_FAILURES, RECONCILE_INTERVAL_MIN, RECONCILE_RETRY_WAIT};
use crate::metrics::{Difference, ReconcileOutcome};
use crate::testkit::fixture::StorageFixture;
use crate::testkit::sample::{account, content};

const BRIDGE: GatewayKind = GatewayKind::Bridge;
const EVERY: Duration = Duration::from_secs(300);

/// A fake gateway. The test sets its list, and receives what was dispatched to it.
struct FakeProvider {
    sessions: Mutex<Result<Vec<GatewaySession>, &'static str>>,
    /// Whether it answers.
    answers: watch::Sender<bool>,
    list_calls: watch::Sender<u32>,
    dispatched: mpsc::UnboundedSender<String>,
    bulkhead: Bulkhead,
}

impl GatewayProvider for FakeProvider {
    fn dispatch(&self, account: AccountNumber, _: &Account, effect: &PendingEffect, _: Duration) {
        let _unread = self.dispatched.send(format!("{account} {effect:?}"));
    }

    fn as_remote(self: Arc<Self>) -> Option<Arc<dyn RemoteGateway>> {
        Some(self)
    }
}

impl RemoteGateway for FakeProvider {
    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<GatewaySession>, GatewayUnavailable>> {
        let listing = async {
            self.list_calls.send_modify(|calls| *calls += 1);
            self.answers.subscribe().wait_for(|answers| *answers).await.unwrap();
            self.sessions.lock().unwrap().clone()
        };
        self.bulkhead
            .call(listing, |_| true)
            .map(|sessions| sessions.map_err(|why| GatewayUnavailable { reason: why.to_string() }))
            .boxed()
    }

    fn close_session(&self, account: AccountNumber, session: Option<u32>) {
        let _unread = self.dispatched.send(format!("{account} close {session:?}"));
    }

    fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }
}

struct ReconcileFixture {
    data: StorageFixture,
    accounts: Accounts,
    reports: ReportSender,
    gateways: GatewayRegistry,
    fake: Arc<FakeProvider>,
    dispatched: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
}

impl ReconcileFixture {
    fn new() -> ReconcileFixture {
        let data = StorageFixture::with_settings(|settings| settings.gateway.routing.default = BRIDGE);
        let (reports, reported) = report_channel();
        let (sender, dispatched) = mpsc::unbounded_channel();
        let fake = Arc::new(FakeProvider {
            sessions: Mutex::new(Ok(Vec::new())),
            answers: watch::Sender::new(true),
            list_calls: watch::Sender::new(0),
            dispatched: sender,
            bulkhead: Bulkhead::new(BRIDGE, Duration::from_secs(10), 8, 1_000),
        });
        let gateways = GatewayRegistry::new(describe, &[(BRIDGE, fake.clone())], reports.clone());
        let (accounts, inbox) = data.start_accounts(Arc::new(gateways.clone()), reported);
        let stop = CancellationToken::new();
        tokio::spawn(inbox.run(Vec::new(), stop.clone()));
        ReconcileFixture { data, accounts, reports, gateways, fake, dispatched, stop }
    }

    /// Starts the reconciler.
    fn start_reconciler(&self) {
        let (roster, metrics) = (self.data.roster.clone(), self.data.journal.metrics().clone());
        tokio::spawn(self.gateways.clone().run_reconciliation(roster, metrics, EVERY, self.stop.clone()));
    }

    fn set_listing(&self, sessions: Result<Vec<GatewaySession>, &'static str>) {
        *self.fake.sessions.lock().unwrap() = sessions;
    }

    fn status(&self) -> &ReconcileStatus {
        &self.gateways.entry(BRIDGE).reconciliation
    }

    async fn execute_command(&self, account: AccountNumber, command: Command) {
        self.accounts.execute(account, command, Origin::SERVICE).await.unwrap().unwrap();
    }

    /// Requests the account online, which dispatches an effect to the gateway.
    async fn request_online(&mut self, account: AccountNumber) {
        self.execute_command(
            account,
            Command::BringOnline { content: Some(content(1)), replace: false, reason: Reason::none(), labels: None },
        )
        .await;
        self.dispatched.recv().await.unwrap();
    }

    async fn bring_online(&mut self, account: AccountNumber) {
        self.request_online(account).await;
        let report = Report::Connected { session: None, instance_code: String::new() };
        self.reports.execute(BRIDGE, account, Command::Report(report)).await.unwrap().unwrap();
    }

    async fn take_offline(&mut self, account: AccountNumber) {
        self.bring_online(account).await;
        self.execute_command(account, Command::Recycle { comes_back: false, reason: Reason::none() }).await;
        self.dispatched.recv().await.unwrap();
        let (reason, instance_code) = (Reason::none(), String::new());
        let report = Report::Disconnected { session: None, reason, instance_code };
        self.reports.execute(BRIDGE, account, Command::Report(report)).await.unwrap().unwrap();
    }

    fn state(&self, account: AccountNumber) -> Account {
        self.data.journal.load_account(account).unwrap().0
    }

    fn status_of(&self, account: AccountNumber) -> (Status, OnlineStatus, String) {
        let state = self.state(account);
        (state.status, state.online_status, state.reason.as_str().to_owned())
    }
}

fn listed(number: u64, session: Option<u32>, state: GatewaySessionState) -> GatewaySession {
    GatewaySession { account: account(number), session, state, instance_code: String::new() }
}

/// Reports were lost, commands were lost, the gateway forgot sessions, and an operator connected one by hand. One
/// reconciliation repairs all of it.
#[tokio::test]
async fn missed_reports_and_commands_are_repaired() {
    let mut fixture = ReconcileFixture::new();
    fixture.bring_online(account(1)).await;
    fixture.request_online(account(2)).await;
    fixture.request_online(account(3)).await;
    fixture.bring_online(account(4)).await;
    fixture.take_offline(account(5)).await;
    fixture.bring_online(account(6)).await;
    let untouched = fixture.state(account(4)).version;
    fixture.set_listing(Ok(vec![
        listed(2, Some(1), GatewaySessionState::Connected),
        listed(4, None, GatewaySessionState::Connected),
        listed(5, Some(1), GatewaySessionState::Connected),
        listed(6, None, GatewaySessionState::Banned { reason: Reason::new("spam") }),
        listed(99, None, GatewaySessionState::Connected),
    ]));
    fixture.start_reconciler();
    fixture.status().wait_until(|status| status.last_completed().is_some()).await;
    let normal = |online_status, reason: &str| (Status::Normal, online_status, reason.to_owned());
    assert_eq!(fixture.status_of(account(1)), normal(OnlineStatus::Offline, RECONCILED_REASON));
    assert_eq!(fixture.status_of(account(2)), normal(OnlineStatus::Online, ""));
    assert_eq!(fixture.status_of(account(3)), normal(OnlineStatus::OnlineComing, ""));
    assert_eq!(fixture.state(account(4)).version, untouched, "nothing happens to what agrees");
    assert_eq!(fixture.status_of(account(5)), normal(OnlineStatus::Offline, ""), "what was recycled stays so");
    assert_eq!(fixture.status_of(account(6)), (Status::Banned, OnlineStatus::Offline, "spam".to_owned()));
    let mut dispatched = Vec::new();
    while let Ok(effect) = fixture.dispatched.try_recv() {
        dispatched.push(effect);
    }
    dispatched.sort();
    assert_eq!(dispatched, ["8618217000003 Connect { session: 1 }", "8618217000005 close Some(1)"]);
    let last = fixture.status().last_completed().unwrap();
    assert_eq!((last.sessions, last.unknown_sessions), (5, 1));
    let found = [Difference::Banned, Difference::Connected, Difference::Disconnected, Difference::NotBegun];
    let found: Vec<_> = found.into_iter().chain([Difference::Unwanted]).map(|difference| (difference, 1)).collect();
    assert_eq!(last.differences, found);
    assert_eq!(fixture.data.journal.metrics().differences.with((BRIDGE, Difference::Unwanted)).get(), 1);
}

/// The list shows one moment. An account that got a request after that moment is not repaired.
#[tokio::test]
async fn changes_during_a_run_are_kept() {
    let mut fixture = ReconcileFixture::new();
    fixture.bring_online(account(1)).await;
    fixture.take_offline(account(2)).await;
    fixture.set_listing(Ok(vec![listed(2, None, GatewaySessionState::Connected)]));
    fixture.fake.answers.send_replace(false);
    fixture.start_reconciler();
    fixture.fake.list_calls.subscribe().wait_for(|calls| *calls == 1).await.unwrap();
    fixture.execute_command(account(1), Command::Recycle { comes_back: false, reason: Reason::none() }).await;
    fixture.request_online(account(2)).await;
    let heads = [1, 2].map(|number| fixture.state(account(number)).version);
    fixture.fake.answers.send_replace(true);
    fixture.status().wait_until(|status| status.last_completed().is_some()).await;
    assert_eq!([1, 2].map(|number| fixture.state(account(number)).version), heads);
    assert_eq!(fixture.status().last_completed().unwrap().differences, []);
    while let Ok(dispatched) = fixture.dispatched.try_recv() {
        assert!(!dispatched.contains("close"), "the session that is wanted again is not closed: {dispatched}");
    }
}

#[tokio::test]
async fn an_older_session_is_replaced() {
    let mut fixture = ReconcileFixture::new();
    fixture.take_offline(account(1)).await;
    fixture.request_online(account(1)).await;
    fixture.set_listing(Ok(vec![listed(1, Some(1), GatewaySessionState::Connected)]));
    fixture.start_reconciler();
    assert_eq!(fixture.dispatched.recv().await.unwrap(), "8618217000001 close Some(1)");
    assert_eq!(fixture.dispatched.recv().await.unwrap(), "8618217000001 Connect { session: 2 }");
    assert_eq!(fixture.status_of(account(1)).1, OnlineStatus::OnlineComing);
}

/// The gateway is away for an hour: no event is recorded, and few calls are made. Then a reconciliation completes.
#[tokio::test]
async fn a_gateway_that_is_away_changes_nothing() {
    let mut fixture = ReconcileFixture::new();
    fixture.bring_online(account(1)).await;
    let head = fixture.data.journal.head();
    pause();
    fixture.set_listing(Err("connection refused"));
    fixture.start_reconciler();
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!((fixture.data.journal.head(), fixture.status_of(account(1)).1), (head, OnlineStatus::Online));
    let failure = fixture.status().failure().unwrap();
    assert!((10..40).contains(&failure.consecutive_failures), "{failure:?}");
    let count_of = |outcome| fixture.data.journal.metrics().reconciliations.with((BRIDGE, outcome)).get();
    assert_eq!(count_of(ReconcileOutcome::Failed), u64::from(failure.consecutive_failures));
    let calls = *fixture.fake.list_calls.borrow();
    assert!(calls <= failure.consecutive_failures, "{calls} calls");
    fixture.set_listing(Ok(vec![listed(1, None, GatewaySessionState::Connected)]));
    fixture.status().wait_until(|status| status.last_completed().is_some()).await;
    assert_eq!(fixture.status().failure(), None);
    sleep(EVERY / 2).await;
    assert_eq!(count_of(ReconcileOutcome::Done), 1, "the list that found it back is no reason for another one");
    assert_eq!(fixture.data.journal.head(), head);
}

/// Runs when due and at once on request, but never more often than the minimum interval.
#[tokio::test(start_paused = true)]
async fn when_sessions_are_compared() {
    let fixture = ReconcileFixture::new();
    fixture.start_reconciler();
    let mut calls = fixture.fake.list_calls.subscribe();
    calls.wait_for(|calls| *calls == 1).await.unwrap();
    let started = Instant::now();
    calls.wait_for(|calls| *calls == 2).await.unwrap();
    let waited = started.elapsed();
    assert!(waited >= EVERY * 89 / 100 && waited <= EVERY + RECONCILE_INTERVAL_MIN, "{waited:?}");
    sleep(RECONCILE_INTERVAL_MIN * 2).await;
    let started = Instant::now();
    for _ in 0..100 {
        fixture.gateways.trigger_reconciliation(BRIDGE);
    }
    calls.wait_for(|calls| *calls == 3).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(10), "at once: {:?}", started.elapsed());
    fixture.gateways.trigger_reconciliation(BRIDGE);
    fixture.gateways.trigger_reconciliation(BRIDGE);
    calls.wait_for(|calls| *calls == 4).await.unwrap();
    assert!(started.elapsed() >= RECONCILE_INTERVAL_MIN, "not at once again: {:?}", started.elapsed());
    sleep(EVERY / 2).await;
    assert_eq!(*fixture.fake.list_calls.borrow(), 4, "what was asked for twice is done once");
}

/// Another call finds that the gateway is available again. This starts a run.
#[tokio::test(start_paused = true)]
async fn a_returning_gateway_is_reconciled_at_once() {
    let fixture = ReconcileFixture::new();
    fixture.start_reconciler();
    fixture.status().wait_until(|status| status.last_completed().is_some()).await;
    for _ in 0..GATEWAY_BREAKER_FAILURES {
        fixture.fake.bulkhead.call(async { Err::<(), _>("away") }, |_| true).await.unwrap_err();
    }
    sleep(RECONCILE_RETRY_WAIT).await;
    assert_eq!(*fixture.fake.list_calls.borrow(), 1);
    let started = Instant::now();
    fixture.fake.bulkhead.call(async { Ok::<_, &str>(()) }, |_| true).await.unwrap();
    fixture.fake.list_calls.subscribe().wait_for(|calls| *calls == 2).await.unwrap();
    assert!(started.elapsed() < RECONCILE_INTERVAL_MIN, "{:?}", started.elapsed());
}

/// A drain does not wait for a gateway.
#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_list() {
    let fixture = ReconcileFixture::new();
    fixture.fake.answers.send_replace(false);
    let (roster, metrics) = (fixture.data.roster.clone(), fixture.data.journal.metrics().clone());
    let run = tokio::spawn(fixture.gateways.clone().run_reconciliation(roster, metrics, EVERY, fixture.stop.clone()));
    fixture.fake.list_calls.subscribe().wait_for(|calls| *calls == 1).await.unwrap();
    fixture.stop.cancel();
    timeout(Duration::from_millis(10), run).await.unwrap().unwrap();
}

/// The status view while the gateway is available and while it is away.
#[tokio::test]
async fn gateway_status_view() {
    let mut fixture = ReconcileFixture::new();
    fixture.bring_online(account(1)).await;
    fixture.request_online(account(2)).await;
    fixture.set_listing(Ok(vec![
        listed(1, None, GatewaySessionState::Connected),
        listed(9, None, GatewaySessionState::Connected),
    ]));
    fixture.start_reconciler();
    fixture.status().wait_until(|status| status.last_completed().is_some()).await;
    let bridge_view = |fixture: &ReconcileFixture| {
        fixture.gateways.update_metrics(fixture.data.journal.metrics());
        fixture.data.roster.update_metrics(fixture.data.journal.metrics(), fixture.data.journal.head());
        let views = serde_json::to_value(fixture.gateways.views(&fixture.data.roster, BRIDGE).unwrap()).unwrap();
        views.as_array().unwrap().iter().find(|view| view["name"] == "bridge").unwrap().clone()
    };
    let view = bridge_view(&fixture);
    assert_eq!(
        (&view["state"], &view["isDefault"], &view["says"]),
        (&"up".into(), &true.into(), &"It responds.".into())
    );
    assert_eq!((&view["accounts"]["online"], &view["accounts"]["onlineComing"]), (&1.into(), &1.into()));
    let last = &view["reconciliation"]["last"];
    assert_eq!(
        (&last["sessions"], &last["strangers"], &last["differences"]["notBegun"]),
        (&2.into(), &1.into(), &1.into())
    );
    let metrics = fixture.data.journal.metrics().clone();
    assert_eq!((metrics.gateway_up.with(BRIDGE).get(), metrics.unknown_sessions.with(BRIDGE).get()), (1, 1));
    let online = (BRIDGE, crate::metrics::AccountState::Online);
    assert_eq!(metrics.gateway_accounts.with(online).get(), 1);

    fixture.set_listing(Err("connection refused"));
    for _ in 0..GATEWAY_BREAKER_FAILURES {
        let _away = fixture.fake.list_sessions().await;
    }
    let view = bridge_view(&fixture);
    assert_eq!((&view["state"], &view["calls"]["breaker"]), (&"away".into(), &"open".into()));
    assert!(view["says"].as_str().unwrap().starts_with("It is away: connection refused."), "{view}");
    assert!(view["calls"]["openUntil"].is_string() && view["errors"][0]["what"] == "connection refused", "{view}");
    assert_eq!((metrics.gateway_set_up.with(BRIDGE).get(), metrics.gateway_up.with(BRIDGE).get()), (1, 0));
    assert!(metrics.gateway_last_error.with(BRIDGE).get() > 1e9);
}

//! Comparisons on a real journal with real accounts, with a gateway that lists what the test has it list.

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
use crate::gateway::provider::{GatewayProvider, GatewaySession, GatewaySessionState, GatewayUnavailable};
use crate::gateway::{GatewayRegistry, Simulator};
use crate::journal::Origin;
use crate::limits::{GATEWAY_BREAKER_FAILURES, RECONCILE_INTERVAL_MIN, RECONCILE_RETRY_WAIT};
use crate::metrics::{Difference, ReconcileOutcome};
use crate::testkit::fixture::StorageFixture;
use crate::testkit::sample::{account, content};

const BRIDGE: GatewayKind = GatewayKind::Bridge;
const EVERY: Duration = Duration::from_secs(300);

/// A gateway: what it lists, what it was told, how often it was asked.
struct FakeProvider {
    sessions: Mutex<Result<Vec<GatewaySession>, &'static str>>,
    /// While this says so, it answers.
    answers: watch::Sender<bool>,
    list_calls: watch::Sender<u32>,
    dispatched: mpsc::UnboundedSender<String>,
    bulkhead: Bulkhead,
}

impl GatewayProvider for FakeProvider {
    fn kind(&self) -> GatewayKind {
        BRIDGE
    }

    fn dispatch(&self, account: AccountNumber, _: &Account, owed: &PendingEffect, _: Duration) {
        let _unread = self.dispatched.send(format!("{account} {owed:?}"));
    }

    fn list_sessions(&self) -> BoxFuture<'_, Result<Vec<GatewaySession>, GatewayUnavailable>> {
        let listing = async {
            self.list_calls.send_modify(|asked| *asked += 1);
            self.answers.subscribe().wait_for(|answers| *answers).await.unwrap();
            self.sessions.lock().unwrap().clone()
        };
        self.bulkhead
            .call(listing, |_| true)
            .map(|listed| listed.map_err(|why| GatewayUnavailable { reason: why.to_string() }))
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
    told: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
}

impl ReconcileFixture {
    fn new() -> ReconcileFixture {
        let data = StorageFixture::with_settings(|settings| settings.gateway.routing.default = BRIDGE);
        let (reports, reported) = report_channel();
        let (sender, told) = mpsc::unbounded_channel();
        let fake = Arc::new(FakeProvider {
            sessions: Mutex::new(Ok(Vec::new())),
            answers: watch::Sender::new(true),
            list_calls: watch::Sender::new(0),
            dispatched: sender,
            bulkhead: Bulkhead::new(BRIDGE, Duration::from_secs(10), 8, 1_000),
        });
        let (simulator, _) = Simulator::new(&data.settings.simulator, data.vault.clone(), reports.clone(), [], |_| 1);
        let gateways = GatewayRegistry::new(simulator, vec![fake.clone()], reports.clone());
        let (accounts, inbox) = data.start_accounts(Arc::new(gateways.clone()), reported);
        let stop = CancellationToken::new();
        tokio::spawn(inbox.run(Vec::new(), stop.clone()));
        ReconcileFixture { data, accounts, reports, gateways, fake, told, stop }
    }

    /// Begins to compare.
    fn compare(&self) {
        let (roster, metrics) = (self.data.roster.clone(), self.data.journal.metrics().clone());
        tokio::spawn(self.gateways.clone().run_reconciliation(roster, metrics, EVERY, self.stop.clone()));
    }

    fn lists(&self, sessions: Result<Vec<GatewaySession>, &'static str>) {
        *self.fake.sessions.lock().unwrap() = sessions;
    }

    fn record(&self) -> &ReconcileStatus {
        self.gateways.provider_status(BRIDGE).unwrap().1
    }

    async fn asks(&self, account: AccountNumber, command: Command) {
        self.accounts.execute(account, command, Origin::SERVICE).await.unwrap().unwrap();
    }

    /// The account is asked online, and the gateway told of it.
    async fn coming(&mut self, account: AccountNumber) {
        self.asks(account, Command::BringOnline { content: Some(content(1)), replace: false }).await;
        self.told.recv().await.unwrap();
    }

    async fn online(&mut self, account: AccountNumber) {
        self.coming(account).await;
        let report = Report::Connected { session: None, instance_code: String::new() };
        self.reports.execute(BRIDGE, account, Command::Report(report)).await.unwrap().unwrap();
    }

    async fn offline(&mut self, account: AccountNumber) {
        self.online(account).await;
        self.asks(account, Command::Recycle { comes_back: false }).await;
        self.told.recv().await.unwrap();
        let (reason, instance_code) = (Reason::none(), String::new());
        let report = Report::Disconnected { session: None, reason, instance_code };
        self.reports.execute(BRIDGE, account, Command::Report(report)).await.unwrap().unwrap();
    }

    fn state(&self, account: AccountNumber) -> Account {
        self.data.journal.load_account(account).unwrap().0
    }

    fn stands(&self, account: AccountNumber) -> (Status, OnlineStatus, String) {
        let state = self.state(account);
        (state.status, state.online_status, state.reason.as_str().to_owned())
    }
}

fn seen(number: u64, session: Option<u32>, state: GatewaySessionState) -> GatewaySession {
    GatewaySession { account: account(number), session, state, instance_code: String::new() }
}

/// Reports were lost, commands were lost, the gateway forgot, and somebody connected by hand: one comparison, and all is
/// as it is shown.
#[tokio::test]
async fn what_was_missed_is_made_good() {
    let mut fixture = ReconcileFixture::new();
    fixture.online(account(1)).await;
    fixture.coming(account(2)).await;
    fixture.coming(account(3)).await;
    fixture.online(account(4)).await;
    fixture.offline(account(5)).await;
    fixture.online(account(6)).await;
    let untouched = fixture.state(account(4)).version;
    fixture.lists(Ok(vec![
        seen(2, Some(1), GatewaySessionState::Connected),
        seen(4, None, GatewaySessionState::Connected),
        seen(5, Some(1), GatewaySessionState::Connected),
        seen(6, None, GatewaySessionState::Banned { reason: Reason::new("spam") }),
        seen(99, None, GatewaySessionState::Connected),
    ]));
    fixture.compare();
    fixture.record().wait_until(|record| record.last_completed().is_some()).await;
    let normal = |online_status, reason: &str| (Status::Normal, online_status, reason.to_owned());
    assert_eq!(fixture.stands(account(1)), normal(OnlineStatus::Offline, RECONCILED_REASON));
    assert_eq!(fixture.stands(account(2)), normal(OnlineStatus::Online, ""));
    assert_eq!(fixture.stands(account(3)), normal(OnlineStatus::OnlineComing, ""));
    assert_eq!(fixture.state(account(4)).version, untouched, "nothing happens to what agrees");
    assert_eq!(fixture.stands(account(5)), normal(OnlineStatus::Offline, ""), "what was recycled stays so");
    assert_eq!(fixture.stands(account(6)), (Status::Banned, OnlineStatus::Offline, "spam".to_owned()));
    let mut told = Vec::new();
    while let Ok(line) = fixture.told.try_recv() {
        told.push(line);
    }
    told.sort();
    assert_eq!(told, ["8618217000003 Connect { session: 1 }", "8618217000005 close Some(1)"]);
    let last = fixture.record().last_completed().unwrap();
    assert_eq!((last.sessions, last.unknown_sessions), (5, 1));
    let found = [Difference::Banned, Difference::Connected, Difference::Disconnected, Difference::NotBegun];
    let found: Vec<_> = found.into_iter().chain([Difference::Unwanted]).map(|difference| (difference, 1)).collect();
    assert_eq!(last.differences, found);
    assert_eq!(fixture.data.journal.metrics().differences.with((BRIDGE, Difference::Unwanted)).get(), 1);
}

/// The list is as of a moment: an account that was asked for something else meanwhile is left to that.
#[tokio::test]
async fn what_happens_meanwhile_is_not_undone() {
    let mut fixture = ReconcileFixture::new();
    fixture.online(account(1)).await;
    fixture.offline(account(2)).await;
    fixture.lists(Ok(vec![seen(2, None, GatewaySessionState::Connected)]));
    fixture.fake.answers.send_replace(false);
    fixture.compare();
    fixture.fake.list_calls.subscribe().wait_for(|asked| *asked == 1).await.unwrap();
    fixture.asks(account(1), Command::Recycle { comes_back: false }).await;
    fixture.coming(account(2)).await;
    let heads = [1, 2].map(|number| fixture.state(account(number)).version);
    fixture.fake.answers.send_replace(true);
    fixture.record().wait_until(|record| record.last_completed().is_some()).await;
    assert_eq!([1, 2].map(|number| fixture.state(account(number)).version), heads);
    assert_eq!(fixture.record().last_completed().unwrap().differences, []);
    while let Ok(told) = fixture.told.try_recv() {
        assert!(!told.contains("close"), "the session that is wanted again is not closed: {told}");
    }
}

#[tokio::test]
async fn a_session_from_before_makes_room_for_the_one_that_is_wanted() {
    let mut fixture = ReconcileFixture::new();
    fixture.offline(account(1)).await;
    fixture.coming(account(1)).await;
    fixture.lists(Ok(vec![seen(1, Some(1), GatewaySessionState::Connected)]));
    fixture.compare();
    assert_eq!(fixture.told.recv().await.unwrap(), "8618217000001 close Some(1)");
    assert_eq!(fixture.told.recv().await.unwrap(), "8618217000001 Connect { session: 2 }");
    assert_eq!(fixture.stands(account(1)).1, OnlineStatus::OnlineComing);
}

/// An hour without the gateway: no event, a few questions, and all of it made good when it is back.
#[tokio::test]
async fn a_gateway_that_is_away_changes_nothing() {
    let mut fixture = ReconcileFixture::new();
    fixture.online(account(1)).await;
    let head = fixture.data.journal.head();
    pause();
    fixture.lists(Err("connection refused"));
    fixture.compare();
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!((fixture.data.journal.head(), fixture.stands(account(1)).1), (head, OnlineStatus::Online));
    let failure = fixture.record().failure().unwrap();
    assert!((10..40).contains(&failure.consecutive_failures), "{failure:?}");
    let counted = |outcome| fixture.data.journal.metrics().reconciliations.with((BRIDGE, outcome)).get();
    assert_eq!(counted(ReconcileOutcome::Failed), u64::from(failure.consecutive_failures));
    let asked = *fixture.fake.list_calls.borrow();
    assert!(asked <= failure.consecutive_failures, "{asked} calls");
    fixture.lists(Ok(vec![seen(1, None, GatewaySessionState::Connected)]));
    fixture.record().wait_until(|record| record.last_completed().is_some()).await;
    assert_eq!(fixture.record().failure(), None);
    sleep(EVERY / 2).await;
    assert_eq!(counted(ReconcileOutcome::Done), 1, "the list that found it back is no reason for another one");
    assert_eq!(fixture.data.journal.head(), head);
}

/// Each time that it is due, at once when it is asked for, and however often: not more than once in a while.
#[tokio::test(start_paused = true)]
async fn when_sessions_are_compared() {
    let fixture = ReconcileFixture::new();
    fixture.compare();
    let mut asked = fixture.fake.list_calls.subscribe();
    asked.wait_for(|asked| *asked == 1).await.unwrap();
    let begun = Instant::now();
    asked.wait_for(|asked| *asked == 2).await.unwrap();
    let waited = begun.elapsed();
    assert!(waited >= EVERY * 89 / 100 && waited <= EVERY + RECONCILE_INTERVAL_MIN, "{waited:?}");
    sleep(RECONCILE_INTERVAL_MIN * 2).await;
    let begun = Instant::now();
    for _ in 0..100 {
        fixture.gateways.trigger_reconciliation(BRIDGE);
    }
    asked.wait_for(|asked| *asked == 3).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(10), "at once: {:?}", begun.elapsed());
    fixture.gateways.trigger_reconciliation(BRIDGE);
    fixture.gateways.trigger_reconciliation(BRIDGE);
    asked.wait_for(|asked| *asked == 4).await.unwrap();
    assert!(begun.elapsed() >= RECONCILE_INTERVAL_MIN, "not at once again: {:?}", begun.elapsed());
    sleep(EVERY / 2).await;
    assert_eq!(*fixture.fake.list_calls.borrow(), 4, "what was asked for twice is done once");
}

/// Somebody else found it away, and then back: that is reason enough.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_back_is_asked_at_once() {
    let fixture = ReconcileFixture::new();
    fixture.compare();
    fixture.record().wait_until(|record| record.last_completed().is_some()).await;
    for _ in 0..GATEWAY_BREAKER_FAILURES {
        fixture.fake.bulkhead.call(async { Err::<(), _>("away") }, |_| true).await.unwrap_err();
    }
    sleep(RECONCILE_RETRY_WAIT).await;
    assert_eq!(*fixture.fake.list_calls.borrow(), 1);
    let begun = Instant::now();
    fixture.fake.bulkhead.call(async { Ok::<_, &str>(()) }, |_| true).await.unwrap();
    fixture.fake.list_calls.subscribe().wait_for(|asked| *asked == 2).await.unwrap();
    assert!(begun.elapsed() < RECONCILE_INTERVAL_MIN, "{:?}", begun.elapsed());
}

/// A drain waits for no gateway.
#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_list() {
    let fixture = ReconcileFixture::new();
    fixture.fake.answers.send_replace(false);
    let (roster, metrics) = (fixture.data.roster.clone(), fixture.data.journal.metrics().clone());
    let comparing =
        tokio::spawn(fixture.gateways.clone().run_reconciliation(roster, metrics, EVERY, fixture.stop.clone()));
    fixture.fake.list_calls.subscribe().wait_for(|asked| *asked == 1).await.unwrap();
    fixture.stop.cancel();
    timeout(Duration::from_millis(10), comparing).await.unwrap().unwrap();
}

/// What operators are shown, while it is there and while it is away.
#[tokio::test]
async fn what_is_shown_of_a_gateway() {
    let mut fixture = ReconcileFixture::new();
    fixture.online(account(1)).await;
    fixture.coming(account(2)).await;
    fixture
        .lists(Ok(vec![seen(1, None, GatewaySessionState::Connected), seen(9, None, GatewaySessionState::Connected)]));
    fixture.compare();
    fixture.record().wait_until(|record| record.last_completed().is_some()).await;
    let shown = |fixture: &ReconcileFixture| {
        fixture.gateways.update_metrics(fixture.data.journal.metrics());
        fixture.data.roster.update_metrics(fixture.data.journal.metrics(), fixture.data.journal.head());
        let views = serde_json::to_value(fixture.gateways.views(&fixture.data.roster, BRIDGE).unwrap()).unwrap();
        views.as_array().unwrap().iter().find(|view| view["name"] == "bridge").unwrap().clone()
    };
    let view = shown(&fixture);
    assert_eq!(
        (&view["state"], &view["isDefault"], &view["says"]),
        (&"up".into(), &true.into(), &"It answers.".into())
    );
    assert_eq!((&view["accounts"]["online"], &view["accounts"]["onlineComing"]), (&1.into(), &1.into()));
    let last = &view["reconciliation"]["last"];
    assert_eq!(
        (&last["sessions"], &last["strangers"], &last["differences"]["notBegun"]),
        (&2.into(), &1.into(), &1.into())
    );
    let metrics = fixture.data.journal.metrics().clone();
    assert_eq!((metrics.gateway_up.with(BRIDGE).get(), metrics.strangers.with(BRIDGE).get()), (1, 1));
    let online = (BRIDGE, crate::metrics::AccountState::Online);
    assert_eq!(metrics.gateway_accounts.with(online).get(), 1);

    fixture.lists(Err("connection refused"));
    for _ in 0..GATEWAY_BREAKER_FAILURES {
        let _away = fixture.fake.list_sessions().await;
    }
    let view = shown(&fixture);
    assert_eq!((&view["state"], &view["calls"]["breaker"]), (&"away".into(), &"open".into()));
    assert!(view["says"].as_str().unwrap().starts_with("It is away: connection refused."), "{view}");
    assert!(view["calls"]["openUntil"].is_string() && view["errors"][0]["what"] == "connection refused", "{view}");
    assert_eq!((metrics.gateway_set_up.with(BRIDGE).get(), metrics.gateway_up.with(BRIDGE).get()), (1, 0));
    assert!(metrics.gateway_last_error.with(BRIDGE).get() > 1e9);
}

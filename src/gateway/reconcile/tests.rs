//! Comparisons on a real journal with real accounts, with a gateway that lists what the test has it list.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, pause, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::compare::RECONCILED;
use super::record::Record;
use crate::actors::{Accounts, Reports, reports};
use crate::domain::{Account, AccountNumber, Command, GatewayKind, OnlineStatus, Outstanding, Reason, Report, Status};
use crate::gateway::bulkhead::Bulkhead;
use crate::gateway::way::{Away, Seen, SeenState, Way};
use crate::gateway::{Gateways, Simulator};
use crate::journal::Origin;
use crate::limits::{GATEWAY_FAILURES, RECONCILE_AGAIN, RECONCILE_APART};
use crate::metrics::{Difference, ReconcileOutcome};
use crate::testkit::fixture::Fixture;
use crate::testkit::sample::{account, content};

const BRIDGE: GatewayKind = GatewayKind::Bridge;
const EVERY: Duration = Duration::from_secs(300);

/// A gateway: what it lists, what it was told, how often it was asked.
struct Fake {
    lists: Mutex<Result<Vec<Seen>, &'static str>>,
    /// While this says so, it answers.
    answers: watch::Sender<bool>,
    asked: watch::Sender<u32>,
    told: mpsc::UnboundedSender<String>,
    bulkhead: Bulkhead,
}

impl Way for Fake {
    fn kind(&self) -> GatewayKind {
        BRIDGE
    }

    fn take_up(&self, account: AccountNumber, _: &Account, owed: &Outstanding, _: Duration) {
        let _unread = self.told.send(format!("{account} {owed:?}"));
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<Seen>, Away>> {
        let listing = async {
            self.asked.send_modify(|asked| *asked += 1);
            self.answers.subscribe().wait_for(|answers| *answers).await.unwrap();
            self.lists.lock().unwrap().clone()
        };
        self.bulkhead.call(listing, |_| true).map(|listed| listed.map_err(|why| Away { why: why.to_string() })).boxed()
    }

    fn close(&self, account: AccountNumber, session: Option<u32>) {
        let _unread = self.told.send(format!("{account} close {session:?}"));
    }

    fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }
}

struct ReconcileFixture {
    data: Fixture,
    accounts: Accounts,
    reports: Reports,
    gateways: Gateways,
    fake: Arc<Fake>,
    told: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
}

impl ReconcileFixture {
    fn new() -> ReconcileFixture {
        let data = Fixture::with(|settings| settings.gateway.routing.default = BRIDGE);
        let (reports, reported) = reports();
        let (sender, told) = mpsc::unbounded_channel();
        let fake = Arc::new(Fake {
            lists: Mutex::new(Ok(Vec::new())),
            answers: watch::Sender::new(true),
            asked: watch::Sender::new(0),
            told: sender,
            bulkhead: Bulkhead::new(BRIDGE, Duration::from_secs(10), 8, 1_000),
        });
        let (simulator, _) = Simulator::new(&data.settings.simulator, data.vault.clone(), reports.clone(), [], |_| 1);
        let gateways = Gateways::new(simulator, vec![fake.clone()], reports.clone());
        let (accounts, inbox) = data.accounts(Arc::new(gateways.clone()), reported);
        let stop = CancellationToken::new();
        tokio::spawn(inbox.run(Vec::new(), stop.clone()));
        ReconcileFixture { data, accounts, reports, gateways, fake, told, stop }
    }

    /// Begins to compare.
    fn compare(&self) {
        let (roster, metrics) = (self.data.roster.clone(), self.data.journal.metrics().clone());
        tokio::spawn(self.gateways.clone().keep_reconciled(roster, metrics, EVERY, self.stop.clone()));
    }

    fn lists(&self, sessions: Result<Vec<Seen>, &'static str>) {
        *self.fake.lists.lock().unwrap() = sessions;
    }

    fn record(&self) -> &Record {
        self.gateways.figures(BRIDGE).unwrap().1
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
        self.reports.settle(BRIDGE, account, Command::Report(report)).await.unwrap().unwrap();
    }

    async fn offline(&mut self, account: AccountNumber) {
        self.online(account).await;
        self.asks(account, Command::Recycle { comes_back: false }).await;
        self.told.recv().await.unwrap();
        let (reason, instance_code) = (Reason::none(), String::new());
        let report = Report::Disconnected { session: None, reason, instance_code };
        self.reports.settle(BRIDGE, account, Command::Report(report)).await.unwrap().unwrap();
    }

    fn state(&self, account: AccountNumber) -> Account {
        self.data.journal.load(account).unwrap().0
    }

    fn stands(&self, account: AccountNumber) -> (Status, OnlineStatus, String) {
        let state = self.state(account);
        (state.status, state.online_status, state.reason.as_str().to_owned())
    }
}

fn seen(number: u64, session: Option<u32>, state: SeenState) -> Seen {
    Seen { account: account(number), session, state, instance_code: String::new() }
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
        seen(2, Some(1), SeenState::Connected),
        seen(4, None, SeenState::Connected),
        seen(5, Some(1), SeenState::Connected),
        seen(6, None, SeenState::Banned { reason: Reason::new("spam") }),
        seen(99, None, SeenState::Connected),
    ]));
    fixture.compare();
    fixture.record().until(|record| record.last().is_some()).await;
    let normal = |online_status, reason: &str| (Status::Normal, online_status, reason.to_owned());
    assert_eq!(fixture.stands(account(1)), normal(OnlineStatus::Offline, RECONCILED));
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
    let last = fixture.record().last().unwrap();
    assert_eq!((last.sessions, last.strangers), (5, 1));
    let found = [Difference::Banned, Difference::Connected, Difference::Disconnected, Difference::NotBegun];
    let found: Vec<_> = found.into_iter().chain([Difference::Unwanted]).map(|difference| (difference, 1)).collect();
    assert_eq!(last.differences, found);
    assert_eq!(fixture.data.journal.metrics().differences.at((BRIDGE, Difference::Unwanted)).get(), 1);
}

/// The list is as of a moment: an account that was asked for something else meanwhile is left to that.
#[tokio::test]
async fn what_happens_meanwhile_is_not_undone() {
    let mut fixture = ReconcileFixture::new();
    fixture.online(account(1)).await;
    fixture.offline(account(2)).await;
    fixture.lists(Ok(vec![seen(2, None, SeenState::Connected)]));
    fixture.fake.answers.send_replace(false);
    fixture.compare();
    fixture.fake.asked.subscribe().wait_for(|asked| *asked == 1).await.unwrap();
    fixture.asks(account(1), Command::Recycle { comes_back: false }).await;
    fixture.coming(account(2)).await;
    let heads = [1, 2].map(|number| fixture.state(account(number)).version);
    fixture.fake.answers.send_replace(true);
    fixture.record().until(|record| record.last().is_some()).await;
    assert_eq!([1, 2].map(|number| fixture.state(account(number)).version), heads);
    assert_eq!(fixture.record().last().unwrap().differences, []);
    while let Ok(told) = fixture.told.try_recv() {
        assert!(!told.contains("close"), "the session that is wanted again is not closed: {told}");
    }
}

#[tokio::test]
async fn a_session_from_before_makes_room_for_the_one_that_is_wanted() {
    let mut fixture = ReconcileFixture::new();
    fixture.offline(account(1)).await;
    fixture.coming(account(1)).await;
    fixture.lists(Ok(vec![seen(1, Some(1), SeenState::Connected)]));
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
    assert!((10..40).contains(&failure.failed), "{failure:?}");
    let counted = |outcome| fixture.data.journal.metrics().reconciliations.at((BRIDGE, outcome)).get();
    assert_eq!(counted(ReconcileOutcome::Failed), u64::from(failure.failed));
    let asked = *fixture.fake.asked.borrow();
    assert!(asked <= failure.failed, "{asked} calls");
    fixture.lists(Ok(vec![seen(1, None, SeenState::Connected)]));
    fixture.record().until(|record| record.last().is_some()).await;
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
    let mut asked = fixture.fake.asked.subscribe();
    asked.wait_for(|asked| *asked == 1).await.unwrap();
    let begun = Instant::now();
    asked.wait_for(|asked| *asked == 2).await.unwrap();
    let waited = begun.elapsed();
    assert!(waited >= EVERY * 89 / 100 && waited <= EVERY + RECONCILE_APART, "{waited:?}");
    sleep(RECONCILE_APART * 2).await;
    let begun = Instant::now();
    for _ in 0..100 {
        fixture.gateways.look_again(BRIDGE);
    }
    asked.wait_for(|asked| *asked == 3).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(10), "at once: {:?}", begun.elapsed());
    fixture.gateways.look_again(BRIDGE);
    fixture.gateways.look_again(BRIDGE);
    asked.wait_for(|asked| *asked == 4).await.unwrap();
    assert!(begun.elapsed() >= RECONCILE_APART, "not at once again: {:?}", begun.elapsed());
    sleep(EVERY / 2).await;
    assert_eq!(*fixture.fake.asked.borrow(), 4, "what was asked for twice is done once");
}

/// Somebody else found it away, and then back: that is reason enough.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_back_is_asked_at_once() {
    let fixture = ReconcileFixture::new();
    fixture.compare();
    fixture.record().until(|record| record.last().is_some()).await;
    for _ in 0..GATEWAY_FAILURES {
        fixture.fake.bulkhead.call(async { Err::<(), _>("away") }, |_| true).await.unwrap_err();
    }
    sleep(RECONCILE_AGAIN).await;
    assert_eq!(*fixture.fake.asked.borrow(), 1);
    let begun = Instant::now();
    fixture.fake.bulkhead.call(async { Ok::<_, &str>(()) }, |_| true).await.unwrap();
    fixture.fake.asked.subscribe().wait_for(|asked| *asked == 2).await.unwrap();
    assert!(begun.elapsed() < RECONCILE_APART, "{:?}", begun.elapsed());
}

/// A drain waits for no gateway.
#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_list() {
    let fixture = ReconcileFixture::new();
    fixture.fake.answers.send_replace(false);
    let (roster, metrics) = (fixture.data.roster.clone(), fixture.data.journal.metrics().clone());
    let comparing =
        tokio::spawn(fixture.gateways.clone().keep_reconciled(roster, metrics, EVERY, fixture.stop.clone()));
    fixture.fake.asked.subscribe().wait_for(|asked| *asked == 1).await.unwrap();
    fixture.stop.cancel();
    timeout(Duration::from_millis(10), comparing).await.unwrap().unwrap();
}

/// What operators are shown, while it is there and while it is away.
#[tokio::test]
async fn what_is_shown_of_a_gateway() {
    let mut fixture = ReconcileFixture::new();
    fixture.online(account(1)).await;
    fixture.coming(account(2)).await;
    fixture.lists(Ok(vec![seen(1, None, SeenState::Connected), seen(9, None, SeenState::Connected)]));
    fixture.compare();
    fixture.record().until(|record| record.last().is_some()).await;
    let shown = |fixture: &ReconcileFixture| {
        fixture.gateways.report(fixture.data.journal.metrics());
        fixture.data.roster.report(fixture.data.journal.metrics(), fixture.data.journal.head());
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
    assert_eq!((metrics.gateway_up.at(BRIDGE).get(), metrics.strangers.at(BRIDGE).get()), (1, 1));
    let online = (BRIDGE, crate::metrics::AccountState::Online);
    assert_eq!(metrics.gateway_accounts.at(online).get(), 1);

    fixture.lists(Err("connection refused"));
    for _ in 0..GATEWAY_FAILURES {
        let _away = fixture.fake.sessions().await;
    }
    let view = shown(&fixture);
    assert_eq!((&view["state"], &view["calls"]["breaker"]), (&"away".into(), &"open".into()));
    assert!(view["says"].as_str().unwrap().starts_with("It is away: connection refused."), "{view}");
    assert!(view["calls"]["openUntil"].is_string() && view["errors"][0]["what"] == "connection refused", "{view}");
    assert_eq!((metrics.gateway_set_up.at(BRIDGE).get(), metrics.gateway_up.at(BRIDGE).get()), (1, 0));
    assert!(metrics.gateway_last_error.at(BRIDGE).get() > 1e9);
}

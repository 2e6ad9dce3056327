//! The roster's guarantees: it is the fold of all events, as plain JSON and as gzip, and a response never changes.

use std::collections::HashMap;
use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::roster_checkpoint::label_bytes;
use super::*;
use crate::domain::{
    Account, AccountNumber, Event, GatewayKind, Labels, OnlineStatus, ProviderCall, Reason, SealedBytes, Status,
    Timestamp,
};
use crate::journal::{AppendRequest, Journal, JournalEvent, JournalRecord, Origin, Principal, RequestId, StreamId};
use crate::limits::ROSTER_CHUNK_ROWS;
use crate::metrics::{AccountState, Metrics, Projection};
use crate::store::StoreId;
use crate::testkit::fixture::open_store;
use crate::testkit::sample::{self, content};

const HEAD: &str = r#"{"data":"#;
const TAIL: &str = r#","code":200,"message":"success"}"#;

/// The reference model: folds every account from all its events.
#[derive(Default)]
struct RosterModel {
    order: Vec<AccountNumber>,
    accounts: HashMap<AccountNumber, Account>,
    /// The version of each account's last event.
    versions: HashMap<AccountNumber, u64>,
    last_task: u32,
}

impl RosterModel {
    fn apply(&mut self, record: &JournalRecord) {
        let (number, event) = record.account_event().unwrap();
        let account = self.accounts.entry(number).or_insert_with(|| {
            self.order.push(number);
            Account::initial()
        });
        account.evolve(event);
        self.versions.insert(number, record.version);
        if let Event::RegistrationRequested { task, .. } = event {
            self.last_task = self.last_task.max(task.get());
        }
    }

    fn select(&self, is_selected: impl Fn(&Account) -> bool) -> Vec<AccountNumber> {
        self.order.iter().copied().filter(|number| is_selected(&self.accounts[number])).collect()
    }

    fn served_by(&self, gateway: GatewayKind) -> Vec<ServedAccount> {
        let served = self.accounts.iter().filter(|(_, account)| account.gateway == gateway);
        let mut served: Vec<ServedAccount> = served
            .map(|(number, account)| ServedAccount {
                account: *number,
                status: account.status,
                online_status: account.online_status,
                may_reconnect: account.is_dropped(),
                version: self.versions[number],
            })
            .collect();
        served.sort_by_key(|served| served.account);
        served
    }

    fn json(&self) -> Value {
        let row = |number: &AccountNumber| {
            let Account { status, online_status, .. } = self.accounts[number];
            json!({"whatsApp": number.to_string(), "status": status.code(), "onlineStatus": online_status.code()})
        };
        json!({"data": self.order.iter().map(row).collect::<Vec<_>>(), "code": 200, "message": "success"})
    }
}

fn account(number: &str) -> AccountNumber {
    number.parse().unwrap()
}

fn imported() -> Event {
    Event::AccountImported { content: content(0), reason: Reason::none() }
}

fn registration(task: u32) -> Event {
    sample::registration_requested(task, Timestamp(0))
}

/// The label `team`, or no label.
fn labels(team: &str) -> Labels {
    Labels::new((!team.is_empty()).then_some(("team", team))).unwrap()
}

fn labels_changed(team: &str) -> Event {
    Event::LabelsChanged { labels: labels(team), reason: Reason::none() }
}

fn any_event() -> impl Strategy<Value = Event> {
    let no_instance = String::new;
    prop_oneof![
        Just(imported()),
        Just(Event::ContentReplaced { content: content(0), reason: Reason::none() }),
        Just(Event::OnlineRequested { reason: Reason::none() }),
        Just(Event::CameOnline { instance_code: no_instance() }),
        Just(Event::RecycleRequested { reason: Reason::none() }),
        Just(Event::WentOffline { reason: Reason::none(), instance_code: no_instance() }),
        Just(Event::Banned { reason: Reason::none(), instance_code: no_instance() }),
        Just(Event::BanLifted),
        (1_u32..1_000).prop_map(registration),
        Just(Event::CodeSent),
        Just(Event::CodeSubmitted { code: SealedBytes(Box::default()), reason: Reason::none() }),
        Just(Event::Registered),
        Just(Event::SecretsErased { reason: Reason::new("asked to") }),
        Just(Event::GatewayAssigned { gateway: GatewayKind::Bridge }),
        Just(Event::GatewayAssigned { gateway: GatewayKind::Simulator }),
        Just(Event::ProviderCalled { call: ProviderCall::RequestCode, at: Timestamp(0) }),
        prop_oneof![Just(""), Just("care"), Just("sales")].prop_map(labels_changed),
        (0_u32..5, any::<bool>()).prop_map(|(attempt, still_waiting)| Event::RegistrationFailed {
            reason: Reason::none(),
            attempt,
            still_waiting,
        }),
    ]
}

/// Events with positions from `first` on.
fn records(first: u64, events: impl IntoIterator<Item = (AccountNumber, Event)>) -> Vec<JournalRecord> {
    let record = |((account, event), position): ((AccountNumber, Event), u64)| JournalRecord {
        position,
        stream: StreamId::Account(account),
        version: position,
        previous: 0,
        at: Timestamp(1_000_000 + position.cast_signed()),
        origin: ORIGIN,
        schema: event.definition().schema,
        event: JournalEvent::Account(event),
    };
    events.into_iter().zip(first..).map(record).collect()
}

const ORIGIN: Origin = Origin { principal: Principal::Service, request: RequestId(0) };

/// `count` accounts, with numbers of all lengths.
fn account_numbers(count: usize) -> Vec<AccountNumber> {
    (0..count as u64)
        .map(|index| AccountNumber::from_stored(10_u64.pow(6 + (index % 9) as u32) + index).unwrap())
        .collect()
}

fn text(pieces: &[Bytes]) -> String {
    String::from_utf8(pieces.concat()).unwrap()
}

/// The whole response. Checks that the gzip stream has the same text.
fn render(list: &AccountList) -> String {
    let plain = text(&list.render(HEAD, TAIL));
    let stream = list.render_gzip(HEAD, TAIL).concat();
    let mut decoded = String::new();
    let mut decoder = GzDecoder::new(stream.as_slice());
    decoder.read_to_string(&mut decoded).unwrap();
    assert_eq!(decoded, plain, "gzip differs");
    assert!(decoder.into_inner().is_empty(), "there is data after the gzip stream");
    plain
}

#[test]
fn a_small_list_has_the_contracts_form() {
    let roster = Roster::new_empty(StoreId(7));
    let numbers = ["861821371272", "861821726232", "8218132718231", "1234567", "123456789012345"].map(account);
    let events = [
        (numbers[0], imported()),
        (numbers[1], imported()),
        (numbers[0], Event::OnlineRequested { reason: Reason::none() }),
        (numbers[2], registration(12)),
        (numbers[3], Event::CameOnline { instance_code: String::new() }),
        (numbers[4], Event::Banned { reason: Reason::none(), instance_code: String::new() }),
    ];
    roster.apply(&records(1, events));
    let lists = [roster.list(), roster.list_one(numbers[0]), roster.list_one(account("861821726231"))];
    let rendered = lists.map(|list| format!("{}\n{}\n", list.etag(), render(&list))).join("\n");
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, { insta::assert_snapshot!("roster", rendered) });
}

proptest! {
    /// Arbitrary events, including sequences that `decide` never produces.
    #[test]
    fn roster_is_the_fold_of_all_events(events in proptest::collection::vec((0_usize..6, any_event()), 0..40)) {
        let accounts = account_numbers(6);
        let (roster, mut model) = (Roster::new_empty(StoreId(7)), RosterModel::default());
        let mut before = roster.list();
        for record in records(1, events.into_iter().map(|(index, event)| (accounts[index], event))) {
            let held = render(&before);
            roster.apply(std::slice::from_ref(&record));
            roster.apply(std::slice::from_ref(&record)); // Applying it again changes nothing.
            model.apply(&record);
            let now = roster.list();
            prop_assert_eq!(render(&before), held.as_str(), "a list changed after it was handed out");
            prop_assert_eq!(serde_json::from_str::<Value>(&render(&now)).unwrap(), model.json());
            prop_assert_eq!(before.etag() == now.etag(), held == render(&now), "the tag does not tell the lists apart");
            before = now;
        }
        let metrics = Metrics::default();
        roster.update_metrics(&metrics, roster.position() + 3);
        for state in AccountState::ALL {
            let listed = model.select(|it| match state {
                AccountState::Banned => it.status == Status::Banned,
                AccountState::OnlineComing => it.online_status == OnlineStatus::OnlineComing,
                AccountState::Online => it.online_status == OnlineStatus::Online,
                AccountState::OfflineComing => it.online_status == OnlineStatus::OfflineComing,
                AccountState::Offline => it.online_status == OnlineStatus::Offline && it.status == Status::Normal,
            });
            prop_assert_eq!(metrics.accounts.with(*state).get(), listed.len() as u64, "{:?}", state);
            for gateway in GatewayKind::ALL {
                let served = listed.iter().filter(|number| model.accounts[number].gateway == gateway).count() as u64;
                let counted = metrics.gateway_accounts.with((gateway, *state)).get();
                prop_assert_eq!(counted, served, "{:?} {:?}", gateway, state);
            }
        }
        prop_assert_eq!(metrics.projection_lag.with(Projection::Roster).get(), 3);
        prop_assert_eq!(roster.accounts_with_pending_effects(), model.select(|it| it.has_pending_work() || it.is_dropped()));
        prop_assert_eq!(roster.online_at_gateway(GatewayKind::Simulator), model.select(|it| {
            it.online_status == OnlineStatus::Online && it.gateway == GatewayKind::Simulator
        }));
        let at_the_bridge: Vec<_> = roster.accounts_of_gateway(GatewayKind::Bridge);
        let expected = model.served_by(GatewayKind::Bridge);
        prop_assert_eq!(at_the_bridge, expected.clone());
        let one_by_one = expected.iter().filter_map(|served| roster.account_at_gateway(served.account)).map(|(_, served)| served);
        prop_assert_eq!(one_by_one.collect::<Vec<_>>(), expected);
        prop_assert_eq!(roster.accounts_of_gateway(GatewayKind::CloudApi), vec![]);
        prop_assert_eq!(roster.desired_online(false), model.select(|account| account.online_status.is_desired_online()));
        prop_assert_eq!(roster.last_task(), model.last_task);
        for account in accounts {
            prop_assert_eq!(roster.labels_of(account), model.accounts.get(&account).map_or(Labels::NONE, |it| it.labels.clone()));
            let all = model.json();
            let of_all = all["data"].as_array().unwrap().iter();
            let listed: Vec<_> = of_all.filter(|row| row["whatsApp"] == account.to_string()).cloned().collect();
            let one: Value = serde_json::from_str(&render(&roster.list_one(account))).unwrap();
            prop_assert_eq!(&one["data"], &Value::Array(listed));
        }
    }
}

#[test]
fn an_event_changes_one_chunk_and_responses_share_the_others() {
    let accounts = account_numbers(3 * ROSTER_CHUNK_ROWS + 1);
    let (roster, mut model) = (Roster::new_empty(StoreId(7)), RosterModel::default());
    let follow = |model: &mut RosterModel, events: Vec<(AccountNumber, Event)>| {
        let records = records(roster.position() + 1, events);
        roster.apply(&records);
        records.iter().for_each(|record| model.apply(record));
        serde_json::from_str::<Value>(&render(&roster.list())).unwrap() == model.json()
    };
    assert!(follow(&mut model, accounts.iter().map(|account| (*account, imported())).collect()));

    let (held, again) = (roster.list(), roster.list());
    let text_before = render(&held);
    let (pieces, same) = (held.render(HEAD, TAIL), again.render(HEAD, TAIL));
    assert!(
        pieces.iter().zip(&same).all(|(one, other)| one.as_ptr() == other.as_ptr()),
        "two responses share all bytes"
    );

    let changed = accounts[ROSTER_CHUNK_ROWS + 5];
    assert!(follow(&mut model, vec![(changed, Event::OnlineRequested { reason: Reason::none() })]));
    let after = roster.list().render(HEAD, TAIL);
    let differing = |pieces: &[Bytes], others: &[Bytes]| -> Vec<usize> {
        (0..pieces.len()).filter(|at| pieces[*at].as_ptr() != others[*at].as_ptr()).collect()
    };
    assert_eq!(differing(&after, &pieces), [3], "after head, bracket and the first chunk comes the one that changed");
    assert_eq!(render(&held), text_before, "a held list does not change");
    assert_eq!(text(&pieces), text_before);

    // A chunk that is not shared is changed in place.
    drop((held, again, pieces, same));
    assert!(follow(&mut model, vec![(changed, Event::CameOnline { instance_code: String::new() })]));
    assert_ne!(text(&after), text(&roster.list().render(HEAD, TAIL)));
    drop(after);
    let address = roster.list().render(HEAD, TAIL)[3].as_ptr();
    assert!(follow(&mut model, vec![(changed, Event::RecycleRequested { reason: Reason::none() })]));
    assert_eq!(roster.list().render(HEAD, TAIL)[3].as_ptr(), address);
}

#[test]
fn a_checkpoint_restores_everything_and_a_damaged_one_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_store(directory.path());
    let roster = Roster::open(&store);
    let accounts = account_numbers(2 * ROSTER_CHUNK_ROWS + 3);
    roster.apply(&records(1, accounts.iter().map(|account| (*account, imported()))));
    let assigned = Event::GatewayAssigned { gateway: GatewayKind::Bridge };
    let later = [
        (accounts[9], assigned),
        (accounts[9], Event::OnlineRequested { reason: Reason::none() }),
        (accounts[3], registration(77)),
        (accounts[4], registration(5)),
        (accounts[5], labels_changed("care")),
        (accounts[6], labels_changed("care")),
        (accounts[6], labels_changed("")),
    ];
    roster.apply(&records(roster.position() + 1, later));
    roster.save_checkpoint(&store).unwrap();

    let facts = |roster: &Roster| {
        let list = roster.list();
        let counts = GatewayKind::ALL.map(|gateway| roster.counts_of_gateway(gateway));
        (
            list.etag(),
            render(&list),
            roster.position(),
            roster.last_task(),
            roster.accounts_with_pending_effects(),
            counts,
            [4, 5, 6].map(|index| roster.labels_of(accounts[index])),
        )
    };
    let back = Roster::open(&store);
    assert!(facts(&back) == facts(&roster), "the checkpoint is not what was saved");
    assert_eq!(back.accounts_with_pending_effects(), [accounts[3], accounts[4], accounts[9]]);
    let next = records(back.position() + 1, [(accounts[4], Event::CodeSent), (account("861821726232"), imported())]);
    for roster in [&back, &roster] {
        roster.apply(&next);
    }
    assert!(facts(&back) == facts(&roster), "later events lead to different states");

    let bytes = store.load_cache("roster").unwrap();
    let rows_end = bytes.len() - label_bytes(&bytes).unwrap();
    let (rows, labels) = bytes.split_at(rows_end);
    let damages: [(&str, Vec<u8>); 7] = [
        ("empty", vec![]),
        ("another format", [&[1], &bytes[1..]].concat()),
        ("another store", [&bytes[..8], &[!bytes[8]], &bytes[9..]].concat()),
        ("half a word", bytes[..bytes.len() - 4].to_vec()),
        ("no row", [rows, &[0; 8], labels].concat()),
        ("a row twice", [rows, &rows[rows_end - 8..], labels].concat()),
        ("no label", [&bytes[..], &[0]].concat()),
    ];
    for (damage, bytes) in damages {
        store.save_cache("roster", &bytes).unwrap();
        let roster = Roster::open(&store);
        assert_eq!((roster.position(), render(&roster.list())), (0, format!("{HEAD}[]{TAIL}")), "{damage}");
    }
}

/// Webhooks have the labels as of their event.
#[test]
fn labels_are_known_as_of_an_event_or_left_to_the_history() {
    let (roster, number) = (Roster::new_empty(StoreId(7)), account("861821726232"));
    let events = [imported(), labels_changed("care"), Event::BanLifted, labels_changed(""), Event::BanLifted];
    let records = records(1, events.map(|event| (number, event)));
    roster.apply(&records[..4]);
    let (none, care) = (Labels::NONE, labels("care"));
    let known: Vec<_> = records.iter().map(|record| roster.labels_after(number, record)).collect();
    assert_eq!(known, [Some(none.clone()), None, None, Some(none.clone()), None], "the last one is not applied yet");
    assert_eq!(roster.labels_after(account("861821726231"), &records[0]), Some(none));
    let earlier = Roster::new_empty(StoreId(7));
    earlier.apply(&records[..3]);
    assert_eq!(earlier.labels_after(number, &records[2]), Some(care));
}

#[test]
fn roster_catches_up_with_the_journal_and_then_follows_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_store(directory.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let number = account("861821726232");
    let append = |journal: &Journal, expected_version, events| {
        let append = AppendRequest { account: number, expected_version, events, origin: ORIGIN, at: Timestamp(0) };
        runtime.block_on(journal.append(append)).unwrap();
    };
    let start = || Roster::open_with_journal(&store).unwrap();

    let (roster, journal) = start();
    append(&journal, 0, vec![imported(), Event::OnlineRequested { reason: Reason::none() }]);
    assert_eq!(
        (roster.position(), roster.desired_online(false)),
        (2, vec![number]),
        "it is there when the append returns"
    );
    roster.save_checkpoint(&store).unwrap();
    append(&journal, 2, vec![Event::CameOnline { instance_code: String::new() }]);
    let before = render(&roster.list());
    drop(journal);

    let (roster, journal) = start();
    assert_eq!((roster.position(), render(&roster.list())), (3, before), "the checkpoint and the tail");
    append(&journal, 3, vec![Event::RecycleRequested { reason: Reason::none() }]);
    assert_eq!((roster.position(), roster.online_at_gateway(GatewayKind::Simulator)), (4, vec![]));

    // A checkpoint ahead of the journal belongs to another history.
    roster.apply(&records(5, [(number, Event::OnlineRequested { reason: Reason::none() })]));
    roster.catch_up(&journal).unwrap();
    assert_eq!((roster.position(), roster.desired_online(false)), (4, vec![]));
}

//! Finds where a gateway's sessions differ from the accounts that it serves, and how to repair it. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::domain::{AccountNumber, OnlineStatus, Reason, Report, Status};
use crate::gateway::remote_gateway::{GatewaySession, GatewaySessionState};
use crate::metrics::Difference;
use crate::projections::ServedAccount;

/// The reason that an account gets when reconciliation found its gateway's session closed.
pub(crate) const RECONCILED_REASON: &str = "reconciled";

/// The result of a comparison.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Comparison {
    /// The differences, by account.
    pub(crate) discrepancies: Vec<Discrepancy>,
    /// Accounts that have a session at this gateway, but that do not exist or are not routed to it.
    pub(crate) unknown_sessions: Vec<AccountNumber>,
}

/// One account whose session differs from its reported state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Discrepancy {
    /// The account.
    pub(crate) account: AccountNumber,
    /// The version that was compared. The discrepancy is void once the account has a later version.
    pub(crate) as_of: u64,
    /// The kind of difference.
    pub(crate) difference: Difference,
    /// The repair actions, in this order.
    pub(crate) actions: Vec<RepairAction>,
}

/// An action that repairs a difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum RepairAction {
    /// Reports to the account what its gateway sees.
    Report(Report),
    /// Closes an unwanted session at the gateway.
    CloseSession {
        /// The session number, where the gateway knows it.
        session: Option<u32>,
    },
    /// Dispatches the account's pending effects again.
    Redispatch,
}

/// Compares the accounts that a gateway serves with all its sessions. The accounts were read before the sessions.
pub(crate) fn compare(closes_sessions: bool, accounts: &[ServedAccount], sessions: &[GatewaySession]) -> Comparison {
    let mut by_account: HashMap<AccountNumber, &GatewaySession> = HashMap::with_capacity(sessions.len());
    for session in sessions {
        match by_account.entry(session.account) {
            Entry::Vacant(entry) => {
                entry.insert(session);
            }
            // An account has one session. If several are listed, the one with the highest rank counts.
            Entry::Occupied(mut entry) if rank(session) > rank(entry.get()) => {
                entry.insert(session);
            }
            Entry::Occupied(_) => {}
        }
    }
    let find =
        |account: &ServedAccount| find_discrepancy(closes_sessions, account, by_account.remove(&account.account));
    let discrepancies = accounts.iter().filter_map(find).collect();
    let mut unknown_sessions: Vec<AccountNumber> = by_account.into_keys().collect();
    unknown_sessions.sort_unstable();
    Comparison { discrepancies, unknown_sessions }
}

fn rank(session: &GatewaySession) -> (u8, Option<u32>) {
    let state = match session.state {
        GatewaySessionState::Connecting => 0,
        GatewaySessionState::Connected => 1,
        GatewaySessionState::Banned { .. } => 2,
    };
    (state, session.session)
}

fn find_discrepancy(
    closes_sessions: bool,
    account: &ServedAccount,
    session: Option<&GatewaySession>,
) -> Option<Discrepancy> {
    let (difference, actions) = compare_account(closes_sessions, account, session)?;
    Some(Discrepancy { account: account.account, as_of: account.version, difference, actions })
}

fn compare_account(
    closes_sessions: bool,
    account: &ServedAccount,
    session: Option<&GatewaySession>,
) -> Option<(Difference, Vec<RepairAction>)> {
    let instance_code = session.map_or_else(String::new, |session| session.instance_code.clone());
    let state = session.map(|session| &session.state);
    let session = session.and_then(|session| session.session);
    match (account.status, account.online_status, state) {
        (Status::Normal, _, Some(GatewaySessionState::Banned { reason })) => {
            let banned = Report::Banned { reason: reason.clone(), instance_code };
            Some((Difference::Banned, vec![RepairAction::Report(banned)]))
        }
        (Status::Banned, _, Some(GatewaySessionState::Banned { .. }) | None) => None,
        (Status::Banned, _, Some(GatewaySessionState::Connected)) => {
            let lifted = RepairAction::Report(Report::BanLifted);
            Some((Difference::BanLifted, [lifted].into_iter().chain(close_action(closes_sessions, session)).collect()))
        }
        (Status::Normal, OnlineStatus::Online | OnlineStatus::OfflineComing, None) => {
            // The gateway has no session of the account, so the report names no session either.
            let disconnected =
                Report::Disconnected { session: None, reason: Reason::new(RECONCILED_REASON), instance_code };
            Some((Difference::Disconnected, vec![RepairAction::Report(disconnected)]))
        }
        // A session that reconnects reports the outcome itself.
        (
            Status::Normal,
            OnlineStatus::Online,
            Some(GatewaySessionState::Connected | GatewaySessionState::Connecting),
        ) => None,
        (Status::Normal, OnlineStatus::OnlineComing, Some(GatewaySessionState::Connected)) => {
            Some((Difference::Connected, vec![RepairAction::Report(Report::Connected { session, instance_code })]))
        }
        (Status::Normal, OnlineStatus::OnlineComing, Some(GatewaySessionState::Connecting)) => None,
        (Status::Normal, OnlineStatus::OnlineComing, None) => {
            Some((Difference::NotBegun, vec![RepairAction::Redispatch]))
        }
        // The pending disconnect is dispatched again. The listed session may be an older one, so it is closed as well.
        (
            Status::Normal,
            OnlineStatus::OfflineComing,
            Some(GatewaySessionState::Connected | GatewaySessionState::Connecting),
        ) => Some((
            Difference::Unwanted,
            close_action(closes_sessions, session).into_iter().chain([RepairAction::Redispatch]).collect(),
        )),
        // A recycled account stays offline. A dropped account stays offline until a reconnect opens a new session.
        (
            Status::Normal,
            OnlineStatus::Offline,
            Some(GatewaySessionState::Connected | GatewaySessionState::Connecting),
        )
        | (Status::Banned, _, Some(GatewaySessionState::Connecting)) => {
            close_action(closes_sessions, session).map(|close| (Difference::Unwanted, vec![close]))
        }
        (Status::Normal, OnlineStatus::Offline, None) => None,
    }
}

/// The action that closes a session; `None` at a gateway that leaves it open.
fn close_action(closes_sessions: bool, session: Option<u32>) -> Option<RepairAction> {
    closes_sessions.then_some(RepairAction::CloseSession { session })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        Account, Command, DecisionContext, Event, GatewayChoice, GatewayKind, GatewayOffer, GatewayOffers,
        PendingEffect, Reason, Timestamp, decide,
    };
    use crate::testkit::sample::{account as number, content};

    const REPORTED_STATES: [(Status, OnlineStatus); 5] = [
        (Status::Normal, OnlineStatus::OnlineComing),
        (Status::Normal, OnlineStatus::Online),
        (Status::Normal, OnlineStatus::OfflineComing),
        (Status::Normal, OnlineStatus::Offline),
        (Status::Banned, OnlineStatus::Offline),
    ];

    fn listed(account: AccountNumber, state: usize, session: Option<u32>) -> Option<GatewaySession> {
        let state = match state {
            0 => return None,
            1 => GatewaySessionState::Connecting,
            2 => GatewaySessionState::Connected,
            _ => GatewaySessionState::Banned { reason: Reason::new("spam") },
        };
        Some(GatewaySession { account, session, state, instance_code: "I-3".to_owned() })
    }

    /// Every combination of reported state and listed session.
    #[test]
    fn every_combination() {
        let (account, version) = (number(1), 7);
        let mut text = String::new();
        for (gateway, closes_sessions) in [("bridge", true), ("cloud_api", false)] {
            for (status, online_status) in REPORTED_STATES {
                for (state, word) in ["not listed", "connecting", "connected", "banned"].into_iter().enumerate() {
                    let served = ServedAccount { account, status, online_status, may_reconnect: false, version };
                    let Comparison { discrepancies, unknown_sessions } =
                        compare(closes_sessions, &[served], listed(account, state, Some(3)).as_slice());
                    assert!(unknown_sessions.is_empty());
                    let found =
                        discrepancies.iter().map(|Discrepancy { account: found, as_of, difference, actions }| {
                            assert_eq!((*found, *as_of), (account, version));
                            format!("{}: {actions:?}", difference.label())
                        });
                    let found = found.collect::<Vec<_>>().join("; ");
                    let found = if found.is_empty() { "nothing".to_owned() } else { found };
                    let reported = format!("{} {}", status.name(), online_status.name());
                    text += &format!("{gateway:10} {reported:21} {word:11} {found}\n");
                }
            }
        }
        let unknown_sessions = [number(5), number(2)].map(|account| listed(account, 2, None).unwrap());
        text += &format!("strangers: {:?}\n", compare(true, &[], &unknown_sessions));
        insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("reconcile_table", text);
        });
    }

    /// An account in the state `REPORTED_STATES[index]`.
    fn account_in(index: usize) -> Account {
        let instance_code = String::new();
        let first = [
            Event::AccountImported { content: content(1), reason: Reason::none() },
            Event::GatewayAssigned { gateway: GatewayKind::Bridge },
            Event::OnlineRequested { reason: Reason::none() },
        ];
        let last = match index {
            0 => vec![],
            1 => vec![Event::CameOnline { instance_code }],
            2 => vec![Event::RecycleRequested { reason: Reason::none() }],
            3 => vec![Event::WentOffline { reason: Reason::none(), instance_code }],
            _ => vec![Event::Banned { reason: Reason::none(), instance_code }],
        };
        let mut account = Account::initial();
        first.iter().chain(&last).for_each(|event| account.evolve(event));
        assert_eq!((account.status, account.online_status), REPORTED_STATES[index]);
        account
    }

    fn served_accounts(accounts: &BTreeMap<AccountNumber, Account>) -> Vec<ServedAccount> {
        let row = |(account, state): (&AccountNumber, &Account)| ServedAccount {
            account: *account,
            status: state.status,
            online_status: state.online_status,
            may_reconnect: state.is_dropped(),
            version: state.version,
        };
        accounts.iter().map(row).collect()
    }

    fn apply_command(account: &mut Account, command: &Command) -> usize {
        let offers = GatewayOffers::new(|_| &GatewayOffer::EVERYTHING);
        let (now, choice) = (Timestamp(0), GatewayChoice::default());
        let context = DecisionContext { now, choice, offers: &offers, lost_numbers: 0 };
        let events = decide(account, command, context).unwrap();
        events.iter().for_each(|event| account.evolve(event));
        events.len()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        /// After the repair another comparison finds no difference.
        #[test]
        fn one_repair_is_enough(
            each in prop::collection::vec((0..5_usize, 0..4_usize, any::<bool>()), 1..20),
            unknown_sessions in 0..5_u64,
            closes_sessions in any::<bool>(),
        ) {
            let (mut accounts, mut sessions) = (BTreeMap::new(), BTreeMap::new());
            for (nth, (reported_state, state, names_session)) in each.into_iter().enumerate() {
                let account = number(nth as u64);
                accounts.insert(account, account_in(reported_state));
                sessions.extend(listed(account, state, names_session.then_some(1)).map(|session| (account, session)));
            }
            for unknown in 100..100 + unknown_sessions {
                sessions.extend(listed(number(unknown), 2, None).map(|session| (number(unknown), session)));
            }
            let list = |sessions: &BTreeMap<_, GatewaySession>| sessions.values().cloned().collect::<Vec<_>>();
            for Discrepancy { account, mut as_of, actions, .. } in
                compare(closes_sessions, &served_accounts(&accounts), &list(&sessions)).discrepancies
            {
                let state = accounts.get_mut(&account).unwrap();
                prop_assert!(!actions.is_empty());
                for action in actions {
                    match action {
                        RepairAction::Report(report) => {
                            prop_assert_eq!(apply_command(state, &Command::Reconcile { report, as_of }), 1);
                            as_of += 1;
                        }
                        RepairAction::CloseSession { .. } => drop(sessions.remove(&account)),
                        RepairAction::Redispatch => {
                            let effects = state.pending_effects();
                            prop_assert!(!effects.is_empty(), "there is something to offer");
                            match effects[0] {
                                PendingEffect::Connect { session } => {
                                    sessions.extend(listed(account, 1, Some(session)).map(|session| (account, session)));
                                }
                                PendingEffect::Disconnect { session } => {
                                    let (reason, instance_code) = (Reason::none(), String::new());
                                    let closed = Report::Disconnected { session: Some(session), reason, instance_code };
                                    apply_command(state, &Command::Report(closed));
                                }
                                PendingEffect::RequestCode { .. } | PendingEffect::SubmitCode { .. } => {}
                            }
                        }
                    }
                }
            }
            let again = compare(closes_sessions, &served_accounts(&accounts), &list(&sessions));
            prop_assert_eq!(&again.discrepancies, &vec![]);
            prop_assert_eq!(again.unknown_sessions.len() as u64, unknown_sessions);
        }
    }
}

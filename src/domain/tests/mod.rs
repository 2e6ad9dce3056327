//! Tests of the rules: as scenarios, as a table, and with commands in any order.
//!
//! | file | what it does |
//! |---|---|
//! | `language` | events and commands as words, and back |
//! | `scenarios` | the outcome of a command after given events |
//! | `state_table` | every command in every state, in one golden file |
//! | `properties` | properties that hold for all commands in any order |
//! | `event_definitions` | the table of event types agrees with what events do |
//! | `numbers` | account numbers and calling codes |
//! | `number_forms` | numbers that have two forms |

mod event_definitions;
mod language;
mod number_forms;
mod numbers;
mod properties;
mod scenarios;
mod state_table;

use super::*;
use language::{command, event, show};

/// The state after `given`: events as words, separated by commas.
fn account_after(given: &str) -> Account {
    let mut account = Account::initial();
    given.split(',').map(str::trim).filter(|words| !words.is_empty()).for_each(|words| account.evolve(&event(words)));
    account
}

/// The outcome of `words` in `state`: a rejection, nothing, or each event with its notification; then the state.
fn format_outcome(state: &Account, words: &str, context: DecisionContext<'_>) -> String {
    let events = match decide(state, &command(words), context) {
        Err(refusal) => return format!("refused: {refusal}"),
        Ok(events) if events.is_empty() => return "nothing".to_owned(),
        Ok(events) => events,
    };
    let mut after = state.clone();
    events.iter().for_each(|event| after.evolve(event));
    let notified: Vec<String> =
        events.iter().map(|event| format!("{}{}", show(event), format_notification(event))).collect();
    format!("{} → {}", notified.join(", "), format_state(&after))
}

/// One gateway is as limited as Meta's; the others offer everything.
fn offers() -> GatewayOffers {
    const LIMITED: GatewayOffer = GatewayOffer {
        title: "the Cloud API",
        serves_personal_accounts: false,
        verify_types: &[VerifyType::Sms, VerifyType::Voice],
    };
    GatewayOffers::new(|kind| if kind == GatewayKind::CloudApi { &LIMITED } else { &GatewayOffer::EVERYTHING })
}

/// The notification of an event, in brackets.
fn format_notification(event: &Event) -> String {
    match Notification::for_event(event) {
        None => String::new(),
        Some(notice @ Notification::Status { status, online_status, reason, instance_code }) => {
            let channel = notice.channel().short_name();
            let words: Vec<&str> = [reason, instance_code].into_iter().filter(|word| !word.is_empty()).collect();
            let (status, online_status) = (status.code(), online_status.code());
            format!(" [{}]", format!("{channel} {status},{online_status} {}", words.join(" ")).trim_end())
        }
        Some(notice @ Notification::Registration { successful, .. }) => {
            format!(" [{} {}]", notice.channel().short_name(), u8::from(successful))
        }
    }
}

/// A state as the contract writes it: `status,onlineStatus`, and other fields that matter.
fn format_state(account: &Account) -> String {
    let format_effect = |effect: &PendingEffect| match effect {
        PendingEffect::Connect { session } => format!("connect {session}"),
        PendingEffect::Disconnect { session } => format!("disconnect {session}"),
        PendingEffect::RequestCode { task, .. } => format!("request code of {}", task.get()),
        PendingEffect::SubmitCode { task, attempt, .. } => format!("submit code {attempt} of {}", task.get()),
    };
    let mut words = format!("{},{}", account.status.code(), account.online_status.code());
    if account.gateway != GatewayKind::Simulator {
        words.push_str(&format!(", by {}", account.gateway.name()));
    }
    if !account.labels.is_empty() {
        let pairs: Vec<String> = account.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        words.push_str(&format!(", labels {}", pairs.join(" ")));
    }
    if account.registration.is_some() {
        words.push_str(", waiting");
    }
    let effects: Vec<String> = account.pending_effects().iter().map(format_effect).collect();
    if !effects.is_empty() {
        words.push_str(&format!(", owed: {}", effects.join(" and ")));
    }
    words
}

/// Compares with the golden file of this name.
fn golden(name: &str, text: &str) {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!(
        { snapshot_path => directory, prepend_module_to_snapshot => false, omit_expression => true },
        { insta::assert_snapshot!(name, text) }
    );
}

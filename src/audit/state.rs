//! An account as it stood after some of its events, and what made it so. Pure.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::data::ContentView;
use super::event;
use super::time::written;
use crate::domain::{Account, AccountNumber, Event, Registration};
use crate::journal::{self, Recorded};

/// An account with what made it stand as it does.
pub(super) struct Standing {
    number: AccountNumber,
    account: Account,
    position: u64,
    updated: String,
    instance_code: String,
    /// The event that last changed where it stands.
    since: Option<Cause>,
    /// The last event by which somebody asked for something else.
    asked: Option<Cause>,
}

/// How an account stands; the fields stand in this order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountState)]
pub struct View<'a> {
    /// The account number.
    whats_app: String,
    /// How many events its history has.
    version: u64,
    /// The position of the last of them in the journal.
    position: String,
    /// When that was.
    #[schema(format = DateTime)]
    updated: &'a str,
    /// 1 normal, 2 banned.
    #[schema(minimum = 1, maximum = 2)]
    status: u8,
    /// 1 online-coming, 2 online, 3 offline-coming, 4 offline.
    #[schema(minimum = 1, maximum = 4)]
    online_status: u8,
    /// Why it is offline or banned: `1001`, `1002`, or a gateway's own words; empty where there is nothing to say.
    reason: &'a str,
    /// The gateway's scan or pairing id of the last session; empty where there is none.
    instance_code: &'a str,
    /// Who serves it: `simulator`, `bridge` or `cloud_api`.
    #[schema(pattern = "^(simulator|bridge|cloud_api)$")]
    gateway: &'static str,
    /// The calls to register it, or to take that back, in the 72 hours up to the last of them; a provider takes ten.
    register_calls: usize,
    /// The event that made `status` or `onlineStatus` what they are; null if none did.
    #[schema(required)]
    since: Option<&'a Cause>,
    /// The last event by which somebody asked for something else; null if nobody did.
    #[schema(required)]
    asked: Option<&'a Cause>,
    /// The registration that waits for a code; null if none does.
    #[schema(required)]
    registration: Option<RegistrationView<'a>>,
    /// What was imported; null if nothing was.
    #[schema(required)]
    content: Option<ContentView<'a>>,
}

/// A registration that waits for a code, without the codes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WaitingRegistration)]
struct RegistrationView<'a> {
    /// The task id that the caller was given.
    task: u32,
    /// 0 sms, 1 voice, 2 missed call, 3 internal verification.
    verify_type: u8,
    /// 1 personal, 2 business.
    account_type: u8,
    /// The calling code, as in `+86`.
    area_code: String,
    /// ISO 3166-1 alpha-2.
    country_code: &'a str,
    /// Until when a code is waited for, by the clock as it was when the registration was asked for. It ends by elapsed
    /// time, wherever the clock is set meanwhile.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Whether a code is on its way to the phone.
    code_sent: bool,
    /// Codes that were refused.
    attempts: u32,
}

/// An event as the cause of something.
#[derive(Clone, Serialize, ToSchema)]
struct Cause {
    /// When.
    #[schema(format = DateTime)]
    time: String,
    /// Its place in the account's history.
    version: u64,
    /// Its position in the journal.
    id: String,
    /// What happened, as in `muster.account.came_online.v1`.
    #[serde(rename = "type")]
    kind: String,
    /// Who asked.
    origin: String,
    /// In which request; left out where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    requestid: Option<String>,
}

/// A field that differs between two versions of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldChange)]
pub struct Change {
    /// Which, as in the account's state; nested ones with dots.
    field: String,
    /// Its value in the one version.
    #[schema(required)]
    from: Value,
    /// Its value in the other.
    #[schema(required)]
    to: Value,
}

impl Standing {
    /// Nothing happened to this account yet.
    pub(super) fn new(number: AccountNumber) -> Standing {
        let (updated, instance_code) = (String::new(), String::new());
        Standing { number, account: Account::initial(), position: 0, updated, instance_code, since: None, asked: None }
    }

    /// The next of its events happened.
    pub(super) fn follow(&mut self, record: &Recorded) -> Result<(), journal::Error> {
        let event = journal::event_of(record)?;
        self.account.evolve(event);
        self.position = record.position;
        self.updated = written(record.at);
        if event.standing().is_some() {
            self.since = Some(Cause::of(record));
        }
        match event {
            Event::CameOnline { instance_code }
            | Event::WentOffline { instance_code, .. }
            | Event::Banned { instance_code, .. } => self.instance_code.clone_from(instance_code),
            Event::OnlineRequested | Event::RecycleRequested | Event::RegistrationRequested { .. } => {
                self.asked = Some(Cause::of(record));
            }
            Event::AccountImported { .. }
            | Event::ContentReplaced { .. }
            | Event::BanLifted
            | Event::CodeSent
            | Event::CodeSubmitted { .. }
            | Event::Registered
            | Event::RegistrationFailed { .. }
            | Event::SecretsErased { .. }
            | Event::GatewayAssigned { .. }
            | Event::PinKept { .. }
            | Event::ProviderCalled { .. } => {}
        }
        Ok(())
    }

    /// As others read it.
    pub(super) fn view(&self) -> impl Serialize {
        let Account { version, content, status, online_status, reason, registration, gateway, register_calls, .. } =
            &self.account;
        View {
            whats_app: self.number.to_string(),
            version: *version,
            position: self.position.to_string(),
            updated: &self.updated,
            status: status.code(),
            online_status: online_status.code(),
            reason: reason.as_str(),
            instance_code: &self.instance_code,
            gateway: gateway.name(),
            register_calls: register_calls.len(),
            since: self.since.as_ref(),
            asked: self.asked.as_ref(),
            registration: registration.as_ref().map(RegistrationView::of),
            content: content.as_deref().map(ContentView::of),
        }
    }
}

impl<'a> RegistrationView<'a> {
    fn of(waiting: &'a Registration) -> RegistrationView<'a> {
        RegistrationView {
            task: waiting.task.get(),
            verify_type: waiting.verify_type.code(),
            account_type: waiting.account_type.code(),
            area_code: format!("+{}", waiting.calling_code),
            country_code: &waiting.country,
            expires_at: written(waiting.expires_at),
            code_sent: waiting.code_sent,
            attempts: waiting.attempts,
        }
    }
}

impl Cause {
    fn of(record: &Recorded) -> Cause {
        Cause {
            time: written(record.at),
            version: record.version,
            id: record.position.to_string(),
            kind: event::kind(&record.fact),
            origin: event::origin(record.origin),
            requestid: event::request_id(record.origin),
        }
    }
}

/// What every event changes: how far the history goes, and why, says nothing of how the account stands.
const PROGRESS: [&str; 5] = ["version", "position", "updated", "since", "asked"];

/// The fields that differ between two views, with both values. Nested fields are named with dots.
pub(super) fn differences(from: &Value, to: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", from, to, &mut found);
    found
}

fn compare(path: &str, from: &Value, to: &Value, found: &mut Vec<Change>) {
    // A part that is not there has all its fields changed.
    let is_part = |value: &Value| value.is_object() || value.is_null();
    let names: BTreeSet<&String> = [from, to].into_iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
    if from == to {
        return;
    }
    if names.is_empty() || !is_part(from) || !is_part(to) {
        found.push(Change { field: path.to_owned(), from: from.clone(), to: to.clone() });
        return;
    }
    for name in names.into_iter().filter(|name| !path.is_empty() || !PROGRESS.contains(&name.as_str())) {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        compare(&below, &from[name], &to[name], found);
    }
}

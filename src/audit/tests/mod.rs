//! What auditors are promised: the same form of events everywhere, states at any time, and detection of every
//! alteration or omission.
//!
//! | file | what it tests |
//! |---|---|
//! | `event_data` | the data of each type of event, compared with its schema |
//! | `views` | events, states and differences, as the API shows them |
//! | `queries` | pages, filters and orders |
//! | `kept_checkpoints` | kept checkpoints, compared with the log, a service and files |
//! | `tampering` | bundles, exports and backups with all kinds of alterations |
//! | `verification` | the journal against its checkpoint, and the served state against its events |

// Fuzzing uses only the fixture.
#![cfg_attr(fuzzing, allow(dead_code, unused_imports))]
#![allow(clippy::unwrap_used)]

#[cfg(test)]
mod event_data;
#[cfg(test)]
mod kept_checkpoints;
#[cfg(test)]
mod queries;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod verification;
#[cfg(test)]
mod views;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::config::{self, Settings};
use crate::domain::{
    AdministrativeEvent, AuditLogEntry, ContentField, ContentTexts, CredentialVerifier, Event, Grant, MasterKeyId,
    Reason, Role, SealedBytes, TaskId, Timestamp, VerifyType,
};
use crate::journal::{AppendRequest, Origin, Principal, RequestId};
use crate::store::{DirectoryFormat, StoreId};
use crate::testkit::fixture::open_audit;
use crate::testkit::sample::content_with;

/// 2026-11-25T09:00:00Z.
const BEGIN: i64 = 1_795_597_200_000_000;
const FIRST: &str = "861821726232";
const SECOND: &str = "861821720003";

/// A journal with two accounts and some administrative events, and an `Audit` over it.
pub(crate) struct AuditFixture {
    pub(crate) audit: Audit,
    pub(crate) directory: TempDir,
}

impl AuditFixture {
    /// A journal without events.
    pub(crate) fn empty() -> AuditFixture {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create_with_id(
            &directory.path().join("data"),
            &store_settings(),
            StoreId(0x0123_4567_89ab_cdef),
            DirectoryFormat::One,
        );
        AuditFixture { audit: open_audit(store.unwrap()).unwrap(), directory }
    }

    /// With the sample history: one account goes online and offline, one is banned and registered, and a backup is taken.
    pub(crate) async fn with_history() -> AuditFixture {
        let fixture = AuditFixture::empty();
        for (seconds, (number, event)) in (0..).zip(sample_history()) {
            fixture.happen(number, event, seconds).await;
        }
        let entry = AuditLogEntry {
            event: AdministrativeEvent::BackupTaken { position: 15, master_key: Some(MasterKeyId(0x3f9a_01c2)) },
            source: "127.0.0.1:40000".to_owned(),
        };
        fixture.audit.journal.append_administrative_event(entry, Origin::OPERATOR, at(60)).await.unwrap();
        fixture
    }

    pub(crate) async fn happen(&self, number: &str, event: Event, seconds: i64) {
        let account = number.parse().unwrap();
        let expected_version = self.audit.journal.stream_head(journal::StreamId::Account(account)).version;
        let principal = match event {
            Event::AccountImported { .. }
            | Event::ContentReplaced { .. }
            | Event::OnlineRequested { .. }
            | Event::RecycleRequested { .. }
            | Event::RegistrationRequested { .. }
            | Event::CodeSubmitted { .. } => Principal::Caller(7),
            Event::SecretsErased { .. }
            | Event::LabelsChanged { .. }
            | Event::StatusResynced { .. }
            | Event::RegistrationResynced { .. } => Principal::Operator(2),
            Event::CameOnline { .. }
            | Event::WentOffline { .. }
            | Event::Banned { .. }
            | Event::BanLifted
            | Event::CodeSent
            | Event::Registered
            | Event::SessionNumbersAdvanced { .. }
            | Event::RegistrationFailed { .. }
            | Event::GatewayAssigned { .. }
            | Event::PinKept { .. }
            | Event::ProviderCalled { .. } => Principal::Gateway(0),
        };
        let request =
            if principal == Principal::Caller(7) { RequestId(0xabc0 + seconds as u128) } else { RequestId(0) };
        let (origin, at) = (Origin { principal, request }, at(seconds));
        self.audit
            .journal
            .append(AppendRequest { account, expected_version, events: vec![event], origin, at })
            .await
            .unwrap();
    }

    fn data(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(BEGIN + seconds * 1_000_000)
}

fn store_settings() -> config::StoreSettings {
    Settings::default().store
}

fn open_at(path: &Path) -> Result<Audit, Error> {
    open_audit(Store::open(path, &store_settings())?)
}

fn sample_history() -> Vec<(&'static str, Event)> {
    let content = |name: &str| {
        content_with(0x5a, |content| {
            content.texts = ContentTexts::from([
                (ContentField::Name, name),
                (ContentField::PublicKey, "public, \"quoted\""),
                (ContentField::MsgPublicKey, ""),
                (ContentField::AccountId, "7"),
            ]);
            content.secrets = SealedBytes(Box::new([9; 8]));
        })
    };
    let code = || Event::CodeSubmitted { code: SealedBytes(Box::new([1, 2, 3])), reason: Reason::none() };
    vec![
        (FIRST, Event::AccountImported { content: content("lee"), reason: Reason::none() }),
        (FIRST, Event::OnlineRequested { reason: Reason::none() }),
        (SECOND, Event::AccountImported { content: content("kim"), reason: Reason::none() }),
        (SECOND, Event::OnlineRequested { reason: Reason::none() }),
        (FIRST, Event::CameOnline { instance_code: "SIM-1".to_owned() }),
        (SECOND, Event::CameOnline { instance_code: "SIM-1".to_owned() }),
        (SECOND, Event::Banned { reason: Reason::new("spam"), instance_code: "SIM-1".to_owned() }),
        (FIRST, Event::ContentReplaced { content: content("li"), reason: Reason::none() }),
        (FIRST, Event::RecycleRequested { reason: Reason::none() }),
        (FIRST, Event::WentOffline { reason: Reason::none(), instance_code: "SIM-1".to_owned() }),
        (
            SECOND,
            Event::RegistrationRequested {
                task: TaskId::new(12).unwrap(),
                verify_type: VerifyType::Voice,
                account_type: crate::domain::AccountType::Business,
                calling_code: "+86".parse().unwrap(),
                country: "CN".to_owned(),
                expires_at: at(610),
                lifetime: Duration::from_secs(600),
                reason: Reason::none(),
            },
        ),
        (SECOND, Event::CodeSent),
        (SECOND, code()),
        (SECOND, Event::RegistrationFailed { reason: Reason::new("wrong code"), attempt: 1, still_waiting: true }),
        (SECOND, Event::Registered),
    ]
}

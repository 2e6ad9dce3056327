//! The journal's promises: no acknowledged event is lost, no event is stored twice, and every changed byte is detected.
//!
//! | file | what it tests |
//! |---|---|
//! | `encoding` | the bytes of every event type and version |
//! | `appending` | conflicts, limits, many appenders at once |
//! | `reading` | pages, single records, accounts with and without snapshots |
//! | `golden` | whole journals of every format |
//! | `opening` | starts with and without a checkpoint, with a damaged checkpoint, with a damaged journal |
//! | `proving` | proofs of inclusion and consistency, also forged ones |
//! | `verifying` | detection of any changed byte |

mod appending;
mod encoding;
mod golden;
mod opening;
mod proving;
mod reading;
mod verifying;

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::domain::{
    Account, AccountOrder, AccountType, AdministrativeEvent, Channel, Content, ContentField, ContentTexts,
    CredentialVerifier, Fingerprint, GatewayKind, Generation, Grant, Labels, MasterKeyId, OnlineStatus, ProviderCall,
    Reason, RegistrationResult, Role, SealedBytes, SigningScheme, Status, TaskId, VerifyType,
};
use crate::testkit::fixture::open_store;
use crate::testkit::sample::content_with;

/// The time of the records that these tests append.
const AT: Timestamp = Timestamp(1_700_000_000_000_000);

/// The lifetime of their registrations.
const LIFETIME: Duration = Duration::from_secs(600);

/// A journal in its own directory.
struct JournalFixture {
    journal: Journal,
    store: Store,
    /// What `on_commit` received.
    commits: std_mpsc::Receiver<Vec<JournalRecord>>,
    directory: TempDir,
}

impl JournalFixture {
    fn new() -> JournalFixture {
        JournalFixture::open(tempfile::tempdir().unwrap()).unwrap()
    }

    fn open(directory: TempDir) -> Result<JournalFixture, Error> {
        let store = open_store(directory.path());
        let (seen, commits) = std_mpsc::channel();
        let on_commit: CommitCallback = Box::new(move |records| seen.send(records.to_vec()).unwrap_or_default());
        Ok(JournalFixture { journal: Journal::open(store.clone(), on_commit)?, store, commits, directory })
    }

    /// Closes the journal. Returns when its writer has released the store.
    fn close(self) -> TempDir {
        let JournalFixture { journal, store, commits, directory } = self;
        drop((journal, store));
        // The writer drops `on_commit` last, so this channel closes after the writer has released the store.
        commits.iter().for_each(drop);
        directory
    }

    /// Closes the journal and opens it again.
    fn reopened(self) -> JournalFixture {
        JournalFixture::open(self.close()).unwrap()
    }

    async fn append(&self, account: u64, expected_version: u64, events: &[Event]) -> Result<Vec<JournalRecord>, Error> {
        self.journal.append(append(account, expected_version, events)).await
    }

    /// Appends `events` events one by one, to the accounts in turn.
    async fn fill(&self, accounts: u64, events: u64) {
        self.fill_on(accounts, 0, events).await;
    }

    /// Continues `fill`: appends the events after the first `from`, up to the first `to`.
    async fn fill_on(&self, accounts: u64, from: u64, to: u64) {
        for number in from..to {
            self.append(number % accounts, number / accounts, &[sample_events()[number as usize % 13].clone()])
                .await
                .unwrap();
        }
    }

    fn all(&self) -> Vec<JournalRecord> {
        self.journal.read_after(0, usize::MAX).unwrap()
    }
}

/// The account with this small number.
fn account(number: u64) -> AccountNumber {
    AccountNumber::from_stored(861_821_726_000 + number).unwrap()
}

/// Its stream.
fn account_stream(number: u64) -> StreamId {
    StreamId::Account(account(number))
}

fn append(number: u64, expected_version: u64, events: &[Event]) -> AppendRequest {
    let (account, at) = (account(number), AT);
    let origin = Origin { principal: Principal::Caller(7), request: RequestId(0x0123_4567_89ab_cdef) };
    AppendRequest { account, expected_version, events: events.to_vec(), origin, at }
}

fn content(secret_bytes: usize) -> Arc<Content> {
    content_with(0, |content| {
        content.account_type = AccountType::Business;
        content.texts = ContentTexts::from([
            (ContentField::Name, "lee"),
            (ContentField::PublicKey, "public"),
            (ContentField::MsgPublicKey, ""),
            (ContentField::AccountId, ""),
            (ContentField::NextKeyId, "1"),
        ]);
        content.secrets = SealedBytes(vec![0xa5; secret_bytes].into());
        content.fingerprint = Fingerprint(std::array::from_fn(|at| at as u8));
    })
}

/// An event of each account event type, in the order of their registered numbers, from 1.
fn sample_events() -> [Event; 21] {
    let (reason, instance_code) = (Reason::new(Reason::NETWORK), "scan-1".to_owned());
    let ordered = || Reason::new("moved to a new host");
    let mut nameless = content(0);
    *Arc::make_mut(&mut nameless).texts.slot(ContentField::Name) = None;
    [
        Event::AccountImported { content: content(4), reason: ordered() },
        Event::ContentReplaced { content: nameless, reason: ordered() },
        Event::OnlineRequested { reason: ordered() },
        Event::CameOnline { instance_code: instance_code.clone() },
        Event::RecycleRequested { reason: ordered() },
        Event::WentOffline { reason: reason.clone(), instance_code: instance_code.clone() },
        Event::Banned { reason: Reason::new("spam"), instance_code: String::new() },
        Event::BanLifted,
        Event::RegistrationRequested {
            task: TaskId::new(2_147_483_647).unwrap(),
            verify_type: VerifyType::Internal,
            account_type: AccountType::Personal,
            calling_code: "+86".parse().unwrap(),
            country: "CN".to_owned(),
            expires_at: AT.plus(LIFETIME),
            lifetime: LIFETIME,
            reason: ordered(),
        },
        Event::CodeSent,
        Event::CodeSubmitted { code: SealedBytes(Box::new([1, 2, 3])), reason: ordered() },
        Event::Registered,
        Event::RegistrationFailed { reason: ordered(), attempt: 5, still_waiting: true },
        Event::SecretsErased { reason: Reason::new("the customer asked for it") },
        Event::GatewayAssigned { gateway: GatewayKind::Bridge },
        Event::PinKept { pin: SealedBytes(Box::new([4, 5, 6])) },
        Event::ProviderCalled { call: ProviderCall::Register, at: Timestamp(1_700_000_000_000_000) },
        Event::LabelsChanged {
            labels: Labels::new([("team", "care"), ("tier", "")]).unwrap(),
            reason: Reason::new("moved to care"),
        },
        Event::StatusResynced { status: Status::Banned, online_status: OnlineStatus::Offline, reason, instance_code },
        Event::RegistrationResynced { result: RegistrationResult { successful: false, still_waiting: true } },
        Event::SessionNumbersAdvanced { last: 28_803_000 },
    ]
}

/// An event of each type, in the order of their registered numbers.
pub(crate) fn sample_journal_events() -> Vec<JournalEvent> {
    let administrative = [
        AdministrativeEvent::ProjectionRebuilt { projection: "roster".to_owned(), differences: 3 },
        AdministrativeEvent::BackupTaken { position: 41, master_key: Some(MasterKeyId(0x3f9a_01c2)) },
        AdministrativeEvent::Restored { position: 40, master_key: Some(MasterKeyId(0x3f9a_01c2)) },
        AdministrativeEvent::WebhookUrlSet {
            channel: Channel::SyncStatus,
            url: "https://example.com/hooks".to_owned(),
        },
        AdministrativeEvent::WebhookSecretSet {
            channel: Channel::RegisterStatus,
            scheme: SigningScheme::Standard,
            name: "3f2a91c0".to_owned(),
            grace_until: Some(Timestamp(1_700_000_100_000_000)),
        },
        AdministrativeEvent::WebhookPaused { channel: Channel::SyncStatus, reason: "maintenance".to_owned() },
        AdministrativeEvent::WebhookResumed { channel: Channel::SyncStatus },
        AdministrativeEvent::WebhookRedelivered {
            channel: Channel::SyncStatus,
            what: "from position 1 to 9".to_owned(),
            deliveries: 5,
        },
        AdministrativeEvent::WebhookLettersDropped {
            channel: Channel::RegisterStatus,
            what: "position 7".to_owned(),
            deliveries: 1,
            reason: "a test account".to_owned(),
        },
        AdministrativeEvent::ApiKeyCreated(Grant {
            id: 2,
            name: "dispatch".to_owned(),
            role: Role::Caller,
            accounts: vec!["8618".to_owned(), "44".to_owned()],
            expires_at: Some(Timestamp(1_700_000_200_000_000)),
            verifier: CredentialVerifier::Hash([7; 32]),
        }),
        AdministrativeEvent::ApiKeyRevoked { id: 2 },
        AdministrativeEvent::MasterKeyRotated { rewrapped: 41, master_key: Some(MasterKeyId(0x3f9a_01c2)) },
        AdministrativeEvent::ApiKeyCreated(Grant {
            id: 3,
            name: "old back-end".to_owned(),
            role: Role::Caller,
            accounts: vec!["8618".to_owned()],
            expires_at: Some(Timestamp(1_700_000_200_000_000)),
            verifier: CredentialVerifier::Tenant("500975".to_owned()),
        }),
        AdministrativeEvent::AccountsOrdered {
            order: AccountOrder::Recycle,
            accounts: 2,
            reason: "maintenance".to_owned(),
        },
        AdministrativeEvent::ReconciliationOrdered {
            gateway: GatewayKind::Bridge,
            reason: "it was restored".to_owned(),
        },
        AdministrativeEvent::WebhookClosed {
            channel: Channel::RegisterStatus,
            deliveries: 12,
            reason: "the receiver is gone for good".to_owned(),
        },
        AdministrativeEvent::MasterKeyRotationAborted { rewrapped: 40, master_key: Some(MasterKeyId(0x3f9a_01c2)) },
        AdministrativeEvent::MasterKeyRotationFinished { rewrapped: 2, master_key: Some(MasterKeyId(0x3f9a_01c2)) },
        AdministrativeEvent::EventsExported {
            format: "cloudevents".to_owned(),
            filter: [("reason~", "spam"), ("type", "banned")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            first: 1,
            last: 41,
        },
        AdministrativeEvent::AccountBundleExported { account: "861821726232".parse().unwrap() },
        AdministrativeEvent::GenerationBegun {
            generation: Generation::new(2).unwrap(),
            previous: Generation::new(1).unwrap(),
            fork: 47,
            root: [7; 32],
            master_key: Some(MasterKeyId(0x3f9a_01c2)),
            reason: "disk failed".to_owned(),
        },
        AdministrativeEvent::WebhookResynced {
            channel: Channel::SyncStatus,
            accounts: 1_000,
            reason: "the log was restored".to_owned(),
        },
    ];
    let entry = |event| JournalEvent::Administration(AuditLogEntry { event, source: "127.0.0.1:40000".to_owned() });
    sample_events().into_iter().map(JournalEvent::Account).chain(administrative.into_iter().map(entry)).collect()
}

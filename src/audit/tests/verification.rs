//! The journal must match its checkpoint, and the served state must match its events.

use std::fs;

use super::*;

#[tokio::test]
async fn a_valid_journal_is_verified() {
    let fixture = AuditFixture::with_history().await;
    let before = fixture.audit.verify(|_, _| {}).unwrap();
    assert_eq!((before.events, before.accounts, before.unknown, before.checkpoint), (16, 2, 0, None));
    fixture.audit.sign_checkpoint().unwrap();
    fixture.happen(FIRST, Event::OnlineRequested { reason: Reason::none() }, 70).await;
    assert_eq!(fixture.audit.verify(|_, _| {}).unwrap().checkpoint, Some(16), "it holds for the beginning");
}

/// A store restored from an older copy, with a checkpoint that was signed later.
#[tokio::test]
async fn a_truncated_journal_is_detected() {
    let fixture = AuditFixture::with_history().await;
    let note = fixture.audit.sign_checkpoint().unwrap();
    let AuditFixture { audit, directory } = AuditFixture::empty();
    let key = audit.log().unwrap().signer().clone();
    assert_ne!(&key, fixture.audit.signer().unwrap());
    // Its own key and its shorter history, with the longer checkpoint of another log: signed by a foreign key.
    let path = directory.path().join("data");
    drop(audit);
    fs::write(path.join("log/checkpoint"), &note).unwrap();
    let error = open_at(&path).map(drop).unwrap_err();
    assert!(error.is_integrity_fault() && error.to_string().contains("did not sign it"), "{error}");
    // Signed by its own key.
    fs::remove_file(path.join("log/checkpoint")).unwrap();
    let longer = open_at(&path).unwrap();
    let text = LogCheckpoint { origin: key.name, size: 16, root: fixture.audit.journal.root().1 }.to_text();
    let forged = longer.log().unwrap().sign(&text);
    drop(longer);
    fs::write(path.join("log/checkpoint"), forged).unwrap();
    let error = open_at(&path).map(drop).unwrap_err();
    let expected = "the journal ends at position 0, but its checkpoint has 16 events";
    assert!(error.is_integrity_fault() && error.to_string().starts_with(expected), "{error}");
}

#[tokio::test]
async fn an_altered_journal_is_detected() {
    let fixture = AuditFixture::with_history().await;
    let origin = fixture.audit.signer().unwrap().name.clone();
    let text = LogCheckpoint { origin, size: 3, root: fixture.audit.journal.root().1 }.to_text();
    let forged = fixture.audit.log().unwrap().sign(&text);
    fs::write(fixture.data().join("log/checkpoint"), forged).unwrap();
    let error = fixture.audit.verify(|_, _| {}).unwrap_err();
    assert!(
        error.is_integrity_fault() && error.to_string().starts_with("the first 3 events of the journal have the root")
    );
}

/// A history that the rules forbid, in records that are all well-formed.
#[tokio::test]
async fn a_forbidden_history_is_detected() {
    let fixture = AuditFixture::with_history().await;
    fixture.happen(FIRST, Event::Registered, 70).await;
    let error = fixture.audit.verify(|_, _| {}).unwrap_err();
    let expected = "damaged at position 17: the rules do not allow registered in the state of account 861821726232";
    assert!(error.is_integrity_fault() && error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn a_replay_finds_differences() {
    let fixture = AuditFixture::with_history().await;
    let replayed = fixture.audit.replay(ReplayEnd::End, Some(SECOND.parse().unwrap()), |_, _| {}).unwrap();
    assert_eq!((replayed.events, replayed.accounts, replayed.online, replayed.differences), (16, 2, 0, Some(0)));
    assert_eq!(replayed.state.unwrap()["version"], 9);
    let then =
        fixture.audit.replay(ReplayEnd::Event("6".parse().unwrap()), Some(SECOND.parse().unwrap()), |_, _| {}).unwrap();
    assert_eq!((then.events, then.online, then.banned, then.differences), (6, 2, 0, None));
    assert_eq!(then.state.unwrap()["onlineStatus"], 2);
    let then = fixture.audit.replay(ReplayEnd::Time(at(6)), Some(SECOND.parse().unwrap()), |_, _| {}).unwrap();
    assert_eq!((then.events, then.banned), (7, 1));
    assert_eq!(then.state.unwrap()["status"], 2, "the account and the list are of the same moment");

    // A list that lacks an account, and shows another with a wrong state.
    let wrong = fixture.audit.roster.empty();
    let mut records = fixture.audit.records(0, &EventFilter::default(), 100).unwrap().0;
    for record in &mut records {
        if record.position < 3 {
            record.event = journal::JournalEvent::Account(Event::CodeSent);
            record.stream = journal::StreamId::Account("861821729999".parse().unwrap());
        }
    }
    wrong.apply(&records);
    let audit = Audit { roster: wrong.clone(), ..fixture.audit.clone() };
    let replayed = audit.replay(ReplayEnd::End, None, |_, _| {}).unwrap();
    assert_eq!(replayed.differing_accounts, ["861821729999"]);
    // A rebuild finds the same difference, and repairs it.
    let (events, differing) = wrong.rebuild(&fixture.audit.journal, true, |_| {}).unwrap();
    assert_eq!((events, differing.len()), (16, 1));
    assert_eq!(audit.replay(ReplayEnd::End, None, |_, _| {}).unwrap().differences, Some(0));
}

/// A rebuild while new events arrive ends with all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_while_serving() {
    let fixture = std::sync::Arc::new(AuditFixture::with_history().await);
    let writing = fixture.clone();
    let writer = tokio::spawn(async move {
        for index in 0..300 {
            let event = if index % 2 == 0 {
                Event::OnlineRequested { reason: Reason::none() }
            } else {
                Event::RecycleRequested { reason: Reason::none() }
            };
            writing.happen(FIRST, event, 100 + index).await;
        }
    });
    while !writer.is_finished() {
        let fixture = fixture.clone();
        let rebuild = move || fixture.audit.roster.rebuild(&fixture.audit.journal, true, |_| {});
        let (_, differing) = tokio::task::spawn_blocking(rebuild).await.unwrap().unwrap();
        assert_eq!(differing, []);
    }
    writer.await.unwrap();
    assert_eq!(fixture.audit.roster.position(), 316);
    assert_eq!(fixture.audit.replay(ReplayEnd::End, None, |_, _| {}).unwrap().differences, Some(0));
}

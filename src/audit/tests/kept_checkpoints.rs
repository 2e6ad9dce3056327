//! Kept checkpoints, compared with the log, with what a service shows, and with files.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::tampering::{backup_bytes, export_bytes};
use super::*;
use crate::audit::CheckpointVerdict::{Altered, LostByRestore, OtherHistory, OtherKey, SameLog, Truncated};
use crate::journal::Root;

/// A checkpoint of this log, whether it is true or not.
fn sign(fixture: &AuditFixture, generation: &str, size: u64, root: Root) -> String {
    let log = fixture.audit.log().unwrap();
    log.sign(&LogCheckpoint { origin: format!("{}{generation}", log.signer().name), size, root }.to_text())
}

/// A true checkpoint of this log in generation 0.
fn checkpoint(fixture: &AuditFixture, size: u64) -> String {
    sign(fixture, "", size, fixture.audit.journal.root_at(size).unwrap().unwrap())
}

/// The fixture, restored from a backup at position 16 into generation 1, with one more event.
async fn restored(fixture: &AuditFixture) -> AuditFixture {
    let (backup, directory) = (backup_bytes(fixture), tempfile::tempdir().unwrap());
    let (from, to) = (fixture.data(), directory.path().join("data"));
    let restoring = move || {
        let generation = RestoredGeneration::New { number: None, reason: "disk failed".to_owned() };
        let options = RestoreOptions { signer: None, master_key: None, generation, at: at(70) };
        restore(&backup[..], &to, &options).unwrap();
        fs::copy(from.join("keys/master.key"), to.join("keys/master.key")).unwrap();
        open_at(&to).unwrap()
    };
    let fixture = AuditFixture { audit: tokio::task::spawn_blocking(restoring).await.unwrap(), directory };
    fixture.happen(FIRST, Event::OnlineRequested { reason: Reason::none() }, 80).await;
    fixture
}

/// Both ways to the result in the log itself agree.
fn check(fixture: &AuditFixture, note: &str) -> CheckpointCheck {
    let result = fixture.audit.check_checkpoint(note).unwrap();
    assert_eq!(fixture.audit.check_checkpoint_by_events(note, None).unwrap(), result);
    result
}

/// The result of an auditor who gets these proofs from a service.
fn check_service(
    note: &str,
    signer: &Signer,
    shown: &LogGenerations,
    service: &AuditFixture,
) -> Result<CheckpointCheck, Error> {
    check_note(note, signer, |kept| {
        check_against_service(kept, signer, shown, |from, to| {
            Ok::<_, Error>(service.audit.consistency_proof(from, Some(to)).ok())
        })
    })
}

#[tokio::test]
async fn each_verdict_is_reached() {
    let fixture = AuditFixture::with_history().await;
    let note = checkpoint(&fixture, 16);
    assert_eq!(check(&fixture, &note).sentence, "the same log, grown by 0 events");
    fixture.happen(FIRST, Event::OnlineRequested { reason: Reason::none() }, 70).await;
    let result = check(&fixture, &note);
    assert_eq!((result.verdict, result.sentence.as_str()), (SameLog, "the same log, grown by 1 event"));
    assert_eq!((result.grown.as_deref(), result.log_size.as_deref()), (Some("1"), Some("17")));
    for size in 0..=17 {
        assert_eq!(check(&fixture, &checkpoint(&fixture, size)).verdict, SameLog, "{size}");
    }
    // Mail and browsers change line ends, and drop the last one.
    for changed in [note.replace('\n', "\r\n"), note.trim_end().to_owned(), format!("\u{feff}\n{note}\n\n")] {
        assert_eq!(check(&fixture, &changed).verdict, SameLog, "{changed:?}");
    }

    let other = check(&fixture, &sign(&fixture, "", 16, Root([7; 32])));
    let roots = [fixture.audit.journal.root_at(16).unwrap().unwrap().0, [7; 32]].map(|root| STANDARD.encode(root));
    let [root, own] = &roots;
    let sentence = format!("another history: at size 16 this log has root {root}, yours has {own}");
    assert_eq!((other.verdict, &other.sentence, other.log_root.as_ref()), (OtherHistory, &sentence, Some(root)));
    assert_eq!(check(&fixture, &sign(&fixture, "", 0, Root([7; 32]))).verdict, OtherHistory);
    assert_eq!(check(&fixture, &sign(&fixture, "/1", 16, Root([7; 32]))).verdict, OtherHistory);
    let truncated = check(&fixture, &sign(&fixture, "", 18, Root([7; 32])));
    assert_eq!((truncated.verdict, truncated.log_size.as_deref()), (Truncated, Some("17")));

    // The same name, but another key.
    let foreign = AuditFixture::empty();
    let note_of_other = sign(&foreign, "", 0, Root::of_no_events());
    assert_eq!(foreign.audit.signer().unwrap().name, fixture.audit.signer().unwrap().name);
    assert_eq!(check(&fixture, &note_of_other).verdict, OtherKey);
    let unsigned = note.split("\n\n").next().unwrap();
    assert_eq!(check(&fixture, unsigned).verdict, OtherKey);
    for altered in [
        note.replacen("\n16\n", "\n15\n", 1),
        note.replacen('/', "/x", 1),
        note.replacen("\n\n", "\n", 1),
        note[..note.len() - 9].to_owned(),
        format!("{}AAAA\n", note.trim_end()),
    ] {
        let result = check(&fixture, &altered);
        assert_eq!((result.verdict, result.size), (Altered, None), "{altered}");
    }
    let log = fixture.audit.log().unwrap();
    for text in [
        "",
        "hello",
        &log.sign("hello\n"),
        &log.sign("other.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"),
    ] {
        assert!(matches!(fixture.audit.check_checkpoint(text), Err(Error::NotACheckpoint)), "{text:?}");
    }
}

#[tokio::test]
async fn a_restore_is_told_from_another_history() {
    let fixture = AuditFixture::with_history().await;
    let restored = restored(&fixture).await;
    fixture.happen(SECOND, Event::OnlineRequested { reason: Reason::none() }, 70).await;
    let lost = check(&restored, &checkpoint(&fixture, 17));
    let sentence = "from generation 0, beyond the fork at 16: what followed was lost by the restore of \
                    2026-11-25T09:01:10.000000Z";
    assert_eq!((lost.verdict, lost.sentence.as_str(), lost.fork.as_deref()), (LostByRestore, sentence, Some("16")));
    assert_eq!(check(&restored, &checkpoint(&fixture, 16)).sentence, "the same log, grown by 2 events");
    assert_eq!(check(&restored, &sign(&restored, "", 16, Root([7; 32]))).verdict, OtherHistory);
    assert_eq!(check(&restored, &restored.audit.sign_checkpoint().unwrap()).verdict, SameLog);
    for generation in ["/2", "/7"] {
        let result = check(&restored, &sign(&restored, generation, 17, Root([7; 32])));
        assert!(result.verdict == OtherHistory && result.sentence.contains("does not lead through generation"));
    }
    // The log before the restore, and the auditor has seen the one after it.
    assert_eq!(check(&fixture, &restored.audit.sign_checkpoint().unwrap()).verdict, OtherHistory);

    // An auditor gets the same verdicts from the service's proofs alone.
    let (signer, shown) = (restored.audit.signer().unwrap(), restored.audit.generations().unwrap());
    for (note, verdict) in [
        (checkpoint(&fixture, 0), SameLog),
        (checkpoint(&fixture, 16), SameLog),
        (restored.audit.sign_checkpoint().unwrap(), SameLog),
        (checkpoint(&fixture, 17), LostByRestore),
        (sign(&fixture, "", 9, Root([7; 32])), OtherHistory),
        (sign(&fixture, "/2", 16, Root([7; 32])), OtherHistory),
        (sign(&fixture, "/1", 99, Root([7; 32])), Truncated),
    ] {
        let result = check_service(&note, signer, &shown, &restored).unwrap();
        assert_eq!((&result, result.verdict), (&check(&restored, &note), verdict), "{note}");
    }
}

/// A service that lies is found, or proves nothing.
#[tokio::test]
async fn a_service_is_not_trusted() {
    let fixture = AuditFixture::with_history().await;
    let restored = restored(&fixture).await;
    fixture.happen(SECOND, Event::OnlineRequested { reason: Reason::none() }, 70).await;
    fixture.happen(SECOND, Event::OnlineRequested { reason: Reason::none() }, 71).await;
    let signer = fixture.audit.signer().unwrap();
    let kept = checkpoint(&fixture, 17);
    // It hides the restore: it shows its log as of generation 0, or leaves out where the generation began.
    let (size, root) = restored.audit.journal.root();
    let hidden = LogGenerations { checkpoint: sign(&restored, "", size, root), generations: Vec::new() };
    assert_eq!(check_service(&kept, signer, &hidden, &restored).unwrap().verdict, OtherHistory);
    // Proofs of the true history do not lead to the root of the other one.
    assert_eq!(check_service(&kept, signer, &hidden, &fixture).unwrap().verdict, OtherHistory);
    let left_out =
        LogGenerations { checkpoint: restored.audit.generations().unwrap().checkpoint, generations: Vec::new() };
    // It shows a checkpoint that another key signed, or a later fork than the true one.
    let foreign = AuditFixture::empty();
    let unsigned = LogGenerations { checkpoint: sign(&foreign, "", size, root), generations: Vec::new() };
    let mut moved = restored.audit.generations().unwrap();
    moved.checkpoint = sign(&restored, "/1", 18, fixture.audit.journal.root_at(18).unwrap().unwrap());
    for shown in [left_out, unsigned, moved] {
        let error = check_service(&kept, signer, &shown, &restored).unwrap_err();
        assert!(error.is_integrity_fault() && error.to_string().contains("does not prove its log"), "{error}");
    }
    // It shows no proof, or a proof with a changed root or hash.
    let shown = fixture.audit.generations().unwrap();
    let prove = |change: &dyn Fn(&mut ConsistencyProof)| {
        let mut proof = fixture.audit.consistency_proof(17, Some(18)).unwrap();
        change(&mut proof);
        check_note(&kept, signer, |kept| {
            check_against_service(kept, signer, &shown, |_, _| Ok::<_, Error>(Some(proof)))
        })
    };
    assert_eq!(prove(&|_| {}).unwrap().verdict, SameLog);
    let lie = STANDARD.encode([7; 32]);
    assert_eq!(prove(&|proof| proof.proof[0].clone_from(&lie)).unwrap().verdict, OtherHistory);
    assert_eq!(prove(&|proof| proof.proof.clear()).unwrap().verdict, OtherHistory);
    assert_eq!(prove(&|proof| proof.proof[0].push('!')).unwrap().verdict, OtherHistory);
    // The roots that it claims decide nothing.
    assert_eq!(prove(&|proof| proof.from_root.clone_from(&lie)).unwrap().verdict, SameLog);
    let none =
        check_note(&kept, signer, |kept| check_against_service(kept, signer, &shown, |_, _| Ok::<_, Error>(None)));
    assert!(
        none.unwrap().sentence.starts_with("another history: this log does not prove that it has grown from size 17")
    );
}

#[tokio::test]
async fn files_decide_as_far_as_they_can() {
    let fixture = AuditFixture::with_history().await;
    let restored = restored(&fixture).await;
    let older_backup = backup_bytes(&fixture);
    fixture.happen(SECOND, Event::OnlineRequested { reason: Reason::none() }, 70).await;
    let account = FIRST.parse().unwrap();
    let files = |fixture: &AuditFixture| {
        [
            backup_bytes(fixture),
            fixture.audit.account_bundle(account).unwrap(),
            export_bytes(fixture, &EventFilter::default()),
            fixture.audit.sign_checkpoint().unwrap().into_bytes(),
        ]
    };
    let signer = fixture.audit.signer().unwrap();
    // `None` is undecided.
    let verdicts = |note: &str, files: &[Vec<u8>]| -> Vec<Option<CheckpointVerdict>> {
        let check = |file: &Vec<u8>| match check_against_file(note, &file[..], Some(signer)) {
            Ok(result) => Some(result.verdict),
            Err(Error::CheckpointUndecided { .. }) => None,
            Err(error) => panic!("{error}"),
        };
        files.iter().map(check).collect()
    };
    let (now, after) = (files(&fixture), files(&restored));
    let [same, other, lost] = [SameLog, OtherHistory, LostByRestore].map(Some);
    // Only a backup has the events of an earlier size.
    assert_eq!(verdicts(&checkpoint(&fixture, 9), &now), [same, None, None, None]);
    assert_eq!(verdicts(&sign(&fixture, "", 9, Root([7; 32])), &now), [other, None, None, None]);
    assert_eq!(verdicts(&checkpoint(&fixture, 17), &now), [same; 4]);
    assert_eq!(verdicts(&sign(&fixture, "", 17, Root([7; 32])), &now), [other; 4]);
    assert_eq!(verdicts(&checkpoint(&fixture, 0), &now), [same; 4]);
    // A file may be older than the checkpoint, so a shorter log is no verdict.
    assert_eq!(verdicts(&sign(&fixture, "", 18, Root([7; 32])), &now), [None; 4]);
    assert_eq!(verdicts(&restored.audit.sign_checkpoint().unwrap(), &now), [None; 4]);
    assert_eq!(verdicts(&checkpoint(&fixture, 17), &[older_backup]), [None]);
    // A checkpoint alone does not say where its generation began.
    assert_eq!(verdicts(&checkpoint(&fixture, 17), &after), [lost, lost, lost, None]);
    assert_eq!(verdicts(&checkpoint(&fixture, 16), &after), [same, None, None, None]);
    assert_eq!(verdicts(&restored.audit.sign_checkpoint().unwrap(), &after), [same; 4]);
    assert_eq!(verdicts("a\n1\n\n\u{2014} b AAAA", &now), [Some(OtherKey); 4]);
    let unnamed = check_against_file(&checkpoint(&fixture, 17), &now[3][..], None);
    assert!(matches!(unnamed, Err(Error::PublicKeyRequired)));
}

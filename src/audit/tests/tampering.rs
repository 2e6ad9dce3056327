//! Bundles, exports and backups with all kinds of alterations: each is rejected, and a failed restore leaves nothing
//! behind.

use std::fs;
use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::views::golden;
use super::*;
use crate::vault::MasterKeyId;

fn collect_bytes<E>(make: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> ControlFlow<()>) -> Result<(), E>) -> Vec<u8>
where
    E: std::fmt::Debug,
{
    let mut bytes = Vec::new();
    make(&mut |piece| {
        bytes.extend_from_slice(&piece);
        ControlFlow::Continue(())
    })
    .unwrap();
    bytes
}

pub(super) fn export_bytes(fixture: &AuditFixture, filter: &EventFilter) -> Vec<u8> {
    export_of_range(fixture, filter, None, None)
}

fn export_of_range(fixture: &AuditFixture, filter: &EventFilter, first: Option<u64>, last: Option<u64>) -> Vec<u8> {
    let id = |position: u64| position.to_string().parse().unwrap();
    let range = fixture.audit.export_range(first.map(id), last.map(id)).unwrap();
    collect_bytes(|write| fixture.audit.write_export(ExportFormat::CloudEvents, filter, range, |_, _| {}, write))
}

pub(super) fn backup_bytes(fixture: &AuditFixture) -> Vec<u8> {
    collect_bytes(|write| fixture.audit.write_backup(|_, _| {}, write).map(drop))
}

/// Each byte of `bytes` changed, one after the other, and each prefix of `bytes`.
fn alterations(bytes: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let flipped = (0..bytes.len()).map(|at| {
        let mut altered = bytes.to_vec();
        altered[at] ^= 1;
        (format!("byte {at}"), altered)
    });
    flipped.chain((0..bytes.len()).map(|end| (format!("cut after {end}"), bytes[..end].to_vec())))
}

#[tokio::test]
async fn a_bundle_names_the_keys() {
    let fixture = AuditFixture::with_history().await;
    let grant = Grant {
        id: 7,
        name: "orders, of billing".to_owned(),
        role: Role::Caller,
        accounts: Vec::new(),
        expires_at: None,
        verifier: CredentialVerifier::Hash([0; 32]),
    };
    let entry = AuditLogEntry { event: AdministrativeEvent::ApiKeyCreated(grant), source: "command line".to_owned() };
    fixture.audit.journal.append_administrative_event(entry, Origin::OPERATOR, at(61)).await.unwrap();
    let bundle_of = |number: &str| -> Value {
        serde_json::from_slice(&fixture.audit.account_bundle(number.parse().unwrap()).unwrap()).unwrap()
    };
    let verify = |bundle: &Value| {
        let mut origins = Vec::new();
        let verified = verify_bundle_with(bundle.to_string().as_bytes(), None, |step| {
            if let VerificationStep::EventProved { origin, .. } = step {
                origins.push(origin);
            }
        });
        verified.map(|_| origins).map_err(|fault| fault.to_string())
    };
    let bundle = bundle_of(FIRST);
    assert_eq!(
        verify(&bundle).unwrap()[..3],
        ["caller:7 (orders, of billing)", "caller:7 (orders, of billing)", "gateway"]
    );
    let fault = |change: &dyn Fn(&mut Value)| {
        let mut changed = bundle.clone();
        change(&mut changed);
        verify(&changed).unwrap_err()
    };
    assert!(fault(&|bundle| bundle["keys"] = bundle_of(SECOND)["keys"].clone()).contains("of another bundle"));
    assert!(fault(&|bundle| bundle["keys"] = bundle["checkpoint"].clone()).contains("of another bundle"));
    let renamed =
        |bundle: &mut Value| bundle["keys"] = bundle["keys"].as_str().unwrap().replace("orders", "others").into();
    assert!(fault(&renamed).contains("its list of API keys is not valid"));
    assert!(fault(&|bundle| drop(bundle.as_object_mut().unwrap().remove("keys"))).contains("do not fit its format"));
    let mut older = bundle.clone();
    older["format"] = json!("muster account bundle 1");
    assert!(verify(&older).unwrap_err().contains("do not fit its format"));
    older.as_object_mut().unwrap().remove("keys");
    assert_eq!(verify(&older).unwrap()[0], "caller:7");
}

#[tokio::test]
async fn an_altered_bundle_is_rejected() {
    let fixture = AuditFixture::with_history().await;
    let account = SECOND.parse().unwrap();
    let bundle = fixture.audit.account_bundle(account).unwrap();
    let signer = fixture.audit.signer().unwrap();
    let verified = verify_bundle(&bundle, Some(signer)).unwrap();
    assert_eq!((verified.account.as_str(), verified.events, verified.log_size), (SECOND, 9, 16));
    for (what, altered) in alterations(bundle.trim_ascii_end()) {
        assert!(verify_bundle(&altered, Some(signer)).is_err(), "{what}");
    }
    let fault = |change: &dyn Fn(&mut Value)| {
        let mut changed: Value = serde_json::from_slice(&bundle).unwrap();
        change(&mut changed);
        verify_bundle(changed.to_string().as_bytes(), None).unwrap_err().to_string()
    };
    let events = |bundle: &mut Value| bundle["events"].as_array().unwrap().clone();
    assert!(
        fault(&|bundle| drop(bundle["events"].as_array_mut().unwrap().remove(3))).contains("event 4: it is version 5")
    );
    assert!(
        fault(&|bundle| drop(bundle["events"].as_array_mut().unwrap().pop())).contains("events at the end are missing")
    );
    assert!(fault(&|bundle| bundle["events"].as_array_mut().unwrap().swap(1, 2)).contains("event 2: it is version 3"));
    assert!(fault(&|bundle| bundle["events"] = json!([])).contains("events at the end are missing"));
    assert!(
        fault(&|bundle| bundle["account"] = json!(FIRST))
            .contains("list of API keys is malformed, or of another bundle")
    );
    // The first format has no list of keys.
    let of_another = |bundle: &mut Value| {
        bundle["format"] = json!("muster account bundle 1");
        bundle.as_object_mut().unwrap().remove("keys");
        bundle["account"] = json!(FIRST);
    };
    assert!(fault(&of_another).contains("it belongs to 861821720003, not to 861821726232"));
    let twice = |bundle: &mut Value| {
        let again = events(bundle)[8].clone();
        bundle["events"].as_array_mut().unwrap().push(again);
    };
    assert!(fault(&twice).contains("event 10: it is version 9"));
    assert!(
        fault(&|bundle| bundle["events"][6]["event"]["data"] = json!({})).contains("its event differs from its record")
    );
    let moved = |bundle: &mut Value| {
        let text = bundle.to_string().replace("urn:muster:0123456789abcdef", "urn:muster:deadbeefdeadbeef");
        *bundle = serde_json::from_str(&text).unwrap();
    };
    assert!(fault(&moved).contains("its events are from urn:muster:deadbeefdeadbeef"));
    assert!(fault(&|bundle| bundle["\u{1b}[31m\u{202e}"] = json!(1)).contains(r"\u001b[31m\u202e"));
    // An event of another account, with its valid proof.
    let other: Value = serde_json::from_slice(&fixture.audit.account_bundle(FIRST.parse().unwrap()).unwrap()).unwrap();
    assert!(fault(&|bundle| bundle["events"][0] = other["events"][0].clone()).contains("it belongs to 861821726232"));
}

/// Another signing key is detected if a signer is given. Without one, the signer that the file names is accepted.
#[tokio::test]
async fn a_foreign_signature_is_rejected() {
    let (fixture, other) = (AuditFixture::with_history().await, AuditFixture::with_history().await);
    let signer = fixture.audit.signer().unwrap();
    let account = SECOND.parse().unwrap();
    let words = [
        verify_bundle(&other.audit.account_bundle(account).unwrap(), Some(signer)).unwrap_err().to_string(),
        verify_export(&export_bytes(&other, &EventFilter::default())[..], Some(signer)).unwrap_err().to_string(),
        restore_backup(&fixture, &backup_bytes(&other), Some(signer)).unwrap_err().to_string(),
    ];
    assert!(words.iter().all(|words| words.starts_with("it is signed by ")), "{words:?}");
    // One log's signatures on another log's content.
    let mut bundle: Value = serde_json::from_slice(&fixture.audit.account_bundle(account).unwrap()).unwrap();
    let foreign: Value = serde_json::from_slice(&other.audit.account_bundle(account).unwrap()).unwrap();
    for part in ["checkpoint", "head"] {
        let own = std::mem::replace(&mut bundle[part], foreign[part].clone());
        assert!(verify_bundle(bundle.to_string().as_bytes(), Some(signer)).is_err(), "{part}");
        bundle[part] = own;
    }
    verify_bundle(bundle.to_string().as_bytes(), Some(signer)).unwrap();
}

#[tokio::test]
async fn an_altered_export_is_rejected() {
    let fixture = AuditFixture::with_history().await;
    let signer = fixture.audit.signer().unwrap();
    let export = export_bytes(&fixture, &EventFilter::default());
    let verified = verify_export(&export[..], Some(signer)).unwrap();
    assert_eq!((verified.events, verified.is_complete, verified.log_size), (16, true, 16));
    for (what, altered) in alterations(&export) {
        assert!(verify_export(&altered[..], Some(signer)).is_err(), "{what}");
    }
    let lines: Vec<&[u8]> = export.split_inclusive(|byte| *byte == b'\n').collect();
    let fault = |lines: &[&[u8]]| verify_export(&lines.concat()[..], Some(signer)).unwrap_err().to_string();
    assert!(fault(&[&lines[..4], &lines[5..]].concat()).contains("lines 1 to 15 were changed after the export"));
    assert!(fault(&[&lines[..1], &lines[2..3], &lines[1..2], &lines[3..]].concat()).contains("line 3: position 2"));
    assert!(fault(&lines[..16]).contains("line 17: the file is truncated"));
    assert!(fault(&[&lines[..], &lines[..1]].concat()).contains("there is data after the last line"));
    // Filtered events are no gap; a missing line is one.
    let filter = EventFilter {
        types: ["banned", "registered"].map(|name| parse_event_type(name).unwrap()).to_vec(),
        ..EventFilter::default()
    };
    let verified = verify_export(&export_bytes(&fixture, &filter)[..], Some(signer)).unwrap();
    assert_eq!((verified.events, verified.is_complete), (2, false));
    let one_account = EventFilter { account: Some(SECOND.parse().unwrap()), ..EventFilter::default() };
    assert_eq!(verify_export(&export_bytes(&fixture, &one_account)[..], Some(signer)).unwrap().events, 9);
}

/// What an export proves, by its filter and its positions. The fixture has 16 events, one a second.
#[tokio::test]
async fn an_export_says_what_it_proves() {
    let fixture = AuditFixture::with_history().await;
    let signer = fixture.audit.signer().unwrap();
    let words = |parameters: &[(&str, &'static str)], first, last| {
        let filter =
            EventFilter::parse(|name| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
                .unwrap();
        let written = filter.to_parameters();
        assert_eq!(EventFilter::parse(|name| written.get(name).map(String::as_str)).unwrap(), filter);
        let export = export_of_range(&fixture, &filter, first, last);
        let verified = verify_export(&export[..], Some(signer)).unwrap();
        format!("{} {} {}", verified.events, verified.is_complete, verified.proves)
    };
    let spoken = [
        words(&[], None, None),
        words(&[], Some(3), Some(7)),
        words(&[], Some(9), Some(90)),
        words(&[], Some(17), None),
        words(&[("type", "banned,registered")], None, None),
        words(&[("account", SECOND)], None, None),
        words(&[("account", SECOND), ("origin", "gateway:simulator")], Some(2), None),
        words(&[("key", "7"), ("reason~", "spam")], None, Some(12)),
        words(&[("requestid", "0000000000000000000000000000abc2")], None, None),
        words(&[("requestid", "00000000000000000000000000000000"), ("origin", "operator")], None, None),
        words(&[("reason~", "SPAM")], None, None),
        words(&[("since", "2026-11-25T09:00:02Z"), ("until", "2026-11-25T09:00:04Z")], None, None),
        words(&[("since", "2026-11-25T09:00:02Z"), ("type", "banned")], None, None),
        words(&[("until", "2026-11-24")], None, None),
    ];
    golden("export_proofs", &spoken.join("\n"));
}

/// A service that signs more than it wrote is found, too.
#[tokio::test]
async fn a_signed_export_must_have_what_it_claims() {
    let fixture = AuditFixture::with_history().await;
    let (log, signer) = (fixture.audit.log().unwrap(), fixture.audit.signer().unwrap());
    let forged_from = |export: &[u8], change: &dyn Fn(&mut Value)| {
        let (events, manifest) =
            export.split_at(export.len() - export.split_inclusive(|byte| *byte == b'\n').next_back().unwrap().len());
        let mut manifest: Value = serde_json::from_slice(manifest).unwrap();
        change(&mut manifest);
        let mut parsed: ExportManifest = serde_json::from_value(manifest).unwrap();
        parsed.signature = log.sign(&parsed.signed_text(&signer.name));
        let bytes = [events, &serde_json::to_vec(&parsed).unwrap(), b"\n"].concat();
        verify_export(&bytes[..], Some(signer)).unwrap_err().to_string()
    };
    let export = export_of_range(&fixture, &EventFilter::default(), Some(3), Some(7));
    let forged = |change: &dyn Fn(&mut Value)| forged_from(&export, change);
    let banned = EventFilter { types: vec![parse_event_type("banned").unwrap()], ..EventFilter::default() };
    let faults = [
        forged(&|manifest| manifest["last"] = "8".into()),
        forged(&|manifest| manifest["first"] = "4".into()),
        forged(&|manifest| manifest["first"] = "0".into()),
        forged(&|manifest| manifest["last"] = "17".into()),
        forged(&|manifest| manifest["last"] = "2".into()),
        forged(&|manifest| manifest["first"] = "x".into()),
        forged(&|manifest| manifest["filter"] = json!({"type": "banned"})),
        forged(&|manifest| manifest["filter"] = json!({"account": FIRST})),
        forged(&|manifest| manifest["filter"] = json!({"since": "2030-01-01"})),
        forged(&|manifest| manifest["filter"] = json!({"until": "2026-01-01"})),
        forged(&|manifest| manifest["filter"] = json!({"until": "garbage"})),
        forged(&|manifest| manifest["filter"] = json!({"key": "8"})),
        forged(&|manifest| manifest["filter"] = json!({"origin": "caller"})),
        forged(&|manifest| manifest["filter"] = json!({"requestid": "0000000000000000000000000000abc2"})),
        forged(&|manifest| manifest["filter"] = json!({"reason~": "spam"})),
        forged_from(&export_bytes(&fixture, &banned), &|manifest| manifest["filter"] = json!({"reason~": "fraud"})),
        forged(&|manifest| manifest["complete"] = true.into()),
        forged(&|manifest| manifest["account"] = FIRST.into()),
        forged(&|manifest| manifest["muster"] = "export 1".into()),
        forged(&|manifest| manifest["muster"] = "export 4".into()),
        forged(&|manifest| drop(manifest.as_object_mut().unwrap().remove("filter"))),
    ];
    golden("export_faults", &faults.join("\n"));
}

#[tokio::test]
async fn csv_has_a_row_for_each_event() {
    let fixture = AuditFixture::with_history().await;
    let (filter, range) = (EventFilter::default(), fixture.audit.export_range(None, None).unwrap());
    let csv = collect_bytes(|write| fixture.audit.write_export(ExportFormat::Csv, &filter, range, |_, _| {}, write));
    let text = String::from_utf8(csv).unwrap();
    assert_eq!(text.lines().count(), 17);
    assert!(text.starts_with(
        "id,time,type,subject,version,prev,origin,requestid,data,keyname\n1,2026-11-25T09:00:00.000000Z,"
    ));
    assert!(text.contains(r#""publicKey"":""public, \""quoted\"""""#), "quotes are doubled: {text}");
}

fn restore_backup(fixture: &AuditFixture, backup: &[u8], signer: Option<&Signer>) -> Result<RestoreReport, Error> {
    let generation = RestoredGeneration::New { number: None, reason: "disk failed".to_owned() };
    let options = RestoreOptions { signer, master_key: None, generation, at: at(100) };
    restore(backup, &fixture.directory.path().join("restored"), &options)
}

#[test]
fn a_backup_is_restored_completely_or_not_at_all() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(AuditFixture::with_history());
    let signer = fixture.audit.signer().unwrap();
    let backup = backup_bytes(&fixture);
    let target = fixture.directory.path().join("restored");
    let left = || fs::read_dir(fixture.directory.path()).unwrap().count();
    let verified = verify_backup(&backup[..], Some(signer)).unwrap();
    let master_key = MasterKeyId::load(&fixture.audit.store).unwrap();
    assert!(master_key.is_some());
    assert_eq!((verified.events, verified.master_key), (16, master_key));
    // Every third alteration only, because each test creates a store.
    for (what, altered) in alterations(&backup).step_by(3) {
        let outcome = restore_backup(&fixture, &altered, Some(signer)).map(|it| it.events);
        assert!(outcome.as_ref().is_err_and(Error::is_integrity_fault), "{what}: {outcome:?}");
        assert_eq!(left(), 1, "{what}");
        assert!(verify_backup(&altered[..], Some(signer)).is_err_and(|error| error.is_integrity_fault()), "{what}");
    }
    fs::create_dir(&target).unwrap();
    let done = restore_backup(&fixture, &backup, Some(signer)).unwrap();
    assert_eq!((done.events, done.accounts, &done.data_dir), (16, 2, &target));
    assert!(matches!(restore_backup(&fixture, &backup, None), Err(Error::Store(store::Error::NotEmpty { .. }))));
    // The same store, history and keys, plus the event that begins a generation.
    fs::copy(fixture.data().join("keys/master.key"), target.join("keys/master.key")).unwrap();
    let copy = open_at(&target).unwrap();
    assert_eq!(copy.source.current(), format!("{}:1", fixture.audit.source.current()));
    assert_eq!((copy.source.at(16), copy.signer().unwrap()), (fixture.audit.source.current(), signer));
    assert_eq!(copy.journal.root_at(16).unwrap(), Some(fixture.audit.journal.root().1));
    let last = copy.events(16, &EventFilter::default(), 10).unwrap();
    assert!(str::from_utf8(&last.items[0].to_json()).unwrap().contains("muster.administration.generation_begun.v1"));
    assert_eq!(copy.verify(|_, _| {}).unwrap().checkpoint, Some(16));
}

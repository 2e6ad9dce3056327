//! Fuzz targets: notes, bundles, exports, backups and times.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use serde_json::Value;

use super::backup::FRAME_HEADER_BYTES;
use super::backup_reader::BackupReader;
use super::signed_note::{LogCheckpoint, Signer};
use super::tests::AuditFixture;
use super::{
    CheckpointCheck, Error, EventFilter, ExportFormat, KeptCheckpoint, RestoreOptions, RestoredGeneration, parse_time,
    restore, verify_backup, verify_bundle, verify_export, write_time,
};
use crate::domain::Timestamp;
use crate::journal::Root;

/// Artifacts of one sample log.
struct SampleArtifacts {
    signer: Signer,
    checkpoint: String,
    bundles: Vec<Vec<u8>>,
    exports: Vec<Vec<u8>>,
    backup: Vec<u8>,
}

static SAMPLES: LazyLock<SampleArtifacts> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let AuditFixture { audit, directory: _lives } = runtime.block_on(AuditFixture::with_history());
    let mut backup = Vec::new();
    let taken = audit.write_backup(
        |_, _| {},
        |piece| {
            backup.extend(piece);
            ControlFlow::Continue(())
        },
    );
    taken.unwrap();
    let export = |filter: &EventFilter| {
        let mut lines = Vec::new();
        let written = audit.write_export(
            ExportFormat::CloudEvents,
            filter,
            audit.export_range(None, None).unwrap(),
            |_, _| {},
            |piece| {
                lines.extend(piece);
                ControlFlow::Continue(())
            },
        );
        written.unwrap();
        lines
    };
    let one_account = EventFilter { account: Some("861821720003".parse().unwrap()), ..EventFilter::default() };
    SampleArtifacts {
        signer: audit.signer().unwrap().clone(),
        checkpoint: audit.sign_checkpoint().unwrap(),
        bundles: ["861821726232", "861821720003"].map(|it| audit.account_bundle(it.parse().unwrap()).unwrap()).into(),
        exports: vec![export(&EventFilter::default()), export(&one_account)],
        backup,
    }
});

// === Notes ===

pub(crate) fn note_seeds() -> Vec<Vec<u8>> {
    let other = "\u{2014} example.com/other AAAAAAAA\n";
    vec![
        SAMPLES.checkpoint.clone().into(),
        format!("{}{other}", SAMPLES.checkpoint).into(),
        SAMPLES.signer.to_string().into(),
        SAMPLES.checkpoint.split("\n\n").next().unwrap().into(),
    ]
}

/// A note that opens contains what was signed. Signers and checkpoints have only one written form.
pub(crate) fn check_note(bytes: &[u8]) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    if let Some(signer) = Signer::parse(text) {
        assert_eq!(signer.to_string(), text.trim());
    }
    if let Some(checkpoint) = LogCheckpoint::parse(text) {
        assert_eq!(checkpoint.to_text(), text);
    }
    let compare = |kept: &KeptCheckpoint| Ok::<_, Error>(kept.compare_root(u64::MAX, Root::of_no_events()));
    if let Ok(CheckpointCheck { size: Some(size), .. }) = super::check_note(text, &SAMPLES.signer, compare) {
        assert_eq!(size, SAMPLES.checkpoint.lines().nth(1).unwrap());
    }
    match SAMPLES.signer.verify_note(text) {
        Ok(text) => {
            assert_eq!(text, SAMPLES.signer.verify_note(&SAMPLES.checkpoint).unwrap());
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

// === Bundles and exports ===

pub(crate) fn bundle_seeds() -> Vec<Vec<u8>> {
    SAMPLES.bundles.clone()
}

/// A bundle that verifies holds what the log wrote. Only JSON whitespace may differ, and a signature may be repeated.
pub(crate) fn check_bundle(bytes: &[u8]) -> Option<String> {
    let _any_signer = verify_bundle(bytes, None);
    match verify_bundle(bytes, Some(&SAMPLES.signer)) {
        Ok(_) => {
            let read = |bytes: &[u8]| {
                let mut bundle = serde_json::from_slice::<Value>(bytes).unwrap();
                for note in ["head", "checkpoint"] {
                    if let Some(text) = bundle[note].as_str() {
                        bundle[note] = text.split("\n\n").next().into();
                    }
                }
                bundle
            };
            assert!(SAMPLES.bundles.iter().any(|bundle| read(bundle) == read(bytes)), "an altered file verifies");
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

pub(crate) fn export_seeds() -> Vec<Vec<u8>> {
    SAMPLES.exports.clone()
}

/// An export that verifies holds the lines that the log wrote.
pub(crate) fn check_export(bytes: &[u8]) -> Option<String> {
    let _any_signer = verify_export(bytes, None);
    match verify_export(bytes, Some(&SAMPLES.signer)) {
        Ok(_) => {
            let events = |bytes: &[u8]| {
                bytes
                    .split(|byte| *byte == b'\n')
                    .filter(|line| line.starts_with(b"{\"spec"))
                    .map(<[u8]>::to_vec)
                    .collect::<Vec<_>>()
            };
            assert!(SAMPLES.exports.iter().any(|export| events(export) == events(bytes)), "an altered file verifies");
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

// === Backups ===

pub(crate) fn backup_seeds() -> Vec<Vec<u8>> {
    vec![SAMPLES.backup.clone()]
}

/// The backup with corrected frame checksums, as far as frames can be recognized.
fn fix_checksums(backup: &[u8]) -> Vec<u8> {
    let mut corrected = backup.to_vec();
    let mut at = 16;
    while let Some(head) = corrected.get(at..at + FRAME_HEADER_BYTES) {
        let length = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        let end = at + FRAME_HEADER_BYTES + length(1) + length(5);
        let Some(body) = corrected.get(at..end) else { break };
        let checksum = crc32fast::hash(body).to_le_bytes();
        if let Some(stored) = corrected.get_mut(end..end + 4) {
            stored.copy_from_slice(&checksum);
        }
        at = end + 4;
    }
    corrected
}

/// The frames of a backup.
pub(crate) fn check_frames(bytes: &[u8]) -> Option<String> {
    let corrected = fix_checksums(bytes);
    let mut message = None;
    for bytes in [bytes, &corrected] {
        let mut frames = match BackupReader::open(bytes) {
            Ok(frames) => frames,
            Err(error) => return Some(error.to_string()),
        };
        let mut read = 16;
        loop {
            match frames.next_frame() {
                Ok(Some((_, key, value))) => read += FRAME_HEADER_BYTES + key.len() + value.len() + 4,
                Ok(None) => break assert_eq!(read, bytes.len()),
                Err(error) => break message = Some(error.to_string()),
            }
        }
    }
    message
}

/// A backup that restores is the one that was taken. A rejected one leaves nothing behind.
pub(crate) fn check_backup(bytes: &[u8]) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("restored");
    let mut message = None;
    for bytes in [bytes, &fix_checksums(bytes)] {
        assert_eq!(
            verify_backup(bytes, Some(&SAMPLES.signer)).is_ok(),
            bytes == SAMPLES.backup,
            "verification differs from a restore"
        );
        let restored = |signer| {
            let (generation, at) = (RestoredGeneration::Same, Timestamp(1_800_000_000_000_000));
            restore(bytes, &target, &RestoreOptions { signer, master_key: None, generation, at })
        };
        match restored(Some(&SAMPLES.signer)) {
            Ok(_) => {
                assert_eq!(bytes, SAMPLES.backup, "an altered backup is restored");
                fs::remove_dir_all(&target).unwrap();
            }
            Err(error) => {
                assert!(error.is_integrity_fault(), "{error}");
                assert_eq!(
                    fs::read_dir(directory.path()).unwrap().count(),
                    0,
                    "a rejected backup leaves something behind"
                );
                message = Some(error.to_string());
            }
        }
    }
    message
}

// === Times ===

pub(crate) fn time_seeds() -> Vec<Vec<u8>> {
    [
        "2026-11-25T09:30:00.123456Z",
        "2026-11-25",
        "2022-10-28T09:40:13.62+02:00",
        "-009999-01-02T01:59:59Z",
        "9999-12-30T22:00:00Z",
    ]
    .map(Vec::from)
    .into()
}

/// A time survives formatting and parsing.
pub(crate) fn check_time(bytes: &[u8]) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    if let Some(at) = parse_time(text) {
        assert_eq!(parse_time(&write_time(at)), Some(at), "{text:?}");
    }
    if let Some(micros) = bytes.first_chunk() {
        let at = Timestamp(i64::from_le_bytes(*micros));
        let written = write_time(at);
        assert!(parse_time(&written).is_none_or(|read| read == at), "{written}");
    }
    None
}

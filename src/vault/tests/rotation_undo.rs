//! Interrupted rotations: the next start finishes them, or they are undone.

use crate::journal::{Journal, Origin, RequesterIdentity};
use crate::vault::master_key_ring::mark_rotation_recorded;

use super::*;

/// A rotation is undone from any step, even if the undo is interrupted too.
#[test]
fn a_rotation_is_undone() {
    let read = |file: &Path| fs::read(file).unwrap();
    for (is_sealed, steps, is_new_file) in
        [(false, 0, false), (true, 0, false), (true, 1, false), (true, 1, true), (true, 2, true), (true, 3, false)]
    {
        let what = format!("resealed: {is_sealed}, {steps} steps, new file: {is_new_file}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys/master.key");
        let elsewhere = tempfile::tempdir().unwrap();
        let next = elsewhere.path().join("next.key");
        fs::write(&next, "5a".repeat(32)).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
        let code = {
            let vault = open(directory.path()).unwrap();
            vault.create_data_key(account("861821726232")).unwrap();
            vault.put_receiver_settings("sync", b"a receiver").unwrap();
            let keep = OldKeyChoice::Keep(elsewhere.path().join("old.key"));
            let rotation = vault.begin_rotation(Some(&next), Some(&keep)).unwrap();
            vault.create_data_key(account("861821726231")).unwrap();
            if is_sealed {
                rotation.rewrap_all(|_, _| {}).unwrap();
            }
            vault.seal_code(account("861821726232"), "123456").unwrap().unwrap()
        };
        let old = read(&file);
        if is_new_file {
            fs::write(&file, read(&next)).unwrap();
        }
        // Each start continues the undo by these steps.
        if steps > 0 {
            let vault = open(directory.path()).unwrap();
            let rotation = vault.unfinished_rotation().unwrap();
            rotation.begin_undo().unwrap();
            if steps > 1 {
                rotation.rewrap_all(|_, _| {}).unwrap();
            }
            if steps > 2 {
                mark_rotation_recorded(
                    &vault.inner.store,
                    &vault.inner.store.load_sidecar(ROTATION_FILE).unwrap().unwrap(),
                )
                .unwrap();
            }
        }
        {
            let vault = open(directory.path()).unwrap();
            let rotation = vault.unfinished_rotation().unwrap();
            assert!(matches!(vault.begin_rotation(None, None), Err(Error::RotationUnderWay)), "{what}");
            // A second request to undo changes nothing.
            rotation.begin_undo().unwrap();
            rotation.rewrap_all(|_, _| {}).unwrap();
            let done = rotation.finish().unwrap();
            assert!(done.contains("sealed with the previous master key"), "{what}: {done}");
            let kept = format!("the key in use is in {}: delete it", elsewhere.path().join("old.key").display());
            assert!(done.contains(&kept), "{what}: {done}");
        }
        let vault = open(directory.path()).unwrap();
        assert!(vault.unfinished_rotation().is_none() && master_key_token(&vault.inner.store).is_ok(), "{what}");
        assert_eq!(master_key_file::parse(read(&file).trim_ascii()).unwrap(), vault.master_keys().current);
        assert_eq!(vault.open_code(account("861821726232"), &code).unwrap().as_str(), "123456", "{what}");
        let new_key = Zeroizing::new([0x5a; 32]);
        for (aad, sealed) in all_sealed(&vault) {
            assert!(cipher::open(&new_key, &aad, &sealed).is_none(), "{what}");
            assert!(vault.master_keys().open_sealed(&aad, &sealed).is_some(), "{what}");
        }
        if !is_new_file {
            assert_eq!(read(&file), old, "{what}");
        }
    }
}

/// An undo is rejected once a backup may need the new key and that key has no other copy.
#[tokio::test]
async fn a_rotation_that_may_be_in_a_backup_is_not_undone() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let rotation = vault.begin_rotation(None, None).unwrap();
    let rotation_file = vault.inner.store.load_sidecar(ROTATION_FILE).unwrap().unwrap();
    mark_rotation_recorded(&vault.inner.store, &rotation_file).unwrap();
    assert!(matches!(rotation.begin_undo(), Err(Error::RotationTooLateToUndo { .. })));
    rotation.finish().unwrap();
    let no_rotation = vault.stop_rotation().await.unwrap();
    assert!(matches!(no_rotation.begin_undo(), Err(Error::NoRotationToUndo)));
    drop(no_rotation);
    let rotation = vault.begin_rotation(None, None).unwrap();
    let stopped = tokio::spawn({
        let vault = vault.clone();
        async move { vault.stop_rotation().await.map(|rotation| rotation.begin_undo()) }
    });
    rotation.stop.cancelled().await;
    vault.create_data_key(account("861821726232")).unwrap();
    assert!(matches!(rotation.rewrap_all(|_, _| {}), Err(Error::RotationStopped)), "the one that runs stops");
    drop(rotation);
    stopped.await.unwrap().unwrap().unwrap();
}

/// The disk is full at each write of a rotation in turn. The error says what to do, and the next start finishes or
/// undoes it.
#[test]
fn a_rotation_on_a_full_disk() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let handle = runtime.handle();
    let requester = || RequesterIdentity { origin: Origin::OPERATOR, from: "command line".to_owned() };
    let journal_of = |vault: &Vault| Journal::open(vault.inner.store.clone(), Box::new(|_| {})).unwrap();
    let (mut finished, mut undone) = (0, 0);
    for writes in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let mine = account("861821726232");
        let (code, was_begun) = {
            let vault = open(directory.path()).unwrap();
            let journal = journal_of(&vault);
            let old_key = fs::read(directory.path().join("keys/master.key")).unwrap();
            let keep = OldKeyChoice::Keep(directory.path().join("keys/old.key"));
            vault.create_data_key(mine).unwrap();
            let code = vault.seal_code(mine, "123456").unwrap().unwrap();
            vault.inner.store.sync().unwrap();
            vault.inner.store.fill_disk_after(writes);
            let run = |rotation: Rotation| {
                assert!(fs::read(directory.path().join("keys/old.key")).is_ok_and(|kept| kept == old_key));
                rotation.run(&journal, handle, &requester(), |_, _| {})
            };
            match vault.begin_rotation(None, Some(&keep)).map(run) {
                Ok(Ok(_)) => break,
                Ok(Err(error)) => {
                    let words = error.to_string();
                    assert!(words.contains("the service's next start completes the rotation"), "{words}");
                    assert!(words.contains("`muster vault rotate --abort` reverts it"), "{words}");
                    (code, true)
                }
                Err(_) => (code, false),
            }
        };
        let vault = open(directory.path()).unwrap();
        let (journal, rotation) = (journal_of(&vault), vault.unfinished_rotation());
        assert_eq!(rotation.is_some(), was_begun, "after {writes} writes");
        if let Some(rotation) = rotation {
            let (is_undone, head) = (writes % 2 == 1 && rotation.begin_undo().is_ok(), journal.head());
            rotation.run_at_start(&journal, handle).unwrap();
            let records = journal.read_after(head, 10).unwrap();
            let names: Vec<&str> =
                records.iter().filter_map(|record| Some(record.event.event_type()?.name())).collect();
            let kind = if is_undone { "master_key_rotation_aborted" } else { "master_key_rotated" };
            let is_recorded = names == [kind, "master_key_rotation_finished"];
            assert!(is_recorded || (!is_undone && names == ["master_key_rotation_finished"]), "{names:?}");
            *(if is_undone { &mut undone } else { &mut finished }) += 1;
        }
        assert_eq!(vault.open_code(mine, &code).unwrap().as_str(), "123456");
        assert_eq!(vault.master_key_status().rotation, "none");
    }
    assert!(finished > 1 && undone > 1, "{finished} were finished, {undone} undone");
}

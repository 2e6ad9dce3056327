//! What becomes of the old master key at a rotation.

use std::os::unix::fs::symlink;

use super::*;

/// The old key is in its file before anything changes. No file is overwritten, except with what it holds already.
#[test]
fn the_old_key_is_kept_in_a_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let vault = open(directory.path()).unwrap();
    let first = fs::read(path("keys/master.key")).unwrap();
    fs::write(path("taken"), "not a key").unwrap();
    symlink(path("nowhere"), path("dangling")).unwrap();
    symlink(path("keys"), path("linked")).unwrap();
    fs::write(path("readable"), &first).unwrap();
    fs::set_permissions(path("readable"), fs::Permissions::from_mode(0o644)).unwrap();
    for (name, words) in [
        ("taken", "exists"),
        ("dangling", "exists"),
        ("readable", "exists"),
        ("keys/master.key", "is the master key's own file"),
        ("linked/master.key", "is the master key's own file"),
        ("nowhere/old.key", "is in a directory that does not exist"),
        ("store/old.key", "name a file outside the data directory"),
        ("cache/old.key", "name a file outside the data directory"),
        ("linked/../log/old.key", "name a file outside the data directory"),
    ] {
        let refused = vault.begin_rotation(None, Some(&OldKeyChoice::Keep(path(name)))).err().unwrap().to_string();
        assert!(refused.contains(words), "{name}: {refused}");
        assert_eq!(vault.master_key_status().rotation, "none", "{name}");
    }
    let relative = vault.begin_rotation(None, Some(&OldKeyChoice::Keep("old.key".into()))).err().unwrap();
    assert!(relative.to_string().contains("must be an absolute path"), "{relative}");
    assert_eq!(fs::read(path("taken")).unwrap(), b"not a key");
    assert!(!path("nowhere").exists());

    // A crash before the rotation's first step leaves the file. The same request continues.
    let keep = OldKeyChoice::Keep(path("old.key"));
    fs::write(path("old.key"), &first).unwrap();
    fs::set_permissions(path("old.key"), fs::Permissions::from_mode(0o600)).unwrap();
    drop(vault.begin_rotation(None, Some(&keep)).unwrap());
    assert_eq!(vault.master_key_status().rotation, "broken off");
    // A continued rotation keeps the key that it replaces, not the next one.
    let other = OldKeyChoice::Keep(path("other.key"));
    let rotation = vault.begin_rotation(None, Some(&other)).unwrap();
    rotation.rewrap_all(|_, _| {}).unwrap();
    let done = rotation.finish().unwrap();
    assert!(
        done.contains(&format!("kept in {} and {})", path("old.key").display(), path("other.key").display())),
        "{done}"
    );
    for name in ["old.key", "other.key"] {
        assert_eq!(fs::read(path(name)).unwrap(), first, "{name}");
        assert_eq!(fs::metadata(path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert!(vault.begin_rotation(None, Some(&keep)).is_err(), "it has an older key");
}

/// A request that says nothing of the old key loses none: it is kept under its id, beside the file behind any link.
#[test]
fn without_a_choice_the_old_key_is_kept_beside_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let (data, secrets) = (directory.path().join("data"), directory.path().join("secrets"));
    fs::create_dir(&secrets).unwrap();
    master_key_file::create(&secrets.join("real.key")).unwrap();
    symlink(secrets.join("real.key"), directory.path().join("link.key")).unwrap();
    let settings = config::VaultSettings {
        master_key_file: Some(directory.path().join("link.key")),
        ..config::VaultSettings::default()
    };
    let vault = Vault::open(Store::open(&data, &config::Settings::default().store).unwrap(), &settings).unwrap();
    let (first, id) = (fs::read(secrets.join("real.key")).unwrap(), vault.master_key_status().id);
    for (choice, keeps) in [(Some(OldKeyChoice::Discard), false), (None, true)] {
        let (was, kept) = (fs::read(secrets.join("real.key")).unwrap(), vault.master_key_status().id);
        let rotation = vault.begin_rotation(None, choice.as_ref()).unwrap();
        rotation.rewrap_all(|_, _| {}).unwrap();
        let next = rotation.finish().unwrap();
        let kept = secrets.join(format!("real.key.{kept}"));
        assert_eq!(fs::read(&kept).ok(), keeps.then_some(was));
        assert_eq!(next.contains(&format!("kept in {}", kept.display())), keeps, "{next}");
    }
    assert!(!secrets.join(format!("real.key.{id}")).exists());
    assert_ne!(fs::read(secrets.join("real.key")).unwrap(), first);
}

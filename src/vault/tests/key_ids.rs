//! Ids of master keys, and the errors about a key that is wrong, malformed or missing.

use super::*;

const PREFIX_AND_ZEROS: &str = "muster master key 1 0000000000000000000000000000000000000000000000000000000000000000";
/// The id of the key in [`PREFIX_AND_ZEROS`].
const ID_OF_ZEROS: &str = "ea60c4df";

/// Each change to the master key's file has its own error message at the next start.
#[test]
fn an_invalid_master_key_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let file = directory.path().join("keys/master.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&file).unwrap();
    let assert_rejected = |expected: &str| {
        let message = open(directory.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(expected), "{message:?} should say {expected:?}");
    };

    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert_rejected("other users may read the master key file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "not a key").unwrap();
    let id = master_key_file::parse(key.trim().as_bytes()).map(|key| MasterKeyId::of(&key)).unwrap();
    assert_rejected(&format!("the store needs key {id}, but the file {} has no master key", file.display()));
    for (text, form) in [
        (&b""[..], "it is empty"),
        (&b"1b".repeat(31), "it has 62 hexadecimal digits instead of 64"),
        (&b"1x".repeat(32), "it has 64 bytes that are not all hexadecimal digits"),
        (&[0xfe; 32], "it has 32 raw bytes"),
        (b"GxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxs=\n", "it looks like base64"),
        (b"1b1b\n1b1b\n", "it has several lines"),
    ] {
        fs::write(&file, text).unwrap();
        assert_rejected(form);
    }
    fs::write(&file, format!("{PREFIX_AND_ZEROS}\n")).unwrap();
    assert_rejected(&format!("the store needs key {id}, the file holds {ID_OF_ZEROS} ({})", file.display()));
    fs::remove_file(&file).unwrap();
    assert_rejected(&format!("the store needs key {id}, but the master key file {} is missing", file.display()));
    assert!(!file.exists(), "a missing key is never replaced by a new one");
    fs::write(&file, key).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    open(directory.path()).unwrap();
}

/// A store of an earlier version has no id. A start records it; until then the errors do not claim to know it.
#[test]
fn a_store_without_an_id_gets_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys/master.key");
    let id = {
        let vault = open(directory.path()).unwrap();
        vault.inner.store.remove(Table::Keys, b"master key id").unwrap();
        vault.master_key_status().id
    };
    let key = fs::read(&file).unwrap();
    let open_error = || open(directory.path()).err().map(|error| error.to_string()).unwrap_or_default();
    fs::write(&file, PREFIX_AND_ZEROS).unwrap();
    let unknown = format!(
        "the store needs another key, whose id is not recorded yet, the file holds {ID_OF_ZEROS} ({}",
        file.display()
    );
    assert!(open_error().starts_with(&unknown), "{}", open_error());
    fs::write(&file, &key).unwrap();
    drop(open(directory.path()).unwrap());
    fs::write(&file, PREFIX_AND_ZEROS).unwrap();
    assert!(open_error().starts_with(&format!("the store needs key {id}, ")), "{}", open_error());

    // During a rotation either key opens the store. A rotation file of an earlier version has no ids.
    fs::write(&file, &key).unwrap();
    let (next, rotation_file) = {
        let vault = open(directory.path()).unwrap();
        drop(vault.begin_rotation(None, None).unwrap());
        let status = vault.master_key_status();
        assert_eq!(status.previous_id, Some(id));
        (status.id, vault.inner.store.load_sidecar(ROTATION_FILE).unwrap().unwrap())
    };
    fs::write(&file, PREFIX_AND_ZEROS).unwrap();
    assert!(open_error().starts_with(&format!("the store needs key {id} or {next}, ")), "{}", open_error());
    let of_earlier = rotation_file.lines().take(2).map(|line| format!("{line}\n")).collect::<String>();
    fs::write(directory.path().join("log").join(ROTATION_FILE), of_earlier).unwrap();
    assert!(open_error().starts_with(&unknown), "{}", open_error());
    fs::write(&file, &key).unwrap();
    let vault = open(directory.path()).unwrap();
    let rotation = vault.begin_rotation(None, Some(&OldKeyChoice::Keep(directory.path().join("old.key")))).unwrap();
    rotation.rewrap_all(|_, _| {}).unwrap();
    assert!(rotation.finish().unwrap().contains("old.key) opens only backups"));
    assert_eq!(MasterKeyId::load(&vault.inner.store).unwrap(), Some(next));
}

/// An error advises `chmod` only for a file that has a key, because a path may be mistyped.
#[test]
fn only_a_key_is_to_be_made_private() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let named = directory.path().join("named");
    for (text, words) in [("127.0.0.1 localhost", "has no master key"), (PREFIX_AND_ZEROS, "chmod 600")] {
        fs::write(&named, text).unwrap();
        fs::set_permissions(&named, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = vault.begin_rotation(Some(&named), Some(&OldKeyChoice::Discard)).err().unwrap().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

/// Ids are stored and printed: a key has the same id in every version.
#[test]
fn the_id_of_a_key_never_changes() {
    let key = master_key_file::parse(PREFIX_AND_ZEROS.as_bytes()).unwrap();
    assert_eq!(MasterKeyId::of(&key).to_string(), ID_OF_ZEROS);
    assert_eq!("3F9A01C2".parse::<MasterKeyId>(), Err(InvalidMasterKeyId));
    assert_eq!("+f9a01c2".parse::<MasterKeyId>(), Err(InvalidMasterKeyId));
}

/// A file that the settings name is never created: its disk may not be mounted yet.
#[test]
fn only_the_default_master_key_file_is_created() {
    let directory = tempfile::tempdir().unwrap();
    let (data, named) = (directory.path().join("data"), directory.path().join("master.key"));
    let store = || Store::open(&data, &config::Settings::default().store).unwrap();
    let settings = config::VaultSettings { master_key_file: Some(named.clone()), ..config::VaultSettings::default() };
    let refused = Vault::open(store(), &settings).err().unwrap();
    assert!(matches!(refused, Error::NamedMasterKeyMissing { .. }), "{refused}");
    assert!(!named.exists() && !data.join("keys").exists());
    master_key_file::create(&named).unwrap();
    drop(Vault::open(store(), &settings).unwrap());
    fs::remove_file(&named).unwrap();
    let refused = Vault::open(store(), &settings).err().unwrap().to_string();
    assert!(refused.contains("is missing; restore it from its copy"), "{refused}");
}

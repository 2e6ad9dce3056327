//! What the vault promises: what is sealed opens here and nowhere else, and the master key is guarded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::domain::AccountType;

fn account(number: &str) -> AccountNumber {
    number.parse().unwrap()
}

fn content<'a>(private_key: &'a str, name: Option<&'a str>) -> ClearContent<'a> {
    ClearContent {
        account_type: AccountType::Personal,
        name,
        avatar: None,
        public_key: "public",
        private_key,
        msg_public_key: "",
        msg_private_key: "",
        account_id: None,
        next_key_id: None,
        registration_id: None,
        device_params: None,
    }
}

fn open(directory: &Path) -> Result<Vault, Error> {
    let store = Store::open(directory, &config::Settings::default().store)?;
    Vault::open(store, &config::Vault::default())
}

#[test]
fn what_is_sealed_opens_for_its_account_alone() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let (mine, other) = (account("861821726232"), account("861821726231"));
    assert!(vault.seal_code(mine, "123456").unwrap().is_none(), "an account without a key has nothing to seal for");
    vault.enrol(mine).unwrap();
    vault.enrol(other).unwrap();
    let mut sealed = vault.seal_code(mine, "123456").unwrap().unwrap();
    assert_eq!(vault.open_code(mine, &sealed).unwrap().as_str(), "123456");
    assert!(vault.open_code(other, &sealed).is_err());
    *sealed.0.last_mut().unwrap() ^= 1;
    assert!(vault.open_code(mine, &sealed).is_err());
}

#[test]
fn equal_content_has_an_equal_fingerprint_per_account() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let seal = |number, clear: &ClearContent<'_>| vault.seal_content(account(number), clear).unwrap();
    let first = seal("861821726232", &content("key", Some("lee")));
    let again = seal("861821726232", &content("key", Some("lee")));
    assert_eq!(first.fingerprint, again.fingerprint);
    assert_ne!(first.secrets, again.secrets, "a nonce is never used twice");
    for other in [content("other", Some("lee")), content("key", None), content("key", Some(""))] {
        assert_ne!(first.fingerprint, seal("861821726232", &other).fingerprint);
    }
    let elsewhere = seal("861821726231", &content("key", Some("lee")));
    assert_ne!(first.fingerprint, elsewhere.fingerprint, "accounts cannot be compared by their fingerprints");
}

/// What is done to the master key's file, and the sentence that the next start ends with.
#[test]
fn a_master_key_that_is_not_right_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let file = directory.path().join("keys/master.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&file).unwrap();
    let refused = |expected: &str| {
        let message = open(directory.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(expected), "{message:?} should say {expected:?}");
    };

    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    refused("may be read by others (mode 640)");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "not a key").unwrap();
    refused("holds no master key");
    fs::write(&file, format!("{PREFIX_AND_ZEROS}\n")).unwrap();
    refused("is not the one that the store is sealed with");
    fs::remove_file(&file).unwrap();
    refused("is missing, and the store is sealed with it");
    assert!(!file.exists(), "a missing key is never replaced by a new one");
    fs::write(&file, key).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    open(directory.path()).unwrap();
}

const PREFIX_AND_ZEROS: &str = "muster master key 1 0000000000000000000000000000000000000000000000000000000000000000";

//! What the vault promises: sealed bytes open only for their purpose, and the master key is protected.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::cipher;
use super::master_key_ring::ROTATION_FILE;
use super::*;
use crate::domain::{AccountType, ContentField};

mod fingerprints;
mod key_ids;
mod old_keys;
mod rotation_undo;

fn account(number: &str) -> AccountNumber {
    number.parse().unwrap()
}

fn content<'a>(private_key: &'a str, name: Option<&'a str>) -> PlaintextContent<'a> {
    let mut texts = ContentTexts::from([
        (ContentField::PublicKey, "public"),
        (ContentField::PrivateKey, private_key),
        (ContentField::MsgPublicKey, ""),
        (ContentField::MsgPrivateKey, ""),
    ]);
    *texts.slot(ContentField::Name) = name;
    PlaintextContent { account_type: AccountType::Personal, texts }
}

fn open(directory: &Path) -> Result<Vault, Error> {
    let store = Store::open(directory, &config::Settings::default().store)?;
    Vault::open(store, &config::VaultSettings::default())
}

#[test]
fn sealed_bytes_open_only_for_their_account() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let (mine, other) = (account("861821726232"), account("861821726231"));
    assert!(vault.seal_code(mine, "123456").unwrap().is_none(), "an account without a key has nothing to seal for");
    vault.create_data_key(mine).unwrap();
    vault.create_data_key(other).unwrap();
    let mut sealed = vault.seal_code(mine, "123456").unwrap().unwrap();
    assert_eq!(vault.open_code(mine, &sealed).unwrap().as_str(), "123456");
    assert!(vault.open_code(other, &sealed).is_err());
    *sealed.0.last_mut().unwrap() ^= 1;
    assert!(vault.open_code(mine, &sealed).is_err());
    let pin = vault.seal_pin(mine, "212834").unwrap().unwrap();
    assert_eq!(vault.open_pin(mine, &pin).unwrap().as_str(), "212834");
    assert!(vault.open_code(mine, &pin).is_err(), "a PIN is no code");
    for device_params in [None, Some(""), Some("{\"model\":1}")] {
        let mut sent = content("private", None);
        *sent.texts.slot(ContentField::DeviceParams) = device_params;
        let sealed = vault.seal_content(mine, &sent).unwrap();
        let opened = vault.open_content(mine, &sealed).unwrap();
        for field in ContentField::ALL {
            let expected = sent.texts.get(field).copied();
            assert_eq!(opened.get(field), expected.filter(|_| field.is_sealed()), "{field:?}");
            assert_eq!(
                sealed.texts.get(field).map(|text| &**text),
                expected.filter(|_| !field.is_sealed()),
                "{field:?}"
            );
        }
        assert!(vault.open_content(other, &sealed).is_err());
    }
}

/// The new key is never written to an existing file: neither to one with a likely temporary name, nor through a link.
#[test]
fn a_master_key_replaces_only_its_own_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let keys = [[1; 32], [2; 32]].map(Zeroizing::new);
    for name in ["master.key", "k.new", "master.key.new", "plain"] {
        master_key_file::write(&path(name), &keys[0]).unwrap();
        let temporary = master_key_file::write_temporary(&path(name), &keys[1]).unwrap();
        assert_eq!(*master_key_file::read(&path(name)).unwrap().unwrap(), *keys[0], "{name} is as it was");
        drop(temporary);
    }
    std::os::unix::fs::symlink(path("k.new"), path("link")).unwrap();
    fs::write(path("link.new"), "another's").unwrap();
    master_key_file::write(&path("link"), &keys[1]).unwrap();
    assert_eq!(*master_key_file::read(&path("k.new")).unwrap().unwrap(), *keys[1], "no old key is left behind a link");
    assert_eq!(fs::read(path("link.new")).unwrap(), b"another's");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 6, "no temporary file is left");
}

/// A kill leaves a temporary file with a key, which may be retired later. A start and the next rotation remove it.
#[test]
fn a_temporary_file_with_a_key_does_not_stay() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let place = |name: &str| directory.path().join("keys").join(name);
    let (leftover, other) = (place(".master-key-aB3dE6"), place(".master-key-of-ours"));
    fs::write(&other, "another's").unwrap();
    for is_start in [true, false] {
        fs::copy(place("master.key"), &leftover).unwrap();
        if is_start {
            drop(open(directory.path()).unwrap());
        } else {
            master_key_file::write(&place("master.key"), &Zeroizing::new([7; 32])).unwrap();
        }
        assert!(!leftover.exists() && other.exists(), "{is_start}");
    }
}

/// Opening works at every moment while a rotation ends.
#[test]
fn sealed_values_open_throughout_a_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let mine = account("861821726232");
    vault.create_data_key(mine).unwrap();
    vault.put_receiver_settings("sync", b"a receiver").unwrap();
    vault.put_tenant_secret(7, "a tenant's").unwrap();
    let code = vault.seal_code(mine, "123456").unwrap().unwrap();
    let is_over = AtomicBool::default();
    std::thread::scope(|scope| {
        // Many more threads than processors, so that some always pause between two steps.
        let open_all = || {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                vault.open_code(mine, &code).unwrap();
                vault.get_receiver_settings("sync").unwrap();
                vault.get_tenant_secret(7).unwrap();
                vault.fingerprint_request(&[b"a body"]).unwrap();
            }
        };
        for _ in 0..32 {
            scope.spawn(open_all);
        }
        for _ in 0..40 {
            let rotation = vault.begin_rotation(None, None).unwrap();
            rotation.rewrap_all(|_, _| {}).unwrap();
            rotation.finish().unwrap();
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Every sealed value in a store, with its authenticated data.
fn all_sealed(vault: &Vault) -> Vec<(Vec<u8>, Vec<u8>)> {
    let store = &vault.inner.store;
    let mut sealed = Vec::new();
    for entry in store.scan_from(Table::Keys, b"") {
        let (key, value) = entry.unwrap();
        let aad = match &key[..] {
            b"log key" => AadContext::LogKey.aad_for(None),
            b"request key" => AadContext::RequestKey.aad_for(None),
            b"master key check" => AadContext::MasterKeyCheck.aad_for(None),
            b"master key rotation" | b"master key id" => continue,
            row_key if row_key.starts_with(tenant_secrets::TENANT_PREFIX) => {
                sealed.push((aad::tenant_secret_aad(row_key), value.to_vec()));
                continue;
            }
            number => {
                let number = u64::from_be_bytes(number.try_into().unwrap());
                AadContext::DataKey.aad_for(AccountNumber::from_stored(number))
            }
        };
        sealed.push((aad.to_vec(), value.to_vec()));
    }
    let receivers = store.scan_from(Table::ReceiverSettings, b"").map(|entry| entry.unwrap());
    sealed.extend(receivers.map(|(channel, value)| (receiver_settings_aad(&channel), value.to_vec())));
    sealed
}

/// A rotation that stopped after any of its steps continues there, with the old or the new key file.
#[test]
fn a_rotation_continues_from_any_step() {
    for (steps, is_new_file) in [(1, false), (1, true), (2, false), (2, true), (3, false), (3, true)] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys/master.key");
        let mine = account("861821726232");
        let (code, log_key, fingerprint, old) = {
            let vault = open(directory.path()).unwrap();
            vault.create_data_key(mine).unwrap();
            vault.put_receiver_settings("sync", b"a receiver").unwrap();
            vault.put_tenant_secret(7, "a tenant's").unwrap();
            let (code, log_key) =
                (vault.seal_code(mine, "123456").unwrap().unwrap(), vault.load_or_create_log_key().unwrap());
            (code, log_key, vault.fingerprint_request(&[b"a body"]).unwrap(), fs::read(&file).unwrap())
        };
        let next = directory.path().join("next.key");
        fs::write(&next, "5a".repeat(32)).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
        {
            let vault = open(directory.path()).unwrap();
            let rotation = vault.begin_rotation(Some(&next), None).unwrap();
            assert!(matches!(vault.begin_rotation(None, None), Err(Error::RotationUnderWay)));
            assert!(matches!(master_key_token(&vault.inner.store), Err(Error::RotationUnderWay)), "no backup now");
            drop(rotation);
            assert!(
                matches!(vault.begin_rotation(Some(&file), None), Err(Error::InvalidNewKey { .. })),
                "another key meanwhile"
            );
            let rotation = vault.begin_rotation(Some(&next), None).unwrap();
            vault.create_data_key(account("861821726231")).unwrap();
            if steps > 1 {
                assert_eq!(rotation.rewrap_all(|_, _| {}).unwrap(), 5, "the new account's key is not resealed");
            }
            if steps > 2 {
                master_key_file::write(&file, &vault.master_keys().current).unwrap();
            }
        }
        let text = if is_new_file { fs::read(&next).unwrap() } else { old.clone() };
        fs::write(&file, text).unwrap();
        {
            let vault = open(directory.path()).unwrap();
            assert_eq!(vault.open_code(mine, &code).unwrap().as_str(), "123456");
            let rotation = vault.unfinished_rotation().unwrap();
            rotation.rewrap_all(|_, _| {}).unwrap();
            rotation.finish().unwrap();
            assert_eq!((vault.master_key_status().rotation, vault.unfinished_rotation().is_some()), ("none", false));
        }
        let vault = open(directory.path()).unwrap();
        assert_eq!(vault.open_code(mine, &code).unwrap().as_str(), "123456");
        assert!(vault.seal_code(account("861821726231"), "123456").unwrap().is_some());
        assert_eq!(vault.get_receiver_settings("sync").unwrap().unwrap().as_slice(), b"a receiver");
        assert_eq!(vault.get_tenant_secret(7).unwrap().unwrap().as_str(), "a tenant's");
        assert_eq!(vault.load_or_create_log_key().unwrap().public_key(), log_key.public_key());
        assert_eq!(vault.fingerprint_request(&[b"a body"]).unwrap(), fingerprint);
        let retired = master_key_file::parse(old.trim_ascii()).unwrap();
        let sealed = all_sealed(&vault);
        assert_eq!(sealed.len(), 7);
        for (aad, sealed) in sealed {
            assert!(cipher::open(&retired, &aad, &sealed).is_none(), "nothing opens with the retired key");
            assert!(vault.master_keys().open_sealed(&aad, &sealed).is_some());
        }
        drop(vault);
        fs::write(&file, old).unwrap();
        assert!(matches!(open(directory.path()), Err(Error::WrongMasterKey { .. })));
    }
}

#[test]
fn a_tenants_secret_opens_only_for_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let sealed = |key: u64| {
        let row_key = [tenant_secrets::TENANT_PREFIX, &key.to_be_bytes()].concat();
        (vault.inner.store.get(Table::Keys, &row_key).unwrap(), row_key)
    };
    vault.put_tenant_secret(7, "of seven").unwrap();
    vault.put_tenant_secret(8, "of eight").unwrap();
    assert_eq!(vault.tenant_key_ids().unwrap(), [7, 8]);
    assert_eq!(vault.get_tenant_secret(8).unwrap().unwrap().as_str(), "of eight");
    vault.inner.store.put(Table::Keys, &sealed(8).1, &sealed(7).0.unwrap()).unwrap();
    assert!(matches!(vault.get_tenant_secret(8), Err(Error::TenantSecretDoesNotOpen { key: 8 })));
    vault.remove_tenant_secret(7).unwrap();
    assert!(vault.get_tenant_secret(7).unwrap().is_none() && sealed(7).0.is_none());
    assert_eq!(vault.tenant_key_ids().unwrap(), [8]);
}

/// A key that is erased during a rotation does not come back.
#[tokio::test]
async fn a_rotation_brings_no_erased_key_back() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let accounts: Vec<AccountNumber> = (0..500).map(|index| account(&format!("8618217{index:05}"))).collect();
    accounts.iter().for_each(|account| vault.create_data_key(*account).unwrap());
    let rotation = vault.begin_rotation(None, None).unwrap();
    let rotating = tokio::task::spawn_blocking(move || {
        rotation.rewrap_all(|_, _| {}).unwrap();
        rotation.finish().unwrap();
    });
    for account in &accounts {
        vault.lock_for_erasure().await.destroy_data_key(*account).unwrap();
    }
    rotating.await.unwrap();
    assert!(accounts.iter().all(|account| vault.seal_code(*account, "123456").unwrap().is_none()));
    assert!(vault.inner.store.load_sidecar(ROTATION_FILE).unwrap().is_none());
}

/// The key comes from another source. The rotation waits until that source gives the new key.
#[test]
fn a_key_from_a_command_or_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let store = || Store::open(&path, &config::Settings::default().store).unwrap();
    let file = directory.path().join("key");
    let write_key = |digits: &str| {
        fs::write(&file, digits.repeat(32)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let by_command = |words: &[&str]| config::VaultSettings {
        master_key_command: Some(words.iter().map(ToString::to_string).collect()),
        ..config::VaultSettings::default()
    };
    let cat = by_command(&["cat", file.to_str().unwrap()]);
    let open_error = |settings: &config::VaultSettings| {
        Vault::open(store(), settings).err().map(|it| it.to_string()).unwrap_or_default()
    };
    write_key("xy");
    assert!(open_error(&cat).contains("must print only the master key"), "{}", open_error(&cat));
    assert!(open_error(&by_command(&["/nowhere"])).contains("vault.master_key_command cannot be run"));
    assert!(open_error(&by_command(&["false"])).contains("failed (exit status: 1)"));
    write_key("11");
    {
        let vault = Vault::open(store(), &cat).unwrap();
        vault.create_data_key(account("861821726232")).unwrap();
        assert!(matches!(vault.begin_rotation(None, None), Err(Error::NewKeyFileRequired { .. })));
        let same = vault.begin_rotation(Some(&file), None).err().unwrap().to_string();
        assert!(same.contains("has the key that is in use"), "{same}");
        let next = directory.path().join("next");
        fs::write(&next, "22".repeat(32)).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
        let rotation = vault.begin_rotation(Some(&next), None).unwrap();
        rotation.rewrap_all(|_, _| {}).unwrap();
        assert!(rotation.finish().unwrap().contains("make vault.master_key_command give the new key"));
        assert_eq!(vault.master_key_status().rotation, "waits for its setting");
        assert!(matches!(vault.begin_rotation(Some(&next), None), Err(Error::RotationAwaitsSetting { .. })));
    }
    drop(Vault::open(store(), &cat).unwrap());
    let environment = config::VaultSettings {
        master_key: Some(config::SecretText::new(&"22".repeat(32))),
        ..config::VaultSettings::default()
    };
    {
        let vault = Vault::open(store(), &environment).unwrap();
        vault.unfinished_rotation().unwrap().finish().unwrap();
        assert!(vault.seal_code(account("861821726232"), "123456").unwrap().is_some());
    }
    let told = open_error(&cat);
    assert!(told.starts_with("the store needs key ") && told.contains(", the command prints "), "{told}");
    assert_eq!(open_error(&environment), "");
}

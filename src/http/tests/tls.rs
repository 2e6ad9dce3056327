//! When TLS files are reloaded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::config;
use crate::http::TlsReloader;

/// A certificate and its key, both in PEM.
fn pair() -> [String; 2] {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    [cert.pem(), signing_key.serialize_pem()]
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn stable_valid_files_are_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    let put = |[cert_pem, key_pem]: [&str; 2]| {
        write(&cert, cert_pem, 0o644);
        write(&key, key_pem, 0o600);
    };
    let [first, second] = [pair(), pair()];
    put([&first[0], &first[1]]);
    let settings = config::TlsSettings { cert: Some(cert.clone()), key: Some(key.clone()), client_ca: None };
    let mut tls = TlsReloader::open(&settings, Arc::default()).unwrap().unwrap();
    let mut previous = None;
    let mut seen = vec![tls.current()];
    // Checks the files this number of times. Returns how many new configurations there were since the start.
    let mut check = |times: usize| {
        for _ in 0..times {
            previous = tls.check_files(previous, false);
            if !Arc::ptr_eq(seen.last().unwrap(), &tls.current()) {
                seen.push(tls.current());
            }
        }
        seen.len() - 1
    };
    assert_eq!(check(3), 0, "nothing changed");
    put([&second[0], &first[1]]);
    assert_eq!(check(3), 0, "another's key");
    write(&cert, &second[0][..second[0].len() / 2], 0o644);
    assert_eq!(check(3), 0, "half of it");
    fs::remove_file(&cert).unwrap();
    assert_eq!(check(3), 0, "nothing");
    put([&second[0], &second[1]]);
    assert_eq!(check(1), 0, "it may be half written");
    assert_eq!(check(3), 1);
    write(&key, &second[1], 0o644);
    assert_eq!(check(3), 1, "others may read the key");
    put([&first[0], &first[1]]);
    assert_eq!(check(2), 2, "and back");
    // As in Kubernetes: the files are behind a symbolic link, which is replaced.
    let write_version = |version: &str, [cert, key]: &[String; 2]| {
        fs::create_dir(directory.path().join(version)).unwrap();
        write(&directory.path().join(version).join("cert.pem"), cert, 0o644);
        write(&directory.path().join(version).join("key.pem"), key, 0o400);
    };
    write_version("1", &first);
    write_version("2", &second);
    let link_version = |version: &str| {
        let new_link: PathBuf = directory.path().join("beside");
        std::os::unix::fs::symlink(version, &new_link).unwrap();
        fs::rename(new_link, directory.path().join("data")).unwrap();
    };
    link_version("1");
    for path in [&cert, &key] {
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(Path::new("data").join(path.file_name().unwrap()), path).unwrap();
    }
    assert_eq!(check(2), 2, "the same as before");
    link_version("2");
    assert_eq!(check(2), 3);
}

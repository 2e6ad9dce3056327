//! TLS, from outside: which clients are admitted, and what happens when files change.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::service_process::{ServiceProcess, TEST_TIMEOUT, run_muster, temp_directory};

/// A CA, and the files that it makes.
struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A connection over TLS.
type Connection = StreamOwned<ClientConnection, TcpStream>;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
const SUCCESS: &str = r#"{"data":"","code":200,"message":"success"}"#;

impl TestCa {
    fn new(name: &str) -> TestCa {
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let directory = temp_directory();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        TestCa { issuer, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate for the name localhost and its key, both PEM.
    fn sign(&self) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        [certificate.pem(), key.serialize_pem()]
    }

    /// Writes a new certificate and its key to `cert.pem` and `key.pem`; returns the certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let [cert, key] = self.sign();
        write(&self.path("key.pem"), &key);
        write(&self.path("cert.pem"), &cert);
        CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()
    }

    /// A file with a certificate and its key, as clients have it.
    fn client(&self) -> PathBuf {
        write(&self.path("client.pem"), &self.sign().concat());
        self.path("client.pem")
    }

    /// The settings of a service with `cert.pem`.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let path = |name| self.path(name).to_str().unwrap().to_owned();
        vec![("MUSTER_TLS__CERT", path("cert.pem")), ("MUSTER_TLS__KEY", path("key.pem"))]
    }

    /// A client that trusts this CA, with the certificate in `client`.
    fn client_config(&self, client: Option<&Path>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        Arc::new(match client {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let chain = CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(path).unwrap()).unwrap()
            }
        })
    }
}

/// Writes a file that only its owner may read, as the service requires of a key file.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn start(data: &Path, settings: &[(&'static str, String)]) -> ServiceProcess {
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let muster = ServiceProcess::start(data, &settings);
    assert!(muster.url("").starts_with("https://127.0.0.1:"), "{}", muster.url(""));
    muster
}

fn tcp(muster: &ServiceProcess) -> TcpStream {
    let stream = TcpStream::connect(muster.url("").split_once("//").unwrap().1).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream
}

fn connect(muster: &ServiceProcess, config: &Arc<ClientConfig>) -> Connection {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), tcp(muster))
}

/// Sends a request on a kept connection: the response, or the error.
fn send_request(connection: &mut Connection) -> Result<String, std::io::Error> {
    connection.write_all(HEALTH.as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(SUCCESS.as_bytes()) {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    Ok(String::from_utf8(answer).unwrap())
}

/// The certificate that new connections get.
fn served_certificate(muster: &ServiceProcess, config: &Arc<ClientConfig>) -> CertificateDer<'static> {
    let mut connection = connect(muster, config);
    send_request(&mut connection).unwrap();
    connection.conn.peer_certificates().unwrap()[0].clone()
}

/// Waits until `holds`, after files have changed.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < TEST_TIMEOUT, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn new_files_are_taken_up_while_connections_go_on() {
    let (data, ca) = (temp_directory(), TestCa::new("a CA"));
    let first = ca.renew();
    let muster = start(data.path(), &ca.settings());
    let config = ca.client_config(None);
    let mut old = connect(&muster, &config);
    assert!(send_request(&mut old).unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(old.conn.alpn_protocol(), None);
    assert_eq!(served_certificate(&muster, &config), first);
    let mut resumed = connect(&muster, &config);
    send_request(&mut resumed).unwrap();
    assert_eq!(resumed.conn.handshake_kind(), Some(HandshakeKind::Resumed));

    let second = ca.renew();
    wait_until("the new certificate is never shown", || served_certificate(&muster, &config) == second);
    assert!(send_request(&mut old).unwrap().starts_with("HTTP/1.1 200"), "a connection from before goes on");

    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
    let mut rest = Vec::new();
    assert_eq!(old.read_to_end(&mut rest).unwrap(), 0, "an idle connection is closed in form");
    assert!(log.contains("new connections use them"), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[test]
fn clients_show_certificates() {
    let (data, ca, others) = (temp_directory(), TestCa::new("a CA"), TestCa::new("another CA"));
    ca.renew();
    let roots = ca.path("clients.pem");
    fs::copy(ca.path("ca.pem"), &roots).unwrap();
    let mut settings = ca.settings();
    settings.push(("MUSTER_TLS__CLIENT_CA", roots.to_str().unwrap().to_owned()));
    let muster = start(data.path(), &settings);
    let (own, strange) = (ca.client(), others.client());
    let config = ca.client_config(Some(&own));
    let mut old = connect(&muster, &config);
    send_request(&mut old).unwrap();
    let mut again = connect(&muster, &config);
    send_request(&mut again).unwrap();
    assert_eq!(again.conn.handshake_kind(), Some(HandshakeKind::Full), "the certificate is looked at each time");
    let none = send_request(&mut connect(&muster, &ca.client_config(None))).unwrap_err().to_string();
    assert!(none.contains("CertificateRequired"), "{none}");
    let other = send_request(&mut connect(&muster, &ca.client_config(Some(&strange)))).unwrap_err().to_string();
    assert!(other.contains("UnknownCA"), "{other}");

    // The CA of the clients is replaced. A TLS session from before admits no client.
    fs::copy(others.path("ca.pem"), &roots).unwrap();
    wait_until("the new clients are never let in", || {
        send_request(&mut connect(&muster, &ca.client_config(Some(&strange)))).is_ok()
    });
    let gone = send_request(&mut connect(&muster, &config)).unwrap_err().to_string();
    assert!(gone.contains("UnknownCA"), "{gone}");
    send_request(&mut old).unwrap();
}

#[test]
fn others_are_not_kept_out() {
    let (data, ca) = (temp_directory(), TestCa::new("a CA"));
    ca.renew();
    let mut settings = ca.settings();
    settings.push(("MUSTER_LOG__FILTER", "muster=debug".to_owned()));
    let muster = start(data.path(), &settings);
    let mut silent: Vec<TcpStream> = (0..8).map(|_| tcp(&muster)).collect();
    let mut plain = tcp(&muster);
    plain.write_all(HEALTH.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let config = ca.client_config(None);
    send_request(&mut connect(&muster, &config)).unwrap();
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "whoever says nothing is cut off");
    }
    // One more connection, in the middle of a request when the service stops.
    let mut late = tcp(&muster);
    send_request(&mut connect(&muster, &config)).unwrap();
    let (status, log) = muster.stop("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(late.read(&mut [0]).unwrap(), 0);
    assert_eq!(log.matches("a client did not finish the TLS handshake in time").count(), 8, "{log}");
    assert!(!log.contains("closing connections whose requests did not finish"), "{log}");
}

/// The command line connects, or says what to do.
#[test]
fn verbs_ask_over_tls() {
    let (data, ca, others) = (temp_directory(), TestCa::new("a CA"), TestCa::new("another CA"));
    ca.renew();
    let mut settings = ca.settings();
    settings.push(("MUSTER_TLS__CLIENT_CA", ca.path("ca.pem").to_str().unwrap().to_owned()));
    let muster = start(data.path(), &settings);
    let (server, client) = (muster.url("").replace("127.0.0.1", "localhost"), ca.client());
    let [own, other] = [&ca, &others].map(|ca| ca.path("ca.pem").to_str().unwrap().to_owned());
    let client = client.to_str().unwrap();
    let flags = ["verify", "--server", &server, "--ca-file", &own, "--client-cert-file", client];
    let (code, stdout, stderr) = run_muster(&flags, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    let environment = [("MUSTER_SERVER", &*server), ("MUSTER_CA_FILE", &own), ("MUSTER_CLIENT_CERT_FILE", client)];
    assert_eq!(run_muster(&["verify"], &environment), (Some(0), stdout, String::new()));
    let plain = server.replace("https:", "http:");
    let address = muster.url("");
    for (arguments, mend) in [
        (&["--server", &server][..], "--ca-file"),
        (&["--server", &server, "--ca-file", &other], "--ca-file"),
        (&["--server", &server, "--ca-file", &own], "--client-cert-file"),
        (&["--server", &address, "--ca-file", &own], "use the host name in its certificate with --server"),
        (&["--server", &plain, "--ca-file", &own], "name it with https://"),
        (&["--server", &server, "--ca-file", client.trim_end_matches("client.pem")], "cannot read"),
        (&["--server", &server, "--ca-file", "/dev/null"], "it is a device; name a regular file"),
        (&["--server", &server, "--client-cert-file", &own], "a certificate and its private key"),
    ] {
        let (code, _, stderr) = run_muster(&[&["verify"], arguments].concat(), &[]);
        assert_eq!(code, Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(mend), "{arguments:?}: {stderr}");
    }
}

/// A service with unusable TLS files does not start, and says what to do.
#[test]
fn faults_of_files() {
    let (data, ca, others) = (temp_directory(), TestCa::new("a CA"), TestCa::new("another CA"));
    ca.renew();
    others.renew();
    let files = TempDir::new().unwrap();
    let file = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| fs::read_to_string(ca.path(name)).unwrap());
    write(Path::new(&file("cert.pem")), &cert);
    write(Path::new(&file("key.pem")), &key);
    write(Path::new(&file("other.pem")), &fs::read_to_string(others.path("key.pem")).unwrap());
    write(Path::new(&file("half.pem")), &cert[..cert.len() / 2]);
    write(Path::new(&file("long.pem")), &cert.repeat(1_000));
    fs::write(file("open.pem"), &key).unwrap();
    fs::set_permissions(file("open.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let mut said = String::new();
    for (cert, key, client_ca) in [
        ("missing.pem", "key.pem", ""),
        ("cert.pem", "missing.pem", ""),
        ("cert.pem", "key.pem", "missing.pem"),
        ("key.pem", "key.pem", ""),
        ("half.pem", "key.pem", ""),
        ("long.pem", "key.pem", ""),
        ("cert.pem", "cert.pem", ""),
        ("cert.pem", "open.pem", ""),
        ("cert.pem", "other.pem", ""),
        ("cert.pem", "key.pem", "key.pem"),
    ] {
        let named = [("CERT", cert), ("KEY", key), ("CLIENT_CA", client_ca)];
        let settings = named.map(|(name, path)| {
            (format!("MUSTER_TLS__{name}"), if path.is_empty() { String::new() } else { file(path) })
        });
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
        let data = data.path().join("none");
        // An address of another machine, so that a service that starts all the same ends too.
        let arguments = ["serve", "--listen", "192.0.2.1:9", "--data-dir", data.to_str().unwrap()];
        let (code, stdout, stderr) = run_muster(&arguments, &settings);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(!data.exists(), "nothing is made");
        said += &format!(
            "{cert} {key} {client_ca}\n  {}\n",
            stderr.trim_end().replace(files.path().to_str().unwrap(), "DIR")
        );
    }
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("tls_faults", said);
    });
}

//! nginx, HAProxy and Caddy with the configurations of the manual.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::service_process::{TEST_TIMEOUT, temp_directory};

const MANUAL: &str = include_str!("../../../src/manual/reverse_proxies.md");

/// The host of the manual.
pub const HOST: &str = "muster.example";

/// The prefix of the manual.
pub const PREFIX: &str = "/muster";

/// A reverse proxy of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    Nginx,
    Haproxy,
    Caddy,
}

/// A running proxy. Killed when dropped.
pub struct ProxyProcess {
    child: Child,
    directory: TempDir,
    address: SocketAddr,
    certificate: String,
}

impl Software {
    /// The configuration that the manual shows, at the root of the host or under the prefix.
    fn configuration(self, is_prefixed: bool) -> String {
        let (language, name) = match self {
            Software::Nginx => ("nginx", "nginx"),
            Software::Haproxy => ("haproxy", "HAProxy"),
            Software::Caddy => ("caddy", "Caddy"),
        };
        let block = MANUAL.split(&format!("```{language}\n")).nth(1).unwrap().split("```").next().unwrap();
        if !is_prefixed {
            return block.to_owned();
        }
        let row = MANUAL.lines().find(|line| line.starts_with(&format!("| {name} | `"))).unwrap();
        let cells: Vec<&str> = row.split('`').collect();
        replace(block, &[(cells[1], cells[3])])
    }
}

/// Replaces parts of a configuration. Each part must be there.
fn replace(text: &str, parts: &[(&str, &str)]) -> String {
    parts.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old:?} is not in:\n{text}");
        text.replace(old, new)
    })
}

impl ProxyProcess {
    /// Starts a proxy with the configuration of the manual, for a service at this address.
    pub fn start(software: Software, muster: &str, is_prefixed: bool) -> ProxyProcess {
        ProxyProcess::start_with(software, muster, &software.configuration(is_prefixed))
    }

    /// Starts nginx with this configuration of its server.
    pub fn start_nginx(muster: &str, configuration: &str) -> ProxyProcess {
        ProxyProcess::start_with(Software::Nginx, muster, configuration)
    }

    fn start_with(software: Software, muster: &str, configuration: &str) -> ProxyProcess {
        let (directory, address) = (temp_directory(), free_address());
        let certificate = write_certificate(directory.path());
        let place = directory.path().to_str().unwrap();
        let listen = address.to_string();
        let configuration = replace(configuration, &[("127.0.0.1:8080", muster), ("/etc/ssl/muster", place)]);
        let mut command = match software {
            Software::Nginx => {
                let server = replace(&configuration, &[("listen 443 ssl", &format!("listen {listen} ssl"))]);
                let path = directory.path().join("nginx.conf");
                fs::write(&path, nginx_frame(place, &server)).unwrap();
                let mut command = Command::new("/usr/sbin/nginx");
                command.args(["-e", "stderr", "-p", place, "-c"]).arg(path);
                command
            }
            Software::Haproxy => {
                let path = directory.path().join("haproxy.cfg");
                fs::write(&path, replace(&configuration, &[("bind :443", &format!("bind {listen}"))])).unwrap();
                let mut command = Command::new("/usr/sbin/haproxy");
                command.args(["-db", "-f"]).arg(path);
                command
            }
            Software::Caddy => {
                let site = format!("{HOST}:{} {{\n    bind 127.0.0.1", address.port());
                let site = replace(&configuration, &[("muster.example {", &site)]);
                let path = directory.path().join("Caddyfile");
                fs::write(&path, format!("{{\n    admin off\n    auto_https disable_redirects\n}}\n{site}")).unwrap();
                let mut command = Command::new("/usr/bin/caddy");
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path);
                command.env("XDG_DATA_HOME", place).env("XDG_CONFIG_HOME", place);
                command
            }
        };
        let log = fs::File::create(directory.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{software:?} does not start ({error}); install nginx, haproxy and caddy, as tests/all does")
        });
        let mut proxy = ProxyProcess { child, directory, address, certificate };
        proxy.wait_until_ready();
        proxy
    }

    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let log = || fs::read_to_string(self.directory.path().join("log")).unwrap();
            assert_eq!(self.child.try_wait().unwrap(), None, "the proxy ended: {}", log());
            assert!(started.elapsed() < TEST_TIMEOUT, "the proxy does not listen: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.address.port())
    }

    /// The host with the port, as browsers send it.
    pub fn host(&self) -> String {
        format!("{HOST}:{}", self.address.port())
    }

    /// A client with the address 127.0.0.`last`.
    pub fn client(&self, last: u8) -> reqwest::Client {
        let ca = reqwest::Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(TEST_TIMEOUT);
        let client = client.tls_certs_only([ca]).resolve(HOST, self.address);
        let client = client.redirect(reqwest::redirect::Policy::none());
        client.local_address(IpAddr::from(Ipv4Addr::new(127, 0, 0, last))).build().unwrap()
    }
}

impl Drop for ProxyProcess {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        if thread::panicking() {
            println!("{}", fs::read_to_string(self.directory.path().join("log")).unwrap_or_default());
        }
    }
}

/// What Debian's `/etc/nginx/nginx.conf` has around a server, without root, and in one process.
fn nginx_frame(place: &str, server: &str) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {place}/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid {place}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n    \
         access_log off;\n{temporary}{server}\n}}\n"
    )
}

/// Writes a certificate for the host, as each proxy wants it; returns it.
fn write_certificate(directory: &Path) -> String {
    let mut parameters = CertificateParams::new([]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, "proxies");
    let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let (cert, key) = (certificate.pem(), key.serialize_pem());
    fs::write(directory.join("cert.pem"), &cert).unwrap();
    fs::write(directory.join("key.pem"), &key).unwrap();
    fs::write(directory.join("muster.pem"), cert + &key).unwrap();
    issuer.pem()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

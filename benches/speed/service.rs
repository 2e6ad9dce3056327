//! The whole service, in this process or its own, and a minimal warp server.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use muster::config::{EffectiveSettings, Settings};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use warp::Filter;

use crate::{cost, fixture};

/// The service on a directory of its own. Stopped when dropped.
pub struct InProcessService {
    pub address: SocketAddr,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
    _directory: TempDir,
}

impl InProcessService {
    pub fn start(change: impl FnOnce(&mut Settings)) -> InProcessService {
        let directory = fixture::temp_directory();
        let mut settings = Settings { data_dir: directory.path().join("data"), ..Settings::default() };
        settings.http.listen = "127.0.0.1:0".to_owned();
        // All requests come from one address.
        settings.http.requests_per_second = 10_000_000;
        change(&mut settings);
        let effective = EffectiveSettings { settings, ..EffectiveSettings::default() };
        let (ready, on_ready) = std::sync::mpsc::channel();
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let running = thread::spawn(move || {
            let ready = |address| ready.send(address).unwrap();
            muster::service::run(&effective, ready, &Arc::default(), &stopping).unwrap();
        });
        let address = on_ready.recv().unwrap();
        InProcessService { address, stop, running: Some(running), _directory: directory }
    }
}

impl Drop for InProcessService {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.join().unwrap();
        }
    }
}

/// The service on a data directory, in a process of its own. Stopped when dropped.
pub struct ServiceProcess {
    child: Child,
    pub address: SocketAddr,
}

impl ServiceProcess {
    /// Starts it, with these settings in its environment.
    pub fn start(data: &Path, settings: &[(&str, &str)]) -> ServiceProcess {
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .env_clear()
            .envs(settings.iter().copied())
            .env("MUSTER_LOG__FILTER", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("http://").unwrap().1.parse().unwrap();
        ServiceProcess { child, address }
    }

    /// Its CPU time since it started.
    pub fn cpu(&self) -> Duration {
        cost::cpu_of(self.child.id())
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Resets the [peak](ServiceProcess::peak).
    pub fn reset_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// Its peak memory in bytes.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for ServiceProcess {
    /// Stops it cleanly, so that the next one starts from a checkpoint.
    fn drop(&mut self) {
        let _gone = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _gone = self.child.wait();
    }
}

/// Serves `route` on a thread of its own with as many workers as the service has.
pub fn serve_floor<F>(route: F) -> SocketAddr
where
    F: Filter<Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Extract: warp::Reply,
{
    let (ready, on_ready) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            ready.send(listener.local_addr().unwrap()).unwrap();
            warp::serve(route).incoming(listener).run().await;
        });
    });
    on_ready.recv().unwrap()
}

/// A body of a batch call, with texts as long as real ones: keys of 44 characters, device parameters of 400.
pub fn batch_body(numbers: impl Iterator<Item = u64>) -> String {
    let key = "k".repeat(44);
    let parameters = "p".repeat(400);
    let account = |number: u64| {
        format!(
            r#"{{"whatsApp":"{number}","whatsappType":1,"override":false,"name":"lee","avatar":"wwww.baiux.com/1.img","publicKey":"{key}","privateKey":"{key}","msgPublicKey":"{key}","msgPrivateKey":"{key}","accountId":"{number}","nextKeyId":"1","registrationId":"12345","deviceParams":"{parameters}"}}"#
        )
    };
    format!(r#"{{"whatsAppList":[{}]}}"#, numbers.map(account).collect::<Vec<_>>().join(","))
}

/// A runtime for clients.
pub fn client_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

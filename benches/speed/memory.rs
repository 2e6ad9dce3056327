//! Resident bytes per account, in the real process: retired, and with an active actor.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::service::{batch, client_runtime};
use crate::{house, wire};

/// A served data directory, in a process of its own. Stopped when dropped.
struct Process {
    child: Child,
    address: SocketAddr,
}

/// Prints both figures, with `accounts` retired ones and, of these, `active` with an actor.
pub fn report(accounts: u64, active: u64) {
    let directory = house::directory();
    let data = directory.path().join("data");
    let runtime = client_runtime();
    let numbers: Vec<u64> = (861_821_700_000..).take(accounts as usize).collect();
    let empty = Process::start(&data);
    let before = empty.resident();
    let post = |bodies: Vec<String>, path: &str| bodies.iter().map(|body| wire::post(path, body)).collect::<Vec<_>>();
    let inserts = numbers.chunks(1_000).map(|chunk| batch(chunk.iter().copied())).collect();
    let inserts = post(inserts, "/group-dispatch-api/whatsapp/batchInsert");
    runtime.block_on(wire::send(empty.address, vec![inserts]));
    drop(empty);

    let full = Process::start(&data);
    let retired = full.resident();
    // Recycling what is offline changes nothing, and wakes the actor.
    let list = |chunk: &[u64]| {
        let quoted: Vec<String> = chunk.iter().map(|number| format!("\"{number}\"")).collect();
        format!(r#"{{"whatsAppList":[{}]}}"#, quoted.join(","))
    };
    let wakes = numbers[..active as usize].chunks(1_000).map(list).collect();
    runtime.block_on(wire::send(full.address, vec![post(wakes, "/group-dispatch-api/whatsapp/batchRecycle")]));
    let with_actors = full.resident();
    println!("\nmemory: the process with {accounts} accounts, all retired, and with {active} of them active");
    println!("    resident: empty {before} bytes, retired {retired} bytes, active {with_actors} bytes");
    println!("    {} bytes per retired account", retired.saturating_sub(before) / accounts);
    println!("    {} bytes per active actor", with_actors.saturating_sub(retired) / active);
}

impl Process {
    fn start(data: &Path) -> Process {
        // The store's cache is kept small, because this is about accounts.
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .env_clear()
            .env("MUSTER_STORE__CACHE_BYTES", "1048576")
            .env("MUSTER_ACTORS__IDLE_AFTER", "1h")
            .env("MUSTER_LOG__FILTER", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("http://").unwrap().1.parse().unwrap();
        Process { child, address }
    }

    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Process {
    /// Asks it to stop, so that the next one starts from a checkpoint.
    fn drop(&mut self) {
        let _gone = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _gone = self.child.wait();
    }
}

//! `muster vault`: the master key.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Error;
use super::api_client::{ApiRequest, JSON, RequestArgs};
use super::listing_output;
use super::progress::ProgressDisplay;

/// Show and rotate the master key
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct VaultArgs {
    #[command(subcommand)]
    verb: VaultVerb,
}

#[derive(Subcommand)]
enum VaultVerb {
    Show(ShowVaultArgs),
    Rotate(RotateArgs),
}

/// Show the master key's id, source and rotation
#[derive(clap::Args)]
struct ShowVaultArgs {
    #[command(flatten)]
    request: RequestArgs,
}

/// Rotate the master key while the service runs
#[derive(clap::Args)]
struct RotateArgs {
    /// The file with the new key, on the service's machine [default: generate one, if the key is in a file]
    #[arg(long, value_name = "PATH")]
    new_key_file: Option<PathBuf>,
    /// Revert a running or failed rotation: seal everything with the old key again
    #[arg(long, conflicts_with = "new_key_file")]
    abort: bool,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "Examples:
  muster vault rotate                                     generate a new key, and store it in the master key's file
  (umask 077; openssl rand -hex 32 > /run/keys/new.key)   generate a key yourself
  muster vault rotate --new-key-file /run/keys/new.key
  muster vault rotate --abort                             revert a rotation that does not complete
  muster vault show

After an interruption, a start with the old or the new key continues the rotation or its reversal. The last line of the
output says what to do with the key. Needs a running service; show and --abort also work on a directory without one
(--data-dir).

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl VaultArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            VaultVerb::Show(ShowVaultArgs { request }) => {
                let client = request.source.open()?;
                let value = match client.master_key_status() {
                    Some(status) => json!(status?),
                    None => client.request_json(&ApiRequest { method: "GET", path: "vault", accept: JSON })?,
                };
                listing_output::print_value(request.output, &value)
            }
            VaultVerb::Rotate(verb) => verb.run(),
        }
    }
}

impl RotateArgs {
    fn run(&self) -> Result<(), Error> {
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |source| Error::FileAccess { what: "find", path, source }
        };
        let file =
            self.new_key_file.as_ref().map(|path| std::path::absolute(path).map_err(failed(path))).transpose()?;
        let body = if self.abort { Some(json!({"abort": true})) } else { file.map(|file| json!({"newKeyFile": file})) };
        let client = self.request.source.open()?;
        if let Some(report) = self.abort.then(|| client.abort_rotation()).flatten() {
            return listing_output::print_value(self.request.output, &json!(report?));
        }
        let bar = ProgressDisplay::with_unit("rotating", "accounts");
        let (mut line, mut last) = (Vec::new(), Value::Null);
        client.submit_streaming("POST", "vault/rotate", body.as_ref(), |piece| {
            for byte in piece {
                if *byte != b'\n' {
                    line.push(*byte);
                    continue;
                }
                last = serde_json::from_slice(&line).unwrap_or_default();
                line.clear();
                if let (Some(done), Some(of)) = (last["done"].as_u64(), last["of"].as_u64()) {
                    bar.set_position(done, of);
                }
            }
            Ok(())
        })?;
        drop(bar);
        if last["next"].is_string() {
            return listing_output::print_value(self.request.output, &last);
        }
        let interrupted = "the service ended before the rotation; its next start completes it. To revert it, run `muster \
            vault rotate --abort` before it is complete";
        let detail = last["error"].as_str().unwrap_or(interrupted).to_owned();
        Err(Error::ErrorResponse { status: 500, detail, is_fault: false })
    }
}

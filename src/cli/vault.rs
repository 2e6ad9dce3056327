//! `muster vault`: the master key.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Error;
use super::api_client::{ApiRequest, JSON, RequestArgs};
use super::listing_output;
use super::progress::ProgressDisplay;

/// Show how the master key is, and rotate it while the service runs
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

/// Show where the master key comes from, and how far a rotation is
#[derive(clap::Args)]
struct ShowVaultArgs {
    #[command(flatten)]
    request: RequestArgs,
}

/// Rotate the master key: seal everything under another one, while the service goes on
#[derive(clap::Args)]
struct RotateArgs {
    /// The file with the new key, on the machine of the service [default: one is drawn, if the key is in a file]
    #[arg(long, value_name = "PATH")]
    new_key_file: Option<PathBuf>,
    /// Undo the rotation that is under way or broken off: everything is sealed with the old key again
    #[arg(long, conflicts_with = "new_key_file")]
    abort: bool,
    #[command(flatten)]
    request: RequestArgs,
}

const EXAMPLES: &str = "\
Examples:
  muster vault rotate                                     draw a new key, and put it into the master key's file
  (umask 077; openssl rand -hex 32 > /run/keys/new.key)   make a key oneself
  muster vault rotate --new-key-file /run/keys/new.key
  muster vault rotate --abort                             undo a rotation that does not come to its end
  muster vault show

Whatever happens meanwhile, a start with the old key or the new one goes on where it was, and finishes the rotation or
its undoing. The last line says what to do with the key. It takes a running service; --abort also works on a data
directory that none uses (--data-dir).

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl VaultArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            VaultVerb::Show(ShowVaultArgs { request }) => {
                let value =
                    request.source.open()?.request_json(&ApiRequest { method: "GET", path: "vault", accept: JSON })?;
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
        let open = self.request.source.open()?;
        if let Some(undone) = self.abort.then(|| open.abort_rotation()).flatten() {
            return listing_output::print_value(self.request.output, &json!(undone?));
        }
        let bar = ProgressDisplay::with_unit("rotating", "accounts");
        let (mut line, mut last) = (Vec::new(), Value::Null);
        open.submit_streaming("POST", "vault/rotate", body.as_ref(), |piece| {
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
        let broken = "the service ended before the rotation did; its next start finishes it, and then \
                      `muster vault rotate --abort` undoes it unless it has come to its end";
        let detail = last["error"].as_str().unwrap_or(broken).to_owned();
        Err(Error::ErrorResponse { status: 500, detail, is_fault: false })
    }
}

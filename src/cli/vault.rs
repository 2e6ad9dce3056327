//! `muster vault`: the master key.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::Error;
use super::api_client::RequestArgs;
use super::listing_output;
use super::progress::ProgressDisplay;
use crate::domain::escape_controls;

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
    #[command(flatten)]
    old_key: OldKeyArgs,
    /// Revert a running or failed rotation: seal everything with the old key again
    #[arg(long, conflicts_with_all = ["new_key_file", "OldKeyArgs"])]
    abort: bool,
    #[command(flatten)]
    request: RequestArgs,
}

/// What becomes of the old key. A rotation needs one of these.
#[derive(clap::Args)]
#[group(multiple = false)]
struct OldKeyArgs {
    /// Keep the old key in this new file, on the service's machine
    #[arg(long, value_name = "PATH")]
    keep_old_key: Option<PathBuf>,
    /// Give up the old key, and with it the backups that need it
    #[arg(long)]
    discard_old_key: bool,
    /// Confirm that you keep the old key, if it comes from a command or the environment
    #[arg(long)]
    old_key_is_kept: bool,
}

const EXAMPLES: &str = "Examples:
  muster vault show                                       show the master key's id, and the backups that need it
  muster vault rotate --keep-old-key /safe/old.key        generate a new key, and store it in the master key's file
  muster vault rotate --discard-old-key                   the same, without a copy of the old key
  (umask 077; openssl rand -hex 32 > /run/keys/new.key)   generate a key yourself
  muster vault rotate --new-key-file /run/keys/new.key --keep-old-key /safe/old.key
  muster vault rotate --abort                             revert a rotation that does not complete

The old key opens the backups from before the rotation. --keep-old-key writes it before anything changes, and never
overwrites a file. After an interruption, a start with the old or the new key continues the rotation or its reversal.
The last line of the output says what to do with the key. Needs a running service; show and --abort also work on a
directory without one (--data-dir).

Exit codes: 0 done, 1 failed, 2 wrong usage.";

impl VaultArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        match &self.verb {
            VaultVerb::Show(ShowVaultArgs { request }) => {
                listing_output::print_value(request.output, &request.source.open()?.show_master_key()?)
            }
            VaultVerb::Rotate(verb) => verb.run(),
        }
    }
}

impl RotateArgs {
    fn run(&self) -> Result<(), Error> {
        let client = self.request.source.open()?;
        if let Some(report) = self.abort.then(|| client.abort_rotation()).flatten() {
            return listing_output::print_value(self.request.output, &json!(report?));
        }
        let body = self.request_body()?;
        if !self.abort {
            let affected = describe_affected_backups(&client.show_master_key()?);
            if !self.old_key.is_given() {
                return Err(Error::OldKeyUndecided { affected });
            }
            let _unread = write!(io::stderr().lock(), "{affected}");
        }
        let bar = ProgressDisplay::with_unit("rotating", "accounts");
        let (mut line, mut last) = (Vec::new(), Value::Null);
        client.submit_streaming("POST", "vault/rotate", Some(&body), |piece| {
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

    /// The body of the request.
    fn request_body(&self) -> Result<Value, Error> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path).map_err(|source| Error::FileAccess { what: "find", path: path.clone(), source })
        };
        let mut body = Map::new();
        if self.abort {
            body.insert("abort".to_owned(), json!(true));
        }
        if let Some(path) = &self.new_key_file {
            body.insert("newKeyFile".to_owned(), json!(absolute(path)?));
        }
        if let Some(path) = &self.old_key.keep_old_key {
            body.insert("keepOldKey".to_owned(), json!(absolute(path)?));
        }
        if self.old_key.discard_old_key {
            body.insert("discardOldKey".to_owned(), json!(true));
        }
        if self.old_key.old_key_is_kept {
            body.insert("oldKeyIsKept".to_owned(), json!(true));
        }
        Ok(Value::Object(body))
    }
}

impl OldKeyArgs {
    fn is_given(&self) -> bool {
        self.keep_old_key.is_some() || self.discard_old_key || self.old_key_is_kept
    }
}

/// The backups that need the key that a rotation replaces, for people.
fn describe_affected_backups(master_key: &Value) -> String {
    let id = master_key["previousId"].as_str().or(master_key["id"].as_str()).map(escape_controls).unwrap_or_default();
    let backups = &master_key["backups"];
    let (count, latest) = (backups["count"].as_u64().unwrap_or_default(), backups["latest"].as_array());
    let latest = latest.map(Vec::as_slice).unwrap_or_default();
    if latest.is_empty() {
        return format!("the audit log knows no backup that needs the old key {id}\n");
    }
    let mut text = format!("these backups need the old key {id}:\n");
    for backup in latest {
        let field = |name: &str| escape_controls(backup[name].as_str().unwrap_or_default());
        let (at, event, position) = (field("at"), field("event"), field("position"));
        let _infallible = writeln!(text, "  {at}  {event}, up to event {position}");
    }
    let earlier = count.saturating_sub(latest.len() as u64);
    if earlier > 0 {
        let _infallible = writeln!(text, "  and {earlier} earlier ones");
    }
    text
}

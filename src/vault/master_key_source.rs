//! The source of the master key: a file, a command that prints it, or the environment.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use zeroize::Zeroizing;

use super::cipher::SymmetricKey;
use super::master_key_id::{MasterKeyId, NeededKey};
use super::{Error, master_key_file};
use crate::config;
use crate::limits::{MASTER_KEY_COMMAND_POLL, MASTER_KEY_COMMAND_TIMEOUT, MASTER_KEY_TEXT_BYTES};
use crate::store::Store;

/// The source of the master key. It has no `Debug`, because it may hold the key.
pub(super) enum MasterKeySource {
    /// A file that holds only the key.
    File {
        /// The file.
        path: PathBuf,
        /// Whether the settings name it. Only the default file is created by itself.
        is_named: bool,
    },
    /// The output of a program, given as its path and its arguments.
    Command(Vec<String>),
    /// An environment variable.
    Environment(config::SecretText),
}

impl MasterKeySource {
    /// The source that the settings select; the default is a file. At most one of them is set.
    pub(super) fn from_settings(store: &Store, settings: &config::VaultSettings) -> MasterKeySource {
        let config::VaultSettings { master_key_file, master_key_command, master_key } = settings;
        match (master_key, master_key_command) {
            (Some(text), _) => MasterKeySource::Environment(text.clone()),
            (None, Some(command)) => MasterKeySource::Command(command.clone()),
            (None, None) => {
                let default = || master_key_file::default_path(store.path());
                MasterKeySource::File {
                    path: master_key_file.clone().unwrap_or_else(default),
                    is_named: master_key_file.is_some(),
                }
            }
        }
    }

    /// Reads the key. With `may_create`, a missing default file gets a random key.
    pub(super) fn load(&self, may_create: bool) -> Result<SymmetricKey, Error> {
        match self {
            MasterKeySource::File { path, is_named } => match master_key_file::read(path)? {
                Some(key) => {
                    master_key_file::remove_leftovers(path);
                    Ok(key)
                }
                None if !may_create => Err(Error::MasterKeyMissing { path: path.clone() }),
                None if *is_named => Err(Error::NamedMasterKeyMissing { path: path.clone() }),
                None => master_key_file::create(path),
            },
            MasterKeySource::Command(command) => read_from_command(command),
            MasterKeySource::Environment(text) => {
                master_key_file::parse(text.text().as_bytes()).map_err(Error::NoKeyInEnvironment)
            }
        }
    }

    /// The setting that selects this source.
    pub(super) fn setting(&self) -> &'static str {
        match self {
            MasterKeySource::File { .. } => "vault.master_key_file",
            MasterKeySource::Command(_) => "vault.master_key_command",
            MasterKeySource::Environment(_) => "vault.master_key",
        }
    }

    /// The error for a key of this source that does not open the store.
    pub(super) fn wrong_key_error(&self, key: &SymmetricKey, needed: NeededKey) -> Error {
        let id = MasterKeyId::of(key);
        let held = match self {
            MasterKeySource::File { path, .. } => format!("the file holds {id} ({})", path.display()),
            MasterKeySource::Command(_) => format!("the command prints {id}"),
            MasterKeySource::Environment(_) => format!("the environment holds {id}"),
        };
        Error::WrongMasterKey { needed, held, setting: self.setting() }
    }
}

/// The key that a command prints. The command runs without a shell. Its standard error is discarded, because it may
/// contain the key.
fn read_from_command(command: &[String]) -> Result<SymmetricKey, Error> {
    let program = command.first().cloned().unwrap_or_default();
    let wrong = |words: String| Error::MasterKeyCommand { program: program.clone(), words };
    let mut child = Command::new(&program)
        .args(command.iter().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| wrong(format!("cannot be run: {error}")))?;
    let stdout = child.stdout.take();
    let (sender, receiver) = mpsc::channel();
    let deadline = Instant::now() + MASTER_KEY_COMMAND_TIMEOUT;
    let reader = thread::Builder::new().name("master key".to_owned()).spawn(move || {
        let mut text = Zeroizing::new(String::with_capacity(MASTER_KEY_TEXT_BYTES));
        let read = stdout.map(|stdout| stdout.take(MASTER_KEY_TEXT_BYTES as u64).read_to_string(&mut text));
        // After the deadline the receiver is gone.
        let _late = sender.send((text, read.is_some_and(|read| read.is_ok())));
    });
    reader.map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let output = receiver.recv_timeout(MASTER_KEY_COMMAND_TIMEOUT).ok();
    let Some(((text, is_text), status)) =
        output.and_then(|output| Some((output, wait_for_exit(&mut child, deadline)?)))
    else {
        // The process may have ended by itself already.
        let _gone = child.kill();
        let _gone = child.wait();
        return Err(wrong(format!("did not end within {} s", MASTER_KEY_COMMAND_TIMEOUT.as_secs())));
    };
    if !status.success() {
        return Err(wrong(format!("failed ({status})")));
    }
    let wrong_form =
        |form: &str| wrong(format!("must print only the master key, as 64 hexadecimal digits, but {form}"));
    if !is_text {
        return Err(wrong_form("its output is not text"));
    }
    master_key_file::parse(text.trim().as_bytes()).map_err(|form| wrong_form(&form.to_string()))
}

/// The exit status of a program, if it ends before the deadline. Its output is complete, so it is about to end.
fn wait_for_exit(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(MASTER_KEY_COMMAND_POLL),
            Ok(None) | Err(_) => return None,
        }
    }
}

//! A data directory, and what a start opens on it first.

use muster::config::Settings;
use muster::journal::Journal;
use muster::projections::Roster;
use muster::store::Store;
use muster::vault::Vault;
use tempfile::TempDir;

/// A store with its journal, its roster, which follows the journal, and its vault. The directory goes with it.
pub struct Fixture {
    pub settings: Settings,
    pub store: Store,
    pub journal: Journal,
    pub roster: Roster,
    pub vault: Vault,
    pub directory: TempDir,
}

impl Fixture {
    /// On a new directory.
    pub fn new() -> Fixture {
        let (settings, directory) = (Settings::default(), directory());
        let store = Store::open(&directory.path().join("data"), &settings.store).unwrap();
        let roster = Roster::open(&store);
        let following = roster.clone();
        let journal = Journal::open(store.clone(), Box::new(move |records| following.apply(records))).unwrap();
        let vault = Vault::open(store.clone(), &settings.vault).unwrap();
        Fixture { settings, store, journal, roster, vault, directory }
    }
}

/// A new directory. Where the binary is tested and measured it is on the disk of the build; in memory a sync would be
/// nothing.
pub fn directory() -> TempDir {
    match option_env!("CARGO_TARGET_TMPDIR") {
        Some(disk) => TempDir::new_in(disk),
        None => TempDir::new(),
    }
    .unwrap()
}

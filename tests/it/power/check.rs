//! Checks a disk after a power cut: opens it as a start would, and compares it with the answered commands.

use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use muster::audit::TransparencyLog;
use muster::config::Settings;
use muster::domain::Event;
use muster::journal::{Journal, JournalRecord};
use muster::projections::Roster;
use muster::store::Store;
use muster::vault::Vault;

use super::load::{AnsweredCommand, SampleContent};
use crate::service_process::read_all_records;

/// How many of the last events have their secrets checked: power took from these, if from any.
const RECENT: usize = 50;
/// The sampling interval for the other events.
const SAMPLE: usize = 64;

/// Opens `data`, and says what is wrong with it.
pub fn check(data: &Path, answered: &[&AnsweredCommand]) -> Result<(), String> {
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let opened = OpenedData::open(data)?;
        let report = opened.journal.verify().map_err(|error| format!("it does not verify: {error}"))?;
        let records = read_all_records(&opened.journal);
        if records.len() as u64 != report.events {
            return Err(format!("{} events verify, {} can be read", report.events, records.len()));
        }
        opened.check_answered(&records, answered)?;
        opened.check_secrets(&records)
    }));
    checked.unwrap_or_else(|panic| Err(format!("it panics: {}", words(&*panic))))
}

struct OpenedData {
    vault: Vault,
    roster: Roster,
    journal: Journal,
}

impl OpenedData {
    /// Opens in the order of `service`.
    fn open(data: &Path) -> Result<OpenedData, String> {
        let refused = |error: &dyn std::fmt::Display| format!("it does not open: {error}");
        let settings = Settings::default();
        let store = Store::open(data, &settings.store).map_err(|error| refused(&error))?;
        let vault = Vault::open(store.clone(), &settings.vault).map_err(|error| refused(&error))?;
        let (roster, journal) = Roster::open_with_journal(&store).map_err(|error| refused(&error))?;
        let key = vault.load_or_create_log_key().map_err(|error| refused(&error))?;
        TransparencyLog::open(&store, &journal, key).map_err(|error| refused(&error))?;
        Ok(OpenedData { vault, roster, journal })
    }

    /// Every answered command has its events, and its accounts are listed.
    fn check_answered(&self, records: &[JournalRecord], answered: &[&AnsweredCommand]) -> Result<(), String> {
        let events = records.iter().filter_map(|record| Some((record.origin.request, record.account_event()?.0)));
        let stored: HashSet<_> = events.collect();
        let asked = answered.iter().flat_map(|it| it.accounts.iter().map(|account| (it.request, *account)));
        let lost: Vec<_> = asked.clone().filter(|it| !stored.contains(it)).collect();
        if !lost.is_empty() {
            return Err(format!("{} of {} answered changes are lost: {lost:?}", lost.len(), asked.count()));
        }
        match stored.iter().find(|(_, account)| !self.roster.contains(*account)) {
            Some((_, account)) => Err(format!("the account list lacks {account}")),
            None => Ok(()),
        }
    }

    /// The data keys of the accounts are there: the same content has the same fingerprint.
    fn check_secrets(&self, records: &[JournalRecord]) -> Result<(), String> {
        let recent = records.len().saturating_sub(RECENT);
        let looked_at = records.iter().enumerate().filter(|(index, _)| *index >= recent || index % SAMPLE == 0);
        for (_, record) in looked_at {
            let Some((account, Event::AccountImported { content, .. })) = record.account_event() else { continue };
            let again = self.vault.seal_content(account, &SampleContent::of(account).clear());
            let again = again.map_err(|error| format!("the key of {account} does not open: {error}"))?;
            if again.fingerprint != content.fingerprint {
                return Err(format!("the key of {account} is lost"));
            }
        }
        Ok(())
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}

//! A data directory without a running service. A verb calls the API on it.

use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::Error;
use crate::api::{ByteSource, Call, Operation, PageReader, Problem};
use crate::audit::{Audit, EventView};
use crate::service::OfflineDirectory;

/// A data directory without a service.
pub(super) struct OfflineSource<'c> {
    directory: &'c OfflineDirectory,
    runtime: &'c Runtime,
}

impl<'c> OfflineSource<'c> {
    pub(super) fn new(directory: &'c OfflineDirectory, runtime: &'c Runtime) -> OfflineSource<'c> {
        OfflineSource { directory, runtime }
    }

    /// The audit of the directory's journal.
    pub(super) fn audit(&self) -> &Audit {
        self.directory.audit()
    }

    /// Calls an operation of the API.
    pub(super) fn call<T>(
        &self,
        operation: Operation,
        run: impl AsyncFnOnce(&Call) -> Result<T, Problem>,
    ) -> Result<T, Error> {
        let result = self.runtime.block_on(async {
            let call = self.directory.call(operation)?;
            run(&call).await
        });
        result.map_err(|problem| match (problem.status, self.directory.missing_key()) {
            // The master key is missing. The API does not know the reason, but the directory does.
            (503, Some(why)) => Error::ErrorResponse { status: 503, detail: why.to_string(), is_fault: false },
            (_, _) => problem.into(),
        })
    }

    /// Calls an operation of the API, and returns its result as JSON.
    pub(super) fn call_json<T: Serialize>(
        &self,
        operation: Operation,
        run: impl AsyncFnOnce(&Call) -> Result<T, Problem>,
    ) -> Result<Value, Error> {
        Ok(serde_json::to_value(self.call(operation, run)?).unwrap_or_default())
    }
}

/// Passes a long result from a data directory to `take`, piece by piece.
pub(super) fn take_bytes(source: ByteSource, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut failure = None;
    let produced = source.write_to(&mut |piece| match take(&piece) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    });
    match failure {
        Some(error) => Err(error),
        None => produced.map_err(|problem| unreadable_directory_error(&problem)),
    }
}

/// Passes events from a data directory to `take`, as lines of JSON.
pub(super) fn take_events(
    pages: PageReader<EventView>,
    take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    take_lines(pages, EventView::to_json, take)
}

/// Passes records from a data directory to `take`, each as a line of JSON.
pub(super) fn take_lines<T>(
    pages: PageReader<T>,
    to_json: fn(&T) -> Vec<u8>,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    for page in pages {
        let mut lines = Vec::new();
        for record in page.map_err(|problem| unreadable_directory_error(&problem))? {
            lines.extend(to_json(&record));
            lines.push(b'\n');
        }
        take(&lines)?;
    }
    Ok(())
}

/// The error for a long result that is incomplete.
fn unreadable_directory_error(problem: &Problem) -> Error {
    let advice = "the result is incomplete; check with `muster verify` that the journal is not damaged";
    Error::Unreachable { server: "the data directory".to_owned(), why: problem.detail.clone(), advice }
}

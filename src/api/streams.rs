//! Responses that are too long for one page. They are produced no faster than the client reads them. Producing them
//! blocks the thread.

use std::ops::ControlFlow;

use tokio::sync::OwnedSemaphorePermit;

use super::{Call, Problem};
use crate::audit::QueryPage;
use crate::limits::PAGE_EVENTS;

/// The permit for one streamed response.
pub struct StreamPermit {
    _permit: OwnedSemaphorePermit,
}

/// Reads one page. The arguments are the start of the page and the largest number of results.
type ReadPage<T> = Box<dyn FnMut(Option<u64>, usize) -> Result<QueryPage<T>, Problem> + Send>;

/// All results of a query, page by page. Each step blocks.
pub struct PageReader<T> {
    read: ReadPage<T>,
    /// Where the next page starts.
    from: Option<u64>,
    /// The largest number of results that may still follow.
    remaining: u64,
    _permit: StreamPermit,
}

/// Produces a body: passes each piece to the callback, until the callback returns `Break`.
type Produce = Box<dyn FnOnce(&mut dyn FnMut(Vec<u8>) -> ControlFlow<()>) -> Result<(), Problem> + Send>;

/// A long response in bytes, which are produced while they are sent.
pub struct ByteSource {
    produce: Produce,
    permit: StreamPermit,
}

impl StreamPermit {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> StreamPermit {
        StreamPermit { _permit: permit }
    }
}

impl<T> PageReader<T> {
    /// Creates a reader of at most `most` results that starts at `from`. `read` reads one page.
    pub(super) fn new(
        call: &Call,
        from: Option<u64>,
        most: u64,
        read: impl FnMut(Option<u64>, usize) -> Result<QueryPage<T>, Problem> + Send + 'static,
    ) -> Result<PageReader<T>, Problem> {
        let permit = call.api().acquire_stream_permit()?;
        call.authorize()?;
        Ok(PageReader { read: Box::new(read), from, remaining: most, _permit: permit })
    }
}

impl<T> Iterator for PageReader<T> {
    type Item = Result<Vec<T>, Problem>;

    fn next(&mut self) -> Option<Result<Vec<T>, Problem>> {
        if self.remaining == 0 {
            return None;
        }
        let limit = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(PAGE_EVENTS);
        let page = (self.read)(self.from, limit);
        self.remaining = match &page {
            Ok(QueryPage { items, next: Some(_) }) => self.remaining - items.len() as u64,
            Ok(QueryPage { next: None, .. }) | Err(_) => 0,
        };
        Some(page.map(|QueryPage { items, next }| {
            self.from = next;
            items
        }))
    }
}

impl ByteSource {
    pub(super) fn new(
        permit: StreamPermit,
        produce: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> ControlFlow<()>) -> Result<(), Problem> + Send + 'static,
    ) -> ByteSource {
        ByteSource { produce: Box::new(produce), permit }
    }

    /// Passes all pieces to `write`, until `write` returns `Break`. Blocks.
    pub fn write_to(self, write: &mut dyn FnMut(Vec<u8>) -> ControlFlow<()>) -> Result<(), Problem> {
        let ByteSource { produce, permit: _permit } = self;
        produce(write)
    }
}

//! The account list at one moment, as a response.

use std::sync::Arc;

use bytes::Bytes;

use super::gzip::{GzipPiece, GzipStream};
use super::roster_rows::{RosterRow, RowChunk};
use crate::store::StoreId;

/// The account list at one moment. Lists of all accounts share their bytes.
#[derive(Clone)]
pub struct AccountList {
    etag: String,
    content: ListContent,
}

/// The content of a list.
#[derive(Clone)]
enum ListContent {
    All(Vec<Arc<RowChunk>>),
    Some(Vec<RosterRow>),
}

/// A chunk whose bytes a response uses. While a response holds it, the next event changes a copy.
struct SharedChunk(Arc<RowChunk>);

impl AccountList {
    /// The list of all accounts. `changed` is the position and time of the last change. It distinguishes this list from
    /// all other lists that this store ever had.
    pub(super) fn all(store: StoreId, changed: (u64, i64), chunks: Vec<Arc<RowChunk>>) -> AccountList {
        let (position, at) = changed;
        AccountList { etag: format!("\"{store}-{position:x}-{at:x}\""), content: ListContent::All(chunks) }
    }

    /// A list of one account, or of no account. It copies the row: a few bytes now are cheaper than a copied chunk
    /// later.
    pub(super) fn one(store: StoreId, row: Option<RosterRow>) -> AccountList {
        let etag = match row {
            Some(RosterRow { account, status, online_status }) => {
                format!("\"{store}-{:x}-{}{}\"", account.get(), status.code(), online_status.code())
            }
            None => format!("\"{store}\""),
        };
        AccountList { etag, content: ListContent::Some(row.into_iter().collect()) }
    }

    /// A list of some accounts. `name` distinguishes it from lists of other accounts.
    pub(super) fn some(store: StoreId, changed: (u64, i64), name: &str, rows: Vec<RosterRow>) -> AccountList {
        let (position, at) = changed;
        AccountList { etag: format!("\"{store}-{position:x}-{at:x}-{name}\""), content: ListContent::Some(rows) }
    }

    /// A strong entity tag, quotes included: lists with equal tags are equal.
    pub fn etag(&self) -> String {
        self.etag.clone()
    }

    /// The response in pieces: `head`, the JSON list with its brackets, and `tail`. Together, for example,
    /// `{"data":` + `[…]` + `,"code":200}`.
    pub fn render(&self, head: &'static str, tail: &'static str) -> Vec<Bytes> {
        let mut pieces = vec![Bytes::from_static(head.as_bytes()), Bytes::from_static(b"[")];
        match &self.content {
            ListContent::All(chunks) => {
                pieces.extend(chunks.iter().map(|chunk| Bytes::from_owner(SharedChunk(chunk.clone()))));
            }
            ListContent::Some(rows) => pieces.push(Bytes::from(join_rows(rows))),
        }
        pieces.extend([Bytes::from_static(b"]"), Bytes::from_static(tail.as_bytes())]);
        pieces
    }

    /// The same response as one gzip stream. Compresses the chunks that changed since the last call, at about 0.1 ms each.
    pub fn render_gzip(&self, head: &'static str, tail: &'static str) -> Vec<Bytes> {
        let mut stream = GzipStream::new();
        stream.push(&GzipPiece::stored(format!("{head}[").as_bytes()));
        match &self.content {
            ListContent::All(chunks) => chunks.iter().for_each(|chunk| stream.push(chunk.compressed())),
            ListContent::Some(rows) => stream.push(&GzipPiece::compress(&join_rows(rows))),
        }
        stream.push(&GzipPiece::stored(format!("]{tail}").as_bytes()));
        stream.finish()
    }
}

/// The JSON of rows, separated by commas.
fn join_rows(rows: &[RosterRow]) -> Vec<u8> {
    rows.iter().map(|row| row.text()).collect::<Vec<_>>().join(&b',')
}

impl AsRef<[u8]> for SharedChunk {
    fn as_ref(&self) -> &[u8] {
        self.0.text()
    }
}

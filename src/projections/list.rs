//! The account list as it was at one moment, as an answer.

use std::sync::Arc;

use bytes::Bytes;

use super::gzip::{Piece, Stream};
use super::rows::{Chunk, Row};
use crate::store::StoreId;

/// The account list as it was at one moment; it shares its bytes with all others.
#[derive(Clone)]
pub struct AccountList {
    etag: String,
    content: Content,
}

/// What is listed.
#[derive(Clone)]
enum Content {
    All(Vec<Arc<Chunk>>),
    Some(Vec<Row>),
}

/// A chunk as the owner of bytes in an answer: what is held is not changed, but copied by the next event.
struct Held(Arc<Chunk>);

impl AccountList {
    /// The whole list. `changed` tells it apart from all others that this store ever had.
    pub(super) fn all(store: StoreId, changed: (u64, i64), chunks: Vec<Arc<Chunk>>) -> AccountList {
        let (position, at) = changed;
        AccountList { etag: format!("\"{store}-{position:x}-{at:x}\""), content: Content::All(chunks) }
    }

    /// A list of one account, or none. It holds a copy: a few bytes now are cheaper than a chunk copied for them later.
    pub(super) fn one(store: StoreId, row: Option<Row>) -> AccountList {
        let etag = match row {
            Some(Row { account, status, online_status }) => {
                format!("\"{store}-{:x}-{}{}\"", account.get(), status.code(), online_status.code())
            }
            None => format!("\"{store}\""),
        };
        AccountList { etag, content: Content::Some(row.into_iter().collect()) }
    }

    /// A list of some accounts, under a name that tells it apart from those of others.
    pub(super) fn some(store: StoreId, changed: (u64, i64), name: &str, rows: Vec<Row>) -> AccountList {
        let (position, at) = changed;
        AccountList { etag: format!("\"{store}-{position:x}-{at:x}-{name}\""), content: Content::Some(rows) }
    }

    /// A strong entity tag, quotes included: lists with equal tags are equal.
    pub fn etag(&self) -> String {
        self.etag.clone()
    }

    /// `head`, the JSON list with its brackets, and `tail`, in pieces: `{"data":` + `[…]` + `,"code":200}`.
    pub fn render(&self, head: &'static str, tail: &'static str) -> Vec<Bytes> {
        let mut pieces = vec![Bytes::from_static(head.as_bytes()), Bytes::from_static(b"[")];
        match &self.content {
            Content::All(chunks) => pieces.extend(chunks.iter().map(|chunk| Bytes::from_owner(Held(chunk.clone())))),
            Content::Some(rows) => pieces.push(Bytes::from(joined(rows))),
        }
        pieces.extend([Bytes::from_static(b"]"), Bytes::from_static(tail.as_bytes())]);
        pieces
    }

    /// The same, as one gzip stream. Chunks that changed since they were last asked for are compressed for it, which
    /// takes about a tenth of a millisecond each.
    pub fn render_gzip(&self, head: &'static str, tail: &'static str) -> Vec<Bytes> {
        let mut stream = Stream::new();
        stream.push(&Piece::stored(format!("{head}[").as_bytes()));
        match &self.content {
            Content::All(chunks) => chunks.iter().for_each(|chunk| stream.push(chunk.compressed())),
            Content::Some(rows) => stream.push(&Piece::compress(&joined(rows))),
        }
        stream.push(&Piece::stored(format!("]{tail}").as_bytes()));
        stream.finish()
    }
}

/// The JSON of rows, with commas between.
fn joined(rows: &[Row]) -> Vec<u8> {
    rows.iter().map(|row| row.text()).collect::<Vec<_>>().join(&b',')
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.0.text()
    }
}

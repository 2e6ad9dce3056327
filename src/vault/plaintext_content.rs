//! The canonical bytes of an account's imported content.

use zeroize::Zeroizing;

use crate::domain::{AccountType, ContentField, ContentTexts};

/// The content that a caller imports with an account, secrets in plaintext. It has no `Debug`, and lives no longer
/// than the request.
#[derive(Clone)]
pub struct PlaintextContent<'a> {
    /// Personal or business.
    pub account_type: AccountType,
    /// All texts.
    pub texts: ContentTexts<&'a str>,
}

impl PlaintextContent<'_> {
    /// The canonical bytes: equal bytes mean equal content. Frozen, because stored fingerprints cover these bytes.
    pub(super) fn canonical_bytes(&self) -> Zeroizing<Vec<u8>> {
        length_prefixed(&[self.account_type.code()], &self.encoded_texts(|_| true))
    }

    /// The bytes of the secret fields. Frozen, because sealed contents hold these bytes.
    pub(super) fn secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        length_prefixed(&[], &self.encoded_texts(ContentField::is_sealed))
    }

    /// The texts of the chosen fields in their order. Newer fields at the end are left out if they are missing, so
    /// that content without them keeps its bytes.
    fn encoded_texts(&self, is_chosen: fn(ContentField) -> bool) -> Vec<Option<&str>> {
        let mut fields: Vec<ContentField> = ContentField::ALL.into_iter().filter(|field| is_chosen(*field)).collect();
        while fields.pop_if(|field| field.is_newer() && self.texts.get(*field).is_none()).is_some() {}
        fields.into_iter().map(|field| self.texts.get(field).copied()).collect()
    }
}

/// The secret fields of a content, in plaintext. It has no `Debug`, and lives no longer than the request that sends
/// it.
pub struct ContentSecrets(ContentTexts<Zeroizing<String>>);

impl ContentSecrets {
    /// The text of a secret field, if there was one.
    pub fn get(&self, field: ContentField) -> Option<&str> {
        self.0.get(field).map(|text| text.as_str())
    }

    /// Decodes the bytes from [`PlaintextContent::secret_bytes`]. `None` if they are malformed.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<ContentSecrets> {
        let mut texts = ContentTexts::default();
        for field in ContentField::ALL.into_iter().filter(|field| field.is_sealed()) {
            if bytes.is_empty() && field.is_newer() {
                break;
            }
            let text = decode_text(&mut bytes)?;
            if text.is_none() && field.is_required() {
                return None;
            }
            *texts.slot(field) = text;
        }
        bytes.is_empty().then_some(ContentSecrets(texts))
    }
}

/// Encodes each text as 1, length and bytes, or as 0 if it is missing. Different lists never give the same bytes.
/// Reserves the full size first, because a growing vector leaves copies of secrets behind.
fn length_prefixed(head: &[u8], texts: &[Option<&str>]) -> Zeroizing<Vec<u8>> {
    let length = head.len() + texts.iter().map(|text| 5 + text.map_or(0, str::len)).sum::<usize>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend_from_slice(head);
    for text in texts {
        match text {
            Some(text) => {
                bytes.push(1);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            None => bytes.push(0),
        }
    }
    bytes
}

/// Takes one text of [`length_prefixed`] off the front. The outer `None` means malformed bytes.
fn decode_text(bytes: &mut &[u8]) -> Option<Option<Zeroizing<String>>> {
    let (is_there, rest) = bytes.split_first()?;
    if *is_there == 0 {
        *bytes = rest;
        return Some(None);
    }
    let (length, rest) = rest.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *bytes = rest;
    Some(Some(Zeroizing::new(str::from_utf8(text).ok()?.to_owned())))
}

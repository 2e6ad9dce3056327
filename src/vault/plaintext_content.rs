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
    /// The canonical bytes: equal bytes mean equal content. An empty text and a missing one are equal.
    pub(super) fn canonical_bytes(&self) -> Zeroizing<Vec<u8>> {
        let canonical_text = |field: ContentField| {
            let text = self.texts.get(field).copied().filter(|text| !text.is_empty());
            // Older programs wrote required texts as present and missing ones as absent. Most fingerprints stay the same.
            (field.index(), if field.is_required() { Some(text.unwrap_or_default()) } else { text })
        };
        encode_texts(&[self.account_type.code()], &ContentField::ALL.map(canonical_text))
    }

    /// The bytes of the secret fields, for sealing. They keep the difference between an empty text and a missing one.
    pub(super) fn secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let sealed = ContentField::ALL.into_iter().filter(|field| field.is_sealed());
        let texts: Vec<_> = sealed.map(|field| (field.index(), self.texts.get(field).copied())).collect();
        encode_texts(&[], &texts)
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
            let text = decode_text(&mut bytes, field.index())?;
            if text.is_none() && field.is_required() {
                return None;
            }
            *texts.slot(field) = text;
        }
        bytes.is_empty().then_some(ContentSecrets(texts))
    }
}

/// The byte before an original field's text. A missing text has the byte 0 in its place.
const PRESENT: u8 = 1;

/// Encodes texts, each with the index of its field, in the order of the fields. A text is a tag, its length and its
/// bytes. The tag is [`PRESENT`] for an original field, and the index for a newer one. A missing text is the byte 0 for
/// an original field, and nothing for a newer one. Different lists never give the same bytes.
///
/// Frozen: stored fingerprints cover these bytes, and sealed contents hold them.
pub(super) fn encode_texts(head: &[u8], texts: &[(u8, Option<&str>)]) -> Zeroizing<Vec<u8>> {
    // A growing vector would leave copies of secrets behind, so the full size is reserved first.
    let length = head.len() + texts.iter().map(|(_, text)| 5 + text.map_or(0, str::len)).sum::<usize>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend_from_slice(head);
    for (index, text) in texts {
        let is_newer = *index >= ContentField::ORIGINAL_COUNT;
        match text {
            Some(text) => {
                bytes.push(if is_newer { *index } else { PRESENT });
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            None if is_newer => {}
            None => bytes.push(0),
        }
    }
    bytes
}

/// Takes the text of the field with this index off the front of what [`encode_texts`] wrote. The outer `None` means
/// malformed bytes.
pub(super) fn decode_text(bytes: &mut &[u8], index: u8) -> Option<Option<Zeroizing<String>>> {
    let is_newer = index >= ContentField::ORIGINAL_COUNT;
    let rest = match bytes.split_first() {
        Some((tag, rest)) if *tag == if is_newer { index } else { PRESENT } => rest,
        Some((0, rest)) if !is_newer => {
            *bytes = rest;
            return Some(None);
        }
        // The next field's text follows. If there is no such field, bytes are left over, which is malformed.
        Some(_) | None => return is_newer.then_some(None),
    };
    let (length, rest) = rest.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *bytes = rest;
    Some(Some(Zeroizing::new(str::from_utf8(text).ok()?.to_owned())))
}

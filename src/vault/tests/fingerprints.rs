//! The canonical bytes of a content, and the fingerprints that cover them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::plaintext_content::{decode_text, encode_texts};
use super::*;

const MINE: &str = "861821726232";

/// Texts by the index of their field: of the original fields all, of the newer ones some.
type IndexedTexts = Vec<(u8, Option<String>)>;

fn borrowed(texts: &IndexedTexts) -> Vec<(u8, Option<&str>)> {
    texts.iter().map(|(index, text)| (*index, text.as_deref())).collect()
}

fn encode(texts: &IndexedTexts) -> Vec<u8> {
    encode_texts(&[1], &borrowed(texts)).to_vec()
}

/// Decodes the texts of these fields. `None` if the bytes are malformed.
fn decode(mut bytes: &[u8], fields: &IndexedTexts) -> Option<IndexedTexts> {
    let decoded = fields.iter().map(|(index, _)| {
        decode_text(&mut bytes, *index).map(|text| (*index, text.map(|text| text.as_str().to_owned())))
    });
    let decoded = decoded.collect::<Option<_>>()?;
    bytes.is_empty().then_some(decoded)
}

/// The bytes that version 0.1 covered with a fingerprint.
fn bytes_of_0_1(content: &PlaintextContent<'_>) -> Vec<u8> {
    let texts = ContentField::ALL.into_iter().filter(|field| !field.is_newer()).map(|field| content.texts.get(field));
    let encoded = texts.flat_map(|text| match text {
        Some(text) => [&[1], &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat(),
        None => vec![0],
    });
    [content.account_type.code()].into_iter().chain(encoded).collect()
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[\\x00\\x01\\x0aa]{0,2}")
}

fn any_texts() -> impl Strategy<Value = IndexedTexts> {
    let original = prop::collection::vec(any_text(), usize::from(ContentField::ORIGINAL_COUNT));
    let newer = prop::collection::btree_map(ContentField::ORIGINAL_COUNT.., any_text(), 0..5);
    (original, newer).prop_map(|(original, newer)| (0..).zip(original).chain(newer).collect())
}

/// The texts of all fields, required ones present.
fn any_content_texts() -> impl Strategy<Value = Vec<Option<String>>> {
    prop::collection::vec(any_text(), ContentField::ALL.len()).prop_map(|mut texts| {
        for field in ContentField::ALL.into_iter().filter(|field| field.is_required()) {
            texts[usize::from(field.index())].get_or_insert_default();
        }
        texts
    })
}

fn content_of(texts: &[Option<String>]) -> PlaintextContent<'_> {
    let text = |field: ContentField| texts[usize::from(field.index())].as_deref();
    PlaintextContent { account_type: AccountType::Business, texts: ContentTexts::from_fn(text) }
}

proptest! {
    /// So no two lists have the same bytes, whichever fields are newer.
    #[test]
    fn texts_are_decoded_as_they_were_encoded(texts in any_texts()) {
        let bytes = encode(&texts);
        prop_assert_eq!(decode(&bytes[1..], &texts), Some(texts));
    }

    /// A field that comes later, wherever it stands among others, changes no bytes while its text is missing.
    #[test]
    fn a_missing_newer_text_adds_nothing(texts in any_texts(), index in ContentField::ORIGINAL_COUNT..) {
        let mut with_missing: BTreeMap<_, _> = texts.iter().cloned().collect();
        with_missing.insert(index, None);
        let without = texts.into_iter().filter(|(other, _)| *other != index).collect();
        let with_missing = with_missing.into_iter().collect();
        prop_assert_eq!(encode(&with_missing), encode(&without));
        prop_assert_eq!(decode(&encode(&without)[1..], &with_missing), Some(with_missing));
    }

    #[test]
    fn unknown_and_unordered_newer_texts_are_malformed(texts in any_texts(), index in ContentField::ORIGINAL_COUNT..) {
        let known = texts.into_iter().filter(|(other, _)| *other != index).collect();
        let extra = encode(&vec![(index, Some("a".to_owned()))]);
        prop_assert_eq!(decode(&[&encode(&known)[1..], &extra[1..]].concat(), &known), None);
        let mut twice = encode(&known);
        twice.extend(extra[1..].repeat(2));
        let known = known.into_iter().chain([(index, None)]).collect();
        prop_assert_eq!(decode(&twice[1..], &known), None);
    }

    /// Canonical bytes are equal exactly for the same content, where an empty text and a missing one are the same.
    #[test]
    fn canonical_bytes_tell_contents_apart(one in any_content_texts(), other in any_content_texts()) {
        let without_empty = |texts: &[Option<String>]| -> Vec<Option<String>> {
            texts.iter().map(|text| text.clone().filter(|text| !text.is_empty())).collect()
        };
        for (one, other) in [(&one, &other), (&one, &without_empty(&one))] {
            let are_same = without_empty(one) == without_empty(other);
            prop_assert_eq!(content_of(one).canonical_bytes() == content_of(other).canonical_bytes(), are_same);
        }
        prop_assert_ne!(content_of(&one).canonical_bytes()[0], AccountType::Personal.code());
    }
}

/// A fingerprint of 0.1 differs only where an optional text is empty.
#[test]
fn canonical_bytes_are_those_of_0_1() {
    let mut content = content("key", Some("lee"));
    let bytes = b"\x01\x01\x03\0\0\0lee\0\x01\x06\0\0\0public\x01\x03\0\0\0key\x01\0\0\0\0\x01\0\0\0\0\0\0\0\0";
    assert_eq!(content.canonical_bytes().as_slice(), bytes);
    assert_eq!(bytes_of_0_1(&content), bytes);
    *content.texts.slot(ContentField::AccountId) = Some("");
    assert_eq!(content.canonical_bytes().as_slice(), bytes);
    assert_ne!(bytes_of_0_1(&content), bytes);
    assert_eq!(content.secret_bytes().as_slice(), b"\x01\x03\0\0\0key\x01\0\0\0\0\0");
}

#[test]
fn equal_content_has_an_equal_fingerprint_per_account() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let seal = |number, clear: &PlaintextContent<'_>| vault.seal_content(account(number), clear).unwrap();
    let first = seal(MINE, &content("key", Some("lee")));
    let again = seal(MINE, &content("key", Some("lee")));
    assert_eq!(first.fingerprint, again.fingerprint);
    assert_ne!(first.secrets, again.secrets, "a nonce is never used twice");
    for other in [content("other", Some("lee")), content("key", None), content("key", Some("mia"))] {
        assert_ne!(first.fingerprint, seal(MINE, &other).fingerprint);
    }
    let (empty, missing) = (seal(MINE, &content("key", Some(""))), seal(MINE, &content("key", None)));
    assert_eq!(empty.fingerprint, missing.fingerprint);
    let elsewhere = seal("861821726231", &content("key", Some("lee")));
    assert_ne!(first.fingerprint, elsewhere.fingerprint, "accounts cannot be compared by their fingerprints");
}

#[test]
fn content_that_0_1_stored_is_recognised() {
    let directory = tempfile::tempdir().unwrap();
    let vault = open(directory.path()).unwrap();
    let mine = account(MINE);
    let contents = [None, Some("")].map(|device_params| {
        let mut content = content("key", device_params);
        *content.texts.slot(ContentField::DeviceParams) = device_params;
        content
    });
    for stored in &contents {
        let mut by_0_1 = Content::clone(&vault.seal_content(mine, stored).unwrap());
        let data_key = vault.load_data_key(mine).unwrap().unwrap();
        by_0_1.fingerprint = cipher::content_fingerprint(&data_key, &bytes_of_0_1(stored));
        let is_same = |sent| vault.is_same_content(mine, &by_0_1, &vault.seal_content(mine, sent).unwrap()).unwrap();
        assert!(contents.iter().all(is_same));
        let business = PlaintextContent { account_type: AccountType::Business, ..stored.clone() };
        assert!(![content("other", None), content("key", Some("lee")), business].iter().any(is_same));
        let sent = vault.seal_content(mine, stored).unwrap();
        assert!(vault.is_same_content(account("861821726231"), &by_0_1, &sent).is_err(), "its secrets do not open");
    }
}

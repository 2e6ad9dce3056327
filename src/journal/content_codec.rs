//! The payload of an account's imported content, in events and in snapshots.

use std::sync::Arc;

use bincode::{BorrowDecode, Encode};

use super::payload::{PayloadError, decode_payload, encode_payload};
use crate::domain::{AccountType, Content, ContentField, ContentTexts, Fingerprint, SealedBytes};

/// Version 1. Frozen: events hold these bytes. A new field needs a version 2 that holds this struct.
#[derive(Encode, BorrowDecode)]
pub(super) struct ContentV1<'a> {
    account_type: u8,
    name: Option<&'a str>,
    avatar: Option<&'a str>,
    public_key: &'a str,
    msg_public_key: &'a str,
    account_id: Option<&'a str>,
    next_key_id: Option<&'a str>,
    registration_id: Option<&'a str>,
    secrets: &'a [u8],
    fingerprint: [u8; 32],
}

impl<'a> ContentV1<'a> {
    pub(super) fn from_content(content: &'a Content) -> ContentV1<'a> {
        let text = |field| content.texts.get(field).map(|text| &**text);
        ContentV1 {
            account_type: content.account_type.code(),
            name: text(ContentField::Name),
            avatar: text(ContentField::Avatar),
            public_key: text(ContentField::PublicKey).unwrap_or_default(),
            msg_public_key: text(ContentField::MsgPublicKey).unwrap_or_default(),
            account_id: text(ContentField::AccountId),
            next_key_id: text(ContentField::NextKeyId),
            registration_id: text(ContentField::RegistrationId),
            secrets: &content.secrets.0,
            fingerprint: content.fingerprint.0,
        }
    }

    pub(super) fn into_content(self) -> Result<Arc<Content>, PayloadError> {
        let text = |field| match field {
            ContentField::Name => self.name,
            ContentField::Avatar => self.avatar,
            ContentField::PublicKey => Some(self.public_key),
            ContentField::MsgPublicKey => Some(self.msg_public_key),
            ContentField::AccountId => self.account_id,
            ContentField::NextKeyId => self.next_key_id,
            ContentField::RegistrationId => self.registration_id,
            // These texts are in `secrets`.
            ContentField::PrivateKey | ContentField::MsgPrivateKey | ContentField::DeviceParams => None,
        };
        Ok(Arc::new(Content {
            account_type: decode_account_type(self.account_type)?,
            texts: ContentTexts::from_fn(|field| text(field).map(Box::from)),
            secrets: SealedBytes(self.secrets.into()),
            fingerprint: Fingerprint(self.fingerprint),
        }))
    }
}

/// Encodes a content as a payload.
pub(super) fn encode_content(content: &Content, out: &mut Vec<u8>) {
    reserve_content(content, out);
    encode_payload(&ContentV1::from_content(content), out);
}

/// Reserves an upper bound, so that encoding rarely grows the buffer. It covers the texts, the secrets, their lengths
/// and some small fields.
pub(super) fn reserve_content(content: &Content, out: &mut Vec<u8>) {
    let texts = content.texts.iter().map(|text| text.len() + 4).sum::<usize>();
    out.reserve_exact(texts + content.secrets.0.len() + content.fingerprint.0.len() + 32);
}

/// Decodes the content in a payload.
pub(super) fn decode_content(payload: &[u8]) -> Result<Arc<Content>, PayloadError> {
    decode_payload::<ContentV1<'_>>(payload)?.into_content()
}

/// The account type with this code.
pub(super) fn decode_account_type(code: u8) -> Result<AccountType, PayloadError> {
    AccountType::try_from(i64::from(code)).map_err(|_| PayloadError::Damaged)
}

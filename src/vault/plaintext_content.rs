//! The canonical bytes of an account's imported content.

use zeroize::Zeroizing;

use crate::domain::AccountType;

/// The content that a caller imports with an account, secrets in plaintext. It has no `Debug`, and lives no longer
/// than the request.
pub struct PlaintextContent<'a> {
    /// Personal or business.
    pub account_type: AccountType,
    /// The name shown to customers.
    pub name: Option<&'a str>,
    /// URL of the picture.
    pub avatar: Option<&'a str>,
    /// The account's public key.
    pub public_key: &'a str,
    /// The account's private key. Secret.
    pub private_key: &'a str,
    /// The public key for messages.
    pub msg_public_key: &'a str,
    /// The private key for messages. Secret.
    pub msg_private_key: &'a str,
    /// The caller's own id for the account.
    pub account_id: Option<&'a str>,
    /// Id of the next pre-key.
    pub next_key_id: Option<&'a str>,
    /// Registration id.
    pub registration_id: Option<&'a str>,
    /// Device parameters. Secret.
    pub device_params: Option<&'a str>,
}

impl PlaintextContent<'_> {
    /// The canonical bytes: equal bytes mean equal content. Frozen, because stored fingerprints cover these bytes.
    pub(super) fn canonical_bytes(&self) -> Zeroizing<Vec<u8>> {
        length_prefixed(
            &[self.account_type.code()],
            &[
                self.name,
                self.avatar,
                Some(self.public_key),
                Some(self.private_key),
                Some(self.msg_public_key),
                Some(self.msg_private_key),
                self.account_id,
                self.next_key_id,
                self.registration_id,
                self.device_params,
            ],
        )
    }

    /// The bytes of the secret fields. Frozen, because sealed contents hold these bytes.
    pub(super) fn secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        length_prefixed(&[], &[Some(self.private_key), Some(self.msg_private_key), self.device_params])
    }
}

/// The secret fields of a content, in plaintext. It has no `Debug`, and lives no longer than the request that sends
/// it.
pub struct ContentSecrets {
    /// The account's private key.
    pub private_key: Zeroizing<String>,
    /// The private key for messages.
    pub msg_private_key: Zeroizing<String>,
    /// Device parameters, if there were any.
    pub device_params: Option<Zeroizing<String>>,
}

impl ContentSecrets {
    /// Decodes the bytes from [`PlaintextContent::secret_bytes`]. `None` if they are malformed.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<ContentSecrets> {
        let mut next = || {
            let (is_there, rest) = bytes.split_first()?;
            if *is_there == 0 {
                bytes = rest;
                return Some(None);
            }
            let (length, rest) = rest.split_first_chunk()?;
            let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            bytes = rest;
            Some(Some(Zeroizing::new(str::from_utf8(text).ok()?.to_owned())))
        };
        let (private_key, msg_private_key, device_params) = (next()??, next()??, next()?);
        bytes.is_empty().then_some(ContentSecrets { private_key, msg_private_key, device_params })
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

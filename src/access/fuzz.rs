//! Fuzz targets: the text of a key, and the headers of a tenant's token.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::key_text::{format_key, hash_secret, parse_key};
use super::tenant_token::TenantToken;
use crate::domain::Timestamp;
use crate::limits::TOKEN_WINDOW;

const SECRET: [u8; 32] = [0x5a; 32];

pub(crate) fn keys() -> Vec<Vec<u8>> {
    [7, 0, u64::MAX].map(|id| format_key(id, &SECRET).as_bytes().to_vec()).into()
}

/// Checks that a key has only one text.
pub(crate) fn key(bytes: &[u8]) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    if let Some((id, hash)) = parse_key(text) {
        assert!(
            hash != hash_secret(&SECRET) || text == *format_key(id, &SECRET),
            "{text:?} is another way to write a key"
        );
    }
    None
}

/// The time of the requests, in milliseconds.
const NOW: i64 = 1_666_942_813_620;
/// The result of `printf '500975%ssecret' 1666942813620 | md5sum`.
const TOKEN: &str = "4e2f35f702cb0cc093aeb761acd0c4b8";

/// Seeds: the three headers, one on each line.
pub(crate) fn tokens() -> Vec<Vec<u8>> {
    [0, 299_999, -300_000, i64::MAX - NOW]
        .map(|difference| format!("500975\n{}\n{TOKEN}", NOW + difference).into_bytes())
        .into()
}

/// Checks that only the original headers match the secret, and that only timestamps near the current time are accepted.
pub(crate) fn token(bytes: &[u8]) -> Option<String> {
    let mut lines = str::from_utf8(bytes).ok()?.split('\n');
    let [tenant, timestamp, token] = [(); 3].map(|()| lines.next());
    match (TenantToken { tenant, timestamp, token }).check_freshness(Timestamp(NOW * 1_000)) {
        Ok(fresh) => {
            let difference = timestamp.unwrap().parse::<i64>().unwrap().abs_diff(NOW);
            assert!(u128::from(difference) <= TOKEN_WINDOW.as_millis(), "{difference} ms are too many");
            let is_original = bytes == format!("500975\n{NOW}\n{TOKEN}").as_bytes();
            assert!(
                lines.next().is_some() || fresh.matches_secret("secret") == is_original || is_moved(tenant, timestamp)
            );
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Whether digits have only moved from one of the two to the other, which is valid: the scheme has no separator.
fn is_moved(tenant: Option<&str>, timestamp: Option<&str>) -> bool {
    tenant.zip(timestamp).map(|(tenant, timestamp)| format!("{tenant}{timestamp}")) == Some(format!("500975{NOW}"))
}

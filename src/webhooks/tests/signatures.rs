//! Signatures: the test vectors of Standard Webhooks and of the contract, and webhooks that must be rejected.

use super::super::signature::{AppSecret, SecretError, SignatureError, WebhookSecret};
use crate::domain::Timestamp;

/// The test vector of the specification's libraries.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SECONDS: &str = "1614265330";
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const NOW: Timestamp = Timestamp(1_614_265_330_999_999);

#[test]
fn standard_webhooks() {
    let secret = WebhookSecret::parse(SECRET).unwrap();
    assert_eq!(secret.sign(ID, NOW, BODY), SIGNATURE);
    assert_eq!(secret.to_text().as_str(), SECRET);
    let verify = |id, timestamp, signatures: &str, body, now| secret.verify(id, timestamp, signatures, body, now);
    assert_eq!(verify(ID, SECONDS, SIGNATURE, BODY, NOW), Ok(()));
    let several = format!("v1a,AAAA v1,AAAA {SIGNATURE}");
    assert_eq!(verify(ID, SECONDS, &several, BODY, NOW), Ok(()), "one of several");
    for (id, timestamp, signature, body) in [
        ("msg_other", SECONDS, SIGNATURE, BODY),
        (ID, "1614265331", SIGNATURE, BODY),
        (ID, SECONDS, SIGNATURE, &b"{}"[..]),
        (ID, SECONDS, "v1,AAAA", BODY),
        (ID, SECONDS, "", BODY),
    ] {
        assert_eq!(verify(id, timestamp, signature, body, NOW), Err(SignatureError::Mismatch));
    }
    let late = Timestamp(NOW.0 + 301_000_000);
    assert_eq!(verify(ID, SECONDS, SIGNATURE, BODY, late), Err(SignatureError::Stale), "an old one, played again");
    assert_eq!(verify(ID, "now", SIGNATURE, BODY, NOW), Err(SignatureError::MalformedTimestamp));
    let short = format!("whsec_{}", "A".repeat(28));
    for text in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", &short] {
        assert_eq!(WebhookSecret::parse(text).err(), Some(SecretError::Standard), "{text:?}");
    }
}

#[test]
fn app_secrets() {
    let secret = AppSecret::new("500975", "f9a40a4780f5e1306c46f1c8daecee3b").unwrap();
    let at = Timestamp(1_666_942_813_620_000);
    let token = "df98eda524132837317c5ea7e4f67ef4224dedc3f01548b6cb211b08eb0328c5";
    assert_eq!(secret.sign(at), ("1666942813620".to_owned(), token.to_owned()));
    assert_eq!(secret.verify("500975", "1666942813620", token, at), Ok(()));
    assert_eq!(secret.verify("500976", "1666942813620", token, at), Err(SignatureError::Mismatch));
    assert_eq!(secret.verify("500975", "1666942813621", token, at), Err(SignatureError::Mismatch));
    assert_eq!(secret.verify("500975", "1666942813620", "d\u{e9}", at), Err(SignatureError::Mismatch));
    let signed = token.replacen("1b08", "1b+8", 1);
    assert_eq!(
        secret.verify("500975", "1666942813620", &signed, at),
        Err(SignatureError::Mismatch),
        "a sign is no digit"
    );
    assert_eq!(AppSecret::new("", "f9a40a4780f5").err(), Some(SecretError::Tenant));
    assert_eq!(AppSecret::new("5\r\n", "f9a40a4780f5").err(), Some(SecretError::Tenant));
    assert_eq!(AppSecret::new("500975", "short").err(), Some(SecretError::App));
}

//! Tests of keys and tokens: who is authenticated, with which permissions, and until when.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use md5::{Digest, Md5};
use proptest::prelude::*;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{
    ApiKeys, AuthContext, AuthError, Authenticator, Authorization, Credentials, KeyError, KeyRequest, Requester,
    TenantToken, key_text,
};
use crate::clock;
use crate::domain::{AccountNumber, Permission, Role, Timestamp};
use crate::journal::{Journal, RequestId};
use crate::limits::{FAILED_KEY_DELAY, FAILED_KEY_DELAY_MAX, FAILED_KEYS_MEMORY};
use crate::testkit::fixture::StorageFixture;
use crate::vault::Vault;

mod authorization;
mod expiring;

struct KeysFixture {
    keys: ApiKeys,
    journal: Journal,
    vault: Vault,
    _directory: TempDir,
}

impl KeysFixture {
    fn new() -> KeysFixture {
        let StorageFixture { journal, vault, directory, .. } = StorageFixture::new();
        let keys = ApiKeys::open(&journal, Some(vault.clone())).unwrap();
        KeysFixture { keys, journal, vault, _directory: directory }
    }

    /// The keys after a restart.
    fn reopened(&self) -> ApiKeys {
        ApiKeys::open(&self.journal, Some(self.vault.clone())).unwrap()
    }

    async fn create(
        &self,
        role: Role,
        accounts: &[&str],
        lifetime: Option<Duration>,
    ) -> Result<Zeroizing<String>, KeyError> {
        let accounts = accounts.iter().map(|prefix| (*prefix).to_owned()).collect();
        let expires = lifetime.map(|lifetime| clock::now().plus(lifetime));
        let request = KeyRequest { name: role.name().to_owned(), role, accounts, expires, tenant: None, secret: None };
        Ok(self.keys.create(request, self.owner()).await?.key.unwrap())
    }

    /// Creates a tenant's key. Returns the secret if one was generated.
    async fn create_tenant(
        &self,
        tenant: &str,
        secret: Option<&str>,
        lifetime: Option<Duration>,
    ) -> Result<Option<Zeroizing<String>>, KeyError> {
        let expires = lifetime.map(|lifetime| clock::now().plus(lifetime));
        let (tenant, secret) = (Some(tenant.to_owned()), secret.map(|secret| Zeroizing::new(secret.to_owned())));
        let accounts = vec!["8618".to_owned()];
        let request = KeyRequest { name: "back-end".to_owned(), role: Role::Caller, accounts, expires, tenant, secret };
        let created = self.keys.create(request, self.owner()).await?;
        assert!(created.key.is_none(), "a tenant's key has no text");
        Ok(created.secret)
    }

    /// Authorization of the owner of the data directory.
    fn owner(&self) -> impl FnOnce() -> Result<Authorization, KeyError> + use<> {
        let owner = requester(&self.keys, AuthContext::OWNER, Permission::Administer);
        move || Ok(owner.authorize()?)
    }
}

fn requester(keys: &ApiKeys, context: AuthContext, permission: Permission) -> Requester {
    Requester::new(keys.clone(), context, permission, RequestId(7), "127.0.0.1:40000".to_owned())
}

/// The number of an accepted key, or the error.
fn key_id(keys: &ApiKeys, key: Option<&str>) -> Result<u64, AuthError> {
    keys.authenticate_key(key, clock::now()).map(|context| context.key_id())
}

#[tokio::test]
async fn keys_are_created_and_revoked_across_restarts() {
    let fixture = KeysFixture::new();
    assert!(
        fixture.keys.allows_anonymous()
            && fixture.keys.authenticate_key(None, clock::now()).unwrap().require(Permission::Administer).is_ok()
    );
    for (role, accounts, lifetime) in
        [(Role::Caller, &[][..], None), (Role::Admin, &["86"], None), (Role::Admin, &[], Some(Duration::from_secs(60)))]
    {
        let error = fixture.create(role, accounts, lifetime).await.unwrap_err();
        assert!(error.to_string().starts_with("role must be admin"), "{error}");
    }
    let admin = fixture.create(Role::Admin, &[], None).await.unwrap();
    let caller = fixture.create(Role::Caller, &["8618", "44"], None).await.unwrap();
    let short = fixture.create(Role::Auditor, &[], Some(Duration::from_secs(60))).await.unwrap();
    let reopened = fixture.reopened();
    for keys in [&fixture.keys, &reopened] {
        assert_eq!(key_id(keys, Some(&admin)), Ok(1));
        assert_eq!(key_id(keys, Some(&caller)), Ok(2));
        assert_eq!(key_id(keys, None), Err(AuthError::MissingKey));
        let (id_of_another, cut) = (caller.replace("muster_2", "muster_1"), &caller[..caller.len() - 1]);
        for wrong in
            ["", "muster_", "muster_1_", "muster_2_AAAA", "muster_9_x", &id_of_another, cut, &caller.to_uppercase()]
        {
            assert_eq!(key_id(keys, Some(wrong)), Err(AuthError::UnknownKey), "{wrong}");
        }
        let later = clock::now().plus(Duration::from_secs(60));
        assert_eq!(keys.authenticate_key(Some(&short), later).err(), Some(AuthError::Expired));
    }
    let listed = serde_json::to_string(&fixture.keys.list(clock::now())).unwrap();
    let secret = caller.splitn(3, '_').nth(2).unwrap();
    assert!(listed.contains("8618") && !listed.contains(secret), "{listed}");

    fixture.keys.revoke(2, fixture.owner()).await.unwrap();
    assert_eq!(key_id(&fixture.keys, Some(&caller)), Err(AuthError::Revoked), "at once");
    assert_eq!(key_id(&fixture.reopened(), Some(&caller)), Err(AuthError::Revoked));
    assert!(matches!(fixture.keys.revoke(2, fixture.owner()).await, Err(KeyError::Conflict(_))));
    assert!(matches!(fixture.keys.revoke(7, fixture.owner()).await, Err(KeyError::NoSuchKey(7))));
    fixture.keys.revoke(1, fixture.owner()).await.unwrap();
    assert!(!fixture.keys.allows_anonymous(), "anonymous access does not come back");
}

/// A context ends with its key. An anonymous context ends when the first key is created.
#[tokio::test]
async fn a_context_ends_with_its_key() {
    let fixture = KeysFixture::new();
    let wait_for_end = |context: AuthContext| {
        let keys = fixture.keys.clone();
        tokio::spawn(async move { keys.wait_until_invalid(context).await })
    };
    let context = |key: &str| fixture.keys.authenticate_key(Some(key), clock::now()).unwrap();
    let anonymous_end = wait_for_end(fixture.keys.authenticate_key(None, clock::now()).unwrap());
    let admin = fixture.create(Role::Admin, &[], None).await.unwrap();
    anonymous_end.await.unwrap();
    let admin_end = wait_for_end(context(&admin));
    let short = fixture.create(Role::Auditor, &[], Some(Duration::from_millis(500))).await.unwrap();
    wait_for_end(context(&short)).await.unwrap();
    let other = fixture.create(Role::Auditor, &[], None).await.unwrap();
    let other_end = wait_for_end(context(&other));
    fixture.keys.revoke(3, fixture.owner()).await.unwrap();
    other_end.await.unwrap();
    assert!(!admin_end.is_finished());
}

#[tokio::test]
async fn a_bound_key_covers_only_its_accounts() {
    let fixture = KeysFixture::new();
    fixture.create(Role::Admin, &[], None).await.unwrap();
    let key = fixture.create(Role::Caller, &["8618", "44"], None).await.unwrap();
    let context = fixture.keys.authenticate_key(Some(&key), clock::now()).unwrap();
    let account = |number| AccountNumber::from_stored(number).unwrap();
    for (number, is_seen) in
        [(861_821_726_232, true), (442_079_460_000, true), (861_721_726_232, false), (14_155_550_100, false)]
    {
        assert_eq!(
            (context.may_access(account(number)), AuthContext::OWNER.may_access(account(number))),
            (is_seen, true),
            "{number}"
        );
        assert_eq!(context.require_account(account(number)).is_ok(), is_seen);
    }
    assert_eq!(
        (context.require_all_accounts(), AuthContext::OWNER.require_all_accounts()),
        (Err(AuthError::BoundKey), Ok(()))
    );
}

#[tokio::test(start_paused = true)]
async fn only_clients_that_guess_keys_wait_longer_and_longer() {
    let fixture = KeysFixture::new();
    let key = fixture.create(Role::Admin, &[], None).await.unwrap();
    let auth = Authenticator::new(fixture.keys.clone(), 1_000);
    let (guesser, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let attempt = async |key: Option<&str>, from| {
        let started = tokio::time::Instant::now();
        let is_ok = auth.authenticate(key.map_or(Credentials::Anonymous, Credentials::ApiKey), from).await.is_ok();
        (is_ok, started.elapsed().as_millis() / FAILED_KEY_DELAY.as_millis())
    };
    for guess in 1..=50 {
        let most = FAILED_KEY_DELAY_MAX.as_millis() / FAILED_KEY_DELAY.as_millis();
        assert_eq!(attempt(Some("muster_1_guess"), guesser).await, (false, most.min(guess)));
    }
    assert_eq!(attempt(Some(&key), guesser).await, (true, 0));
    assert_eq!(attempt(None, guesser).await, (false, 0));
    assert_eq!(attempt(Some("muster_1_guess"), other).await, (false, 1));
    tokio::time::sleep(FAILED_KEYS_MEMORY).await;
    assert_eq!(attempt(Some("muster_1_guess"), guesser).await, (false, 1), "the failures are forgotten");
}

/// Each good key has its own limit, and each address has one for all other requests. Exactly that many are accepted.
#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_key_and_by_address() {
    let fixture = KeysFixture::new();
    let [one, other] =
        [fixture.create(Role::Admin, &[], None).await.unwrap(), fixture.create(Role::Admin, &[], None).await.unwrap()];
    let auth = Authenticator::new(fixture.keys.clone(), 10);
    let address = |last| IpAddr::from([192, 0, 2, last]);
    let flood = async |key: Option<&str>, from: u8, requests: u32| {
        let mut accepted = 0;
        for _ in 0..requests {
            let key = key.map_or(Credentials::Anonymous, Credentials::ApiKey);
            accepted +=
                u32::from(!matches!(auth.authenticate(key, address(from)).await, Err(AuthError::RateLimited { .. })));
        }
        accepted
    };
    assert_eq!(flood(Some(&one), 1, 100).await, 10);
    assert_eq!(flood(Some(&one), 2, 100).await, 0, "the same key from another address");
    assert_eq!(flood(Some(&other), 1, 100).await, 10, "another key from the same address");
    assert_eq!(flood(None, 1, 100).await, 10, "no key, from the address of good ones");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(flood(Some(&one), 4, 100).await, 5, "the permits of half a second");
    let error = auth.authenticate(Credentials::ApiKey(&one), address(4)).await.err().unwrap();
    assert_eq!((error.status(), error.retry_after()), (429, Some(1)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(flood(Some(&one), 5, 100).await, 10, "a full bucket has the permits of one second");
    assert_eq!(flood(None, 6, 100).await, 10, "strangers use up what their address may send");
    assert_eq!(flood(Some(&other), 6, 100).await, 10, "a good key at the same address");
    // An IPv6 network counts as one address.
    let mut accepted = 0;
    for last in 0..100_u64 {
        let from = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(last)).into();
        accepted += u32::from(!matches!(
            auth.authenticate(Credentials::Anonymous, from).await,
            Err(AuthError::RateLimited { .. })
        ));
    }
    assert_eq!(accepted, 10, "one network");
}

/// The values of the contract's webhook example. The contract has no example of a request's token, so the token is from
/// `printf '%s' 500975 1666942813620 f9a40a4780f5e1306c46f1c8daecee3b | md5sum`.
const TENANT: &str = "500975";
const TENANT_SECRET: &str = "f9a40a4780f5e1306c46f1c8daecee3b";
const TIMESTAMP: &str = "1666942813620";
const TOKEN: &str = "d8669b171c27e29bbc35121f5baf43ae";

#[tokio::test]
async fn a_token_is_accepted_or_gets_the_contracts_code() {
    let fixture = KeysFixture::new();
    fixture.create(Role::Admin, &[], None).await.unwrap();
    assert!(!fixture.keys.has_tenants());
    fixture.create_tenant(TENANT, Some(TENANT_SECRET), None).await.unwrap();
    fixture.create_tenant("other", None, None).await.unwrap();
    let token_time = Timestamp(1_666_942_813_620_000);
    let (early, late) = (Timestamp(token_time.0 - 300_000_000), Timestamp(token_time.0 + 300_000_000));
    let (tenant, at, token) = (Some(TENANT), Some(TIMESTAMP), Some(TOKEN));
    let upper = TOKEN.to_uppercase();
    for keys in [&fixture.keys, &fixture.reopened()] {
        for (tenant, timestamp, token, now, code) in [
            (tenant, at, token, token_time, 200),
            (tenant, at, token, token_time, 200), // the contract allows several uses
            (tenant, at, token, early, 200),
            (tenant, at, token, late, 200),
            (tenant, at, token, Timestamp(early.0 - 1), 502),
            (tenant, at, token, Timestamp(late.0 + 1), 502),
            (tenant, Some("1666942813"), token, token_time, 502), // in seconds
            (tenant, Some("9223372036854775807"), token, token_time, 502),
            (tenant, None, token, token_time, 518),
            (tenant, Some("2022-10-28"), token, token_time, 519),
            (tenant, Some("-1666942813620"), token, token_time, 519),
            (tenant, Some("+1666942813620"), token, token_time, 519),
            (tenant, Some("16669428136200000000"), token, token_time, 519),
            (tenant, Some("1666942813621"), token, token_time, 522), // the token is for another time
            (tenant, Some("01666942813620"), token, token_time, 522), // the token covers the text, not the number
            (tenant, at, Some(&upper[..]), token_time, 522),
            (tenant, at, Some(&TOKEN[1..]), token_time, 522),
            (tenant, at, Some("token"), token_time, 522),
            (Some("other"), at, token, token_time, 522),
            (Some("nobody"), at, token, token_time, 522),
            // The tokens of an empty secret, and of the dummy secret.
            (Some("nobody"), at, Some("e8d24b74716aa27ceadd8fa6a51b2f8d"), token_time, 522),
            (Some("nobody"), at, Some("932e4a43f1f7da23e8ac2eaaa0b1ac83"), token_time, 522),
            (None, at, token, token_time, 523),
            (tenant, at, None, token_time, 525),
            (None, None, token, token_time, 523),
            (tenant, None, None, token_time, 518),
        ] {
            let outcome = keys.authenticate_token(TenantToken { tenant, timestamp, token }, now, now);
            let received = outcome.as_ref().map_or_else(|error| error.code(), |_| 200);
            assert_eq!(received, code, "{tenant:?} {timestamp:?} {token:?} at {now:?}");
            if let Ok(context) = outcome {
                let allowed =
                    [Permission::Call, Permission::Read].map(|permission| context.require(permission).is_ok());
                assert_eq!(
                    (context.key_id(), context.account_prefixes(), allowed),
                    (2, &["8618".to_owned()][..], [true, false])
                );
            }
        }
    }
}

/// A tenant's key is revoked like any other key, and its secret is then erased.
#[tokio::test]
async fn tenant_keys_are_created_and_revoked() {
    let fixture = KeysFixture::new();
    assert!(fixture.create_tenant(TENANT, None, None).await.unwrap_err().to_string().starts_with("role must be admin"));
    fixture.create(Role::Admin, &[], None).await.unwrap();
    let long = "x".repeat(129);
    for (tenant, secret, words) in [
        ("", None, "tenant must be 1 to 64 letters"),
        ("500 975", None, "tenant must be 1 to 64 letters"),
        (TENANT, Some("123456789012345"), "secret must be 16 to 128 visible ASCII characters"),
        (TENANT, Some("1234567890 123456"), "secret must be 16 to 128"),
        (TENANT, Some(&long[..]), "secret must be 16 to 128"),
    ] {
        let error = fixture.create_tenant(tenant, secret, None).await.unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
    }
    let token = |keys: &ApiKeys, secret: &str, now: Timestamp| {
        let at = (now.0 / 1_000).to_string();
        let token: String = Md5::digest(format!("{TENANT}{at}{secret}")).iter().map(|it| format!("{it:02x}")).collect();
        let token = TenantToken { tenant: Some(TENANT), timestamp: Some(&at), token: Some(&token) };
        keys.authenticate_token(token, now, now).map(|context| context.key_id())
    };
    let (now, lifetime) = (clock::now(), Duration::from_secs(600));
    let secret = fixture.create_tenant(TENANT, None, Some(lifetime)).await.unwrap().unwrap();
    assert!(secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "as in the contract's family");
    assert_eq!(token(&fixture.keys, &secret, now), Ok(2));
    assert_eq!(
        key_id(&fixture.keys, Some("muster_2_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        Err(AuthError::UnknownKey)
    );
    let twice = fixture.create_tenant(TENANT, None, None).await.unwrap_err().to_string();
    assert_eq!(twice, "the tenant 500975 already has the API key 2; revoke that one first");
    let listed = serde_json::to_string(&fixture.keys.list(now)).unwrap();
    assert!(listed.contains(TENANT) && !listed.contains(secret.as_str()), "{listed}");

    fixture.keys.revoke(2, fixture.owner()).await.unwrap();
    assert_eq!(fixture.vault.tenant_key_ids().unwrap(), [0; 0], "it is erased");
    assert_eq!(token(&fixture.keys, &secret, now), Err(AuthError::WrongToken), "at once");
    assert_eq!(token(&fixture.reopened(), &secret, now), Err(AuthError::WrongToken));
    assert_eq!(token(&fixture.keys, &"0".repeat(32), now), Err(AuthError::WrongToken), "the dummy secret");
    assert_eq!(fixture.create_tenant(TENANT, Some(&secret), None).await.unwrap(), None, "the caller knows it");
    assert_eq!(token(&fixture.keys, &secret, now), Ok(3));
    // A start without the master key keeps the secrets that a crash left. The next start erases them.
    fixture.vault.put_tenant_secret(2, "left by a revocation").unwrap();
    fixture.vault.put_tenant_secret(9, "left by a creation").unwrap();
    let without_vault = ApiKeys::open(&fixture.journal, None).unwrap();
    assert_eq!(token(&without_vault, &secret, now), Err(AuthError::WrongToken));
    assert_eq!(fixture.vault.tenant_key_ids().unwrap(), [2, 3, 9]);
    assert_eq!(token(&fixture.reopened(), &secret, now), Ok(3));
    assert_eq!(fixture.vault.tenant_key_ids().unwrap(), [3]);
}

/// Responses to wrong tokens are delayed longer and longer, as for wrong keys. A wrong timestamp is not a guess.
#[tokio::test(start_paused = true)]
async fn clients_that_guess_tokens_wait_too() {
    let fixture = KeysFixture::new();
    fixture.create(Role::Admin, &[], None).await.unwrap();
    fixture.create_tenant(TENANT, None, None).await.unwrap();
    let auth = Authenticator::new(fixture.keys.clone(), 1_000);
    let now = (clock::now().0 / 1_000).to_string();
    let attempt = async |tenant: &str, timestamp: &str| {
        let (started, token) = (tokio::time::Instant::now(), Some(TOKEN));
        let token = Credentials::TenantToken(TenantToken { tenant: Some(tenant), timestamp: Some(timestamp), token });
        let code = auth.authenticate(token, "192.0.2.1".parse().unwrap()).await.err().unwrap().code();
        (code, started.elapsed().as_millis() / FAILED_KEY_DELAY.as_millis())
    };
    assert_eq!(attempt(TENANT, &now).await, (522, 1));
    assert_eq!(attempt("nobody", &now).await, (522, 2));
    assert_eq!(attempt(TENANT, TIMESTAMP).await, (502, 0));
    assert_eq!(attempt(TENANT, "now").await, (519, 0));
    assert_eq!(attempt(TENANT, &now).await, (522, 3));
}

#[test]
fn permissions_of_each_role() {
    let may = |permission: Permission| Role::ALL.map(|role| role.has_permission(permission));
    // Caller, operator, auditor, admin.
    assert_eq!(may(Permission::Call), [true, false, false, true]);
    assert_eq!(may(Permission::Read), [false, true, true, true]);
    assert_eq!(may(Permission::Operate), [false, true, false, true]);
    assert_eq!(may(Permission::Administer), [false, false, false, true]);
}

proptest! {
    #[test]
    fn a_key_is_read_as_it_was_written(id in any::<u64>(), secret in any::<[u8; 32]>()) {
        let written = key_text::format_key(id, &secret);
        prop_assert_eq!(key_text::parse_key(&written), Some((id, key_text::hash_secret(&secret))));
    }

    #[test]
    fn a_text_that_is_not_a_key_is_rejected(text in "(muster_)?[0-9_]{0,24}[A-Za-z0-9_=+/é-]{0,60}") {
        let written = |(id, _)| text.starts_with(&format!("muster_{id}_"));
        prop_assert!(key_text::parse_key(&text).is_none_or(written), "{}", text);
    }
}

//! A key that was seen as expired stays expired, even if the clock is set back later.

use super::*;

const LIFETIME: Duration = Duration::from_secs(600);

/// The states in the list of keys.
fn states(keys: &ApiKeys, now: Timestamp) -> Vec<String> {
    let listed = serde_json::to_value(keys.list(now)).unwrap();
    listed.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_expired_key_does_not_come_back() {
    let fixture = KeysFixture::new();
    fixture.create(Role::Admin, &[], None).await.unwrap();
    let short = fixture.create(Role::Auditor, &[], Some(LIFETIME)).await.unwrap();
    let unseen = fixture.create(Role::Auditor, &[], Some(LIFETIME)).await.unwrap();
    let (now, later) = (clock::now(), clock::now().plus(LIFETIME));
    let context =
        |keys: &ApiKeys, key: &str, now| keys.authenticate_key(Some(key), now).map(|context| context.key_id());
    assert_eq!(
        (context(&fixture.keys, &short, now), context(&fixture.keys, &short, later)),
        (Ok(2), Err(AuthError::Expired))
    );
    for keys in [&fixture.keys, &fixture.reopened()] {
        assert_eq!(context(keys, &short, now), Err(AuthError::Expired), "the clock is set back");
        assert_eq!(context(keys, &unseen, now), Ok(3), "this one was not seen as expired");
        assert_eq!(states(keys, now), ["valid", "expired", "valid"]);
    }
    // Listing a key counts as seeing it.
    assert_eq!(states(&fixture.keys, later), ["valid", "expired", "expired"]);
    assert_eq!(states(&fixture.reopened(), now), ["valid", "expired", "expired"]);
}

#[tokio::test]
async fn an_expired_tenant_does_not_come_back() {
    let fixture = KeysFixture::new();
    fixture.create(Role::Admin, &[], None).await.unwrap();
    let secret = fixture.create_tenant("500975", None, Some(LIFETIME)).await.unwrap().unwrap();
    let wall = clock::now();
    let at = (wall.0 / 1_000).to_string();
    let digest: String = Md5::digest(format!("500975{at}{}", *secret)).iter().map(|it| format!("{it:02x}")).collect();
    let token = TenantToken { tenant: Some("500975"), timestamp: Some(&at), token: Some(&digest) };
    let context = |keys: &ApiKeys, now| keys.authenticate_token(token, wall, now).map(|context| context.key_id());
    assert_eq!(context(&fixture.keys, wall), Ok(2));
    assert_eq!(
        context(&fixture.keys, wall.plus(LIFETIME)),
        Err(AuthError::TenantExpired),
        "only the trusted clock counts"
    );
    assert_eq!(context(&fixture.keys, wall), Err(AuthError::TenantExpired));
    assert_eq!(context(&fixture.reopened(), wall), Err(AuthError::TenantExpired));
    assert_eq!(
        fixture.create_tenant("500975", Some(&secret), None).await.unwrap(),
        None,
        "the tenant can get a new key"
    );
    assert_eq!(context(&fixture.keys, wall), Ok(3));
}

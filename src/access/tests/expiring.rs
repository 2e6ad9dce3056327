//! A key that was seen to have expired stays so, wherever the clock is set to later.

use super::*;

const LASTS: Duration = Duration::from_secs(600);

/// What a list says of each key.
fn states(keys: &ApiKeys, now: Timestamp) -> Vec<String> {
    let shown = serde_json::to_value(keys.list(now)).unwrap();
    shown.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_expired_key_does_not_come_back() {
    let house = KeysFixture::new();
    house.create(Role::Admin, &[], None).await.unwrap();
    let short = house.create(Role::Auditor, &[], Some(LASTS)).await.unwrap();
    let unseen = house.create(Role::Auditor, &[], Some(LASTS)).await.unwrap();
    let (now, later) = (clock::now(), clock::now().plus(LASTS));
    let pass = |keys: &ApiKeys, key: &str, now| keys.authenticate_key(Some(key), now).map(|pass| pass.key_id());
    assert_eq!((pass(&house.keys, &short, now), pass(&house.keys, &short, later)), (Ok(2), Err(AuthError::Expired)));
    for keys in [&house.keys, &house.reopened()] {
        assert_eq!(pass(keys, &short, now), Err(AuthError::Expired), "the clock is set back");
        assert_eq!(pass(keys, &unseen, now), Ok(3), "nobody saw this one expire");
        assert_eq!(states(keys, now), ["valid", "expired", "valid"]);
    }
    // To be listed is to be seen, too.
    assert_eq!(states(&house.keys, later), ["valid", "expired", "expired"]);
    assert_eq!(states(&house.reopened(), now), ["valid", "expired", "expired"]);
}

#[tokio::test]
async fn an_expired_tenant_does_not_come_back() {
    let house = KeysFixture::new();
    house.create(Role::Admin, &[], None).await.unwrap();
    let secret = house.create_tenant("500975", None, Some(LASTS)).await.unwrap().unwrap();
    let wall = clock::now();
    let at = (wall.0 / 1_000).to_string();
    let made: String = Md5::digest(format!("500975{at}{}", *secret)).iter().map(|it| format!("{it:02x}")).collect();
    let token = TenantToken { tenant: Some("500975"), timestamp: Some(&at), token: Some(&made) };
    let pass = |keys: &ApiKeys, now| keys.authenticate_token(token, wall, now).map(|pass| pass.key_id());
    assert_eq!(pass(&house.keys, wall), Ok(2));
    assert_eq!(
        pass(&house.keys, wall.plus(LASTS)),
        Err(AuthError::TenantExpired),
        "by the clock that is trusted alone"
    );
    assert_eq!(pass(&house.keys, wall), Err(AuthError::TenantExpired));
    assert_eq!(pass(&house.reopened(), wall), Err(AuthError::TenantExpired));
    assert_eq!(house.create_tenant("500975", Some(&secret), None).await.unwrap(), None, "its place is free");
    assert_eq!(pass(&house.keys, wall), Ok(3));
}

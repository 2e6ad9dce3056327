//! A requester is authorized again, right before the action.

use std::time::Duration;

use futures_util::future::join_all;
use md5::{Digest, Md5};

use super::{KeysFixture, TENANT, requester};
use crate::access::{AuthContext, AuthError, Authenticator, Credentials, KeyError, KeyRequest, TenantToken};
use crate::clock;
use crate::domain::{Permission, Role};
use crate::journal::{Origin, Principal, RequestId};

/// How a requester was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthMethod {
    Owner,
    Anonymous,
    Key,
    Token,
    Session,
}

/// What happens between authentication and action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InterimEvent {
    Nothing,
    OtherKeyCreated,
    KeyRevoked,
    KeyExpired,
    SignedOut,
}

/// All methods of authentication, with the events that may happen before the action.
#[tokio::test]
async fn authorization_is_as_of_now() {
    use AuthMethod::{Anonymous, Key, Owner, Session, Token as ByToken};
    use InterimEvent::{KeyExpired, KeyRevoked, Nothing, OtherKeyCreated, SignedOut};
    for (method, interim, expected) in [
        (Owner, Nothing, Ok(0)),
        (Owner, OtherKeyCreated, Ok(0)),
        (Anonymous, Nothing, Ok(0)),
        (Anonymous, OtherKeyCreated, Err(AuthError::MissingKey)),
        (Key, Nothing, Ok(2)),
        (Key, OtherKeyCreated, Ok(2)),
        (Key, KeyRevoked, Err(AuthError::Revoked)),
        (Key, KeyExpired, Err(AuthError::Expired)),
        (ByToken, Nothing, Ok(2)),
        (ByToken, KeyRevoked, Err(AuthError::WrongToken)),
        (ByToken, KeyExpired, Err(AuthError::TenantExpired)),
        (Session, Nothing, Ok(2)),
        (Session, KeyRevoked, Err(AuthError::SignedOut)),
        (Session, KeyExpired, Err(AuthError::SignedOut)),
        (Session, SignedOut, Err(AuthError::SignedOut)),
    ] {
        let fixture = KeysFixture::new();
        let auth = Authenticator::new(fixture.keys.clone(), 1_000);
        let from = "192.0.2.1".parse().unwrap();
        let lifetime = (interim == KeyExpired).then_some(Duration::from_millis(300));
        let mut session = String::new();
        let context = match method {
            Owner => AuthContext::OWNER,
            Anonymous => auth.authenticate(Credentials::Anonymous, from).await.unwrap(),
            Key | Session => {
                fixture.create(Role::Admin, &[], None).await.unwrap();
                let key = fixture.create(Role::Operator, &[], lifetime).await.unwrap();
                let context = auth.authenticate(Credentials::ApiKey(&key), from).await.unwrap();
                if method == Session {
                    session = auth.sign_in(&context).unwrap().to_string();
                    auth.authenticate(Credentials::Session { text: &session, is_use: true }, from).await.unwrap()
                } else {
                    context
                }
            }
            ByToken => {
                fixture.create(Role::Admin, &[], None).await.unwrap();
                let secret = fixture.create_tenant(TENANT, None, lifetime).await.unwrap().unwrap();
                let at = (clock::now().0 / 1_000).to_string();
                let digest = Md5::digest(format!("{TENANT}{at}{}", *secret));
                let token: String = digest.iter().map(|it| format!("{it:02x}")).collect();
                let token = TenantToken { tenant: Some(TENANT), timestamp: Some(&at), token: Some(&token) };
                auth.authenticate(Credentials::TenantToken(token), from).await.unwrap()
            }
        };
        let requester = requester(
            &fixture.keys,
            context.clone(),
            if method == ByToken { Permission::Call } else { Permission::Read },
        );
        let ended = tokio::spawn(requester.clone().wait_until_invalid());
        let origin = match interim {
            Nothing => requester.authorize().map(|authorization| authorization.origin()),
            OtherKeyCreated => {
                fixture.create(Role::Admin, &[], None).await.unwrap();
                requester.authorize().map(|authorization| authorization.origin())
            }
            KeyRevoked => {
                fixture.keys.revoke(2, fixture.owner()).await.unwrap();
                requester.authorize().map(|authorization| authorization.origin())
            }
            KeyExpired => {
                assert!(requester.authorize().is_ok());
                requester.clone().wait_until_invalid().await;
                requester.authorize().map(|authorization| authorization.origin())
            }
            SignedOut => {
                auth.sign_out(&session);
                requester.authorize().map(|authorization| authorization.origin())
            }
        };
        let principal = |id| if method == ByToken { Principal::Caller(id) } else { Principal::Operator(id) };
        let expected = expected.map(|id| Origin { principal: principal(id), request: RequestId(7) });
        assert_eq!(origin, expected, "{method:?}, {interim:?}");
        if expected.is_err() {
            tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
        } else {
            assert!(!ended.is_finished(), "{method:?}, {interim:?}");
        }
    }
}

/// Of many anonymous requests for the first key, only one succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_key_is_created_once() {
    let fixture = KeysFixture::new();
    // All are authenticated before the first of them acts.
    let anonymous = [(); 12].map(|()| fixture.keys.authenticate_key(None, clock::now()).unwrap());
    let all = anonymous.map(|anonymous| {
        let keys = fixture.keys.clone();
        let requester = requester(&fixture.keys, anonymous, Permission::Administer);
        let request = KeyRequest {
            name: "first".to_owned(),
            role: Role::Admin,
            accounts: vec![],
            expires: None,
            tenant: None,
            secret: None,
        };
        tokio::spawn(async move { keys.create(request, || Ok::<_, KeyError>(requester.authorize()?)).await.is_ok() })
    });
    let created = join_all(all).await.into_iter().filter(|is_created| *is_created.as_ref().unwrap()).count();
    assert_eq!((created, fixture.keys.list(clock::now()).len()), (1, 1));
}

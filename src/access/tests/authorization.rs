//! Whoever was let in is asked about again, right before anything is done for them.

use std::time::Duration;

use futures_util::future::join_all;
use md5::{Digest, Md5};

use super::{KeysFixture, TENANT, requester};
use crate::access::{AuthContext, AuthError, Authenticator, Credentials, KeyError, KeyRequest, TenantToken};
use crate::clock;
use crate::domain::{Permission, Role};
use crate::journal::{Origin, Principal, RequestId};

/// How somebody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthMethod {
    Owner,
    Anonymous,
    Key,
    Token,
    Session,
}

/// What happens before the rest of their request is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InterimEvent {
    Nothing,
    AnotherKeyComes,
    TheKeyIsRevoked,
    TheKeyExpires,
    SignedOut,
}

/// Whoever was let in is asked about again: the table of all ways in, and of what may happen meanwhile.
#[tokio::test]
async fn leave_is_given_for_now() {
    use AuthMethod::{Anonymous, Key, Owner, Session, Token as ByToken};
    use InterimEvent::{AnotherKeyComes, Nothing, SignedOut, TheKeyExpires, TheKeyIsRevoked};
    for (let_in, meanwhile, expected) in [
        (Owner, Nothing, Ok(0)),
        (Owner, AnotherKeyComes, Ok(0)),
        (Anonymous, Nothing, Ok(0)),
        (Anonymous, AnotherKeyComes, Err(AuthError::MissingKey)),
        (Key, Nothing, Ok(2)),
        (Key, AnotherKeyComes, Ok(2)),
        (Key, TheKeyIsRevoked, Err(AuthError::Revoked)),
        (Key, TheKeyExpires, Err(AuthError::Expired)),
        (ByToken, Nothing, Ok(2)),
        (ByToken, TheKeyIsRevoked, Err(AuthError::WrongToken)),
        (ByToken, TheKeyExpires, Err(AuthError::TenantExpired)),
        (Session, Nothing, Ok(2)),
        (Session, TheKeyIsRevoked, Err(AuthError::SignedOut)),
        (Session, TheKeyExpires, Err(AuthError::SignedOut)),
        (Session, SignedOut, Err(AuthError::SignedOut)),
    ] {
        let house = KeysFixture::new();
        let door = Authenticator::new(house.keys.clone(), 1_000);
        let from = "192.0.2.1".parse().unwrap();
        let lasts = (meanwhile == TheKeyExpires).then_some(Duration::from_millis(300));
        let mut session = String::new();
        let pass = match let_in {
            Owner => AuthContext::OWNER,
            Anonymous => door.authenticate(Credentials::Anonymous, from).await.unwrap(),
            Key | Session => {
                house.create(Role::Admin, &[], None).await.unwrap();
                let key = house.create(Role::Operator, &[], lasts).await.unwrap();
                let pass = door.authenticate(Credentials::ApiKey(&key), from).await.unwrap();
                if let_in == Session {
                    session = door.sign_in(&pass).unwrap().to_string();
                    door.authenticate(Credentials::Session { text: &session, is_use: true }, from).await.unwrap()
                } else {
                    pass
                }
            }
            ByToken => {
                house.create(Role::Admin, &[], None).await.unwrap();
                let secret = house.create_tenant(TENANT, None, lasts).await.unwrap().unwrap();
                let at = (clock::now().0 / 1_000).to_string();
                let digest = Md5::digest(format!("{TENANT}{at}{}", *secret));
                let token: String = digest.iter().map(|it| format!("{it:02x}")).collect();
                let shown = TenantToken { tenant: Some(TENANT), timestamp: Some(&at), token: Some(&token) };
                door.authenticate(Credentials::TenantToken(shown), from).await.unwrap()
            }
        };
        let requester =
            requester(&house.keys, pass.clone(), if let_in == ByToken { Permission::Call } else { Permission::Read });
        let ended = tokio::spawn(requester.clone().wait_until_invalid());
        let origin = match meanwhile {
            Nothing => requester.authorize().map(|leave| leave.origin()),
            AnotherKeyComes => {
                house.create(Role::Admin, &[], None).await.unwrap();
                requester.authorize().map(|leave| leave.origin())
            }
            TheKeyIsRevoked => {
                house.keys.revoke(2, house.owner()).await.unwrap();
                requester.authorize().map(|leave| leave.origin())
            }
            TheKeyExpires => {
                assert!(requester.authorize().is_ok());
                requester.clone().wait_until_invalid().await;
                requester.authorize().map(|leave| leave.origin())
            }
            SignedOut => {
                door.sign_out(&session);
                requester.authorize().map(|leave| leave.origin())
            }
        };
        let principal = |id| if let_in == ByToken { Principal::Caller(id) } else { Principal::Operator(id) };
        let expected = expected.map(|id| Origin { principal: principal(id), request: RequestId(7) });
        assert_eq!(origin, expected, "{let_in:?}, {meanwhile:?}");
        if expected.is_err() {
            tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
        } else {
            assert!(!ended.is_finished(), "{let_in:?}, {meanwhile:?}");
        }
    }
}

/// However many were let in while there was no key, one of them gives the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_key_is_given_once() {
    let house = KeysFixture::new();
    let all = (0..12).map(|_| {
        let (keys, anonymous) = (house.keys.clone(), house.keys.authenticate_key(None, clock::now()).unwrap());
        let requester = requester(&house.keys, anonymous, Permission::Administer);
        let wanted = KeyRequest {
            name: "first".to_owned(),
            role: Role::Admin,
            accounts: vec![],
            expires: None,
            tenant: None,
            secret: None,
        };
        tokio::spawn(async move { keys.create(wanted, || Ok::<_, KeyError>(requester.authorize()?)).await.is_ok() })
    });
    let given = join_all(all).await.into_iter().filter(|made| *made.as_ref().unwrap()).count();
    assert_eq!((given, house.keys.list(clock::now()).len()), (1, 1));
}

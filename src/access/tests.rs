//! Tests of the keys: who is let in, for what, and until when.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{Denied, Door, Keys, Pass, Refused, Wanted, text};
use crate::clock;
use crate::config::Settings;
use crate::domain::{AccountNumber, Need, Role};
use crate::journal::{Asker, Journal, Origin};
use crate::limits::{FAILED_KEY_WAIT, FAILED_KEY_WAIT_MAX, FAILED_KEYS_FORGOTTEN};
use crate::store::Store;

struct House {
    keys: Keys,
    journal: Journal,
    _directory: TempDir,
}

impl House {
    fn new() -> House {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data"), &Settings::default().store).unwrap();
        let journal = Journal::open(store, Box::new(|_| {})).unwrap();
        House { keys: Keys::open(&journal).unwrap(), journal, _directory: directory }
    }

    async fn create(
        &self,
        role: Role,
        accounts: &[&str],
        lasts: Option<Duration>,
    ) -> Result<Zeroizing<String>, Refused> {
        let accounts = accounts.iter().map(|first| (*first).to_owned()).collect();
        let expires = lasts.map(|lasts| clock::now().plus(lasts));
        let wanted = Wanted { name: role.name().to_owned(), role, accounts, expires };
        Ok(self.keys.create(wanted, asker()).await?.key)
    }
}

fn asker() -> Asker {
    Asker { origin: Origin::OPERATOR, from: "127.0.0.1:40000".to_owned() }
}

/// The number of a key that is let in, or why it is not.
fn seen(keys: &Keys, key: Option<&str>) -> Result<u64, Denied> {
    keys.pass(key, clock::now()).map(|pass| pass.key())
}

#[tokio::test]
async fn keys_come_and_go_and_outlast_restarts() {
    let house = House::new();
    assert!(house.keys.is_open() && house.keys.pass(None, clock::now()).unwrap().needs(Need::Administer).is_ok());
    for (role, accounts, lasts) in
        [(Role::Caller, &[][..], None), (Role::Admin, &["86"], None), (Role::Admin, &[], Some(Duration::from_secs(60)))]
    {
        let refused = house.create(role, accounts, lasts).await.unwrap_err();
        assert!(refused.to_string().starts_with("role must be admin"), "{refused}");
    }
    let admin = house.create(Role::Admin, &[], None).await.unwrap();
    let caller = house.create(Role::Caller, &["8618", "44"], None).await.unwrap();
    let short = house.create(Role::Auditor, &[], Some(Duration::from_secs(60))).await.unwrap();
    let reopened = Keys::open(&house.journal).unwrap();
    for keys in [&house.keys, &reopened] {
        assert_eq!(seen(keys, Some(&admin)), Ok(1));
        assert_eq!(seen(keys, Some(&caller)), Ok(2));
        assert_eq!(seen(keys, None), Err(Denied::Missing));
        let (id_of_another, cut) = (caller.replace("muster_2", "muster_1"), &caller[..caller.len() - 1]);
        for wrong in
            ["", "muster_", "muster_1_", "muster_2_AAAA", "muster_9_x", &id_of_another, cut, &caller.to_uppercase()]
        {
            assert_eq!(seen(keys, Some(wrong)), Err(Denied::Unknown), "{wrong}");
        }
        let later = clock::now().plus(Duration::from_secs(60));
        assert_eq!(keys.pass(Some(&short), later).err(), Some(Denied::Expired));
    }
    let shown = serde_json::to_string(&house.keys.list(clock::now())).unwrap();
    let secret = caller.splitn(3, '_').nth(2).unwrap();
    assert!(shown.contains("8618") && !shown.contains(secret), "{shown}");

    house.keys.revoke(2, asker()).await.unwrap();
    assert_eq!(seen(&house.keys, Some(&caller)), Err(Denied::Revoked), "at once");
    assert_eq!(seen(&Keys::open(&house.journal).unwrap(), Some(&caller)), Err(Denied::Revoked));
    assert!(matches!(house.keys.revoke(2, asker()).await, Err(Refused::Conflict(_))));
    assert!(matches!(house.keys.revoke(7, asker()).await, Err(Refused::NoSuchKey(7))));
    house.keys.revoke(1, asker()).await.unwrap();
    assert!(!house.keys.is_open(), "what was locked once stays locked");
}

/// Whoever follows what happens hears no more of it once the key is over; likewise who came in while the door was open.
#[tokio::test]
async fn a_pass_ends_with_its_key() {
    let house = House::new();
    let ended = |pass: Pass| {
        let keys = house.keys.clone();
        tokio::spawn(async move { keys.ended(pass).await })
    };
    let pass = |key: &str| house.keys.pass(Some(key), clock::now()).unwrap();
    let of_nobody = ended(house.keys.pass(None, clock::now()).unwrap());
    let admin = house.create(Role::Admin, &[], None).await.unwrap();
    of_nobody.await.unwrap();
    let of_admin = ended(pass(&admin));
    let short = house.create(Role::Auditor, &[], Some(Duration::from_millis(500))).await.unwrap();
    ended(pass(&short)).await.unwrap();
    let other = house.create(Role::Auditor, &[], None).await.unwrap();
    let of_other = ended(pass(&other));
    house.keys.revoke(3, asker()).await.unwrap();
    of_other.await.unwrap();
    assert!(!of_admin.is_finished());
}

#[tokio::test]
async fn a_bound_key_sees_its_accounts_alone() {
    let house = House::new();
    house.create(Role::Admin, &[], None).await.unwrap();
    let key = house.create(Role::Caller, &["8618", "44"], None).await.unwrap();
    let pass = house.keys.pass(Some(&key), clock::now()).unwrap();
    let account = |number| AccountNumber::from_stored(number).unwrap();
    for (number, is_seen) in
        [(861_821_726_232, true), (442_079_460_000, true), (861_721_726_232, false), (14_155_550_100, false)]
    {
        assert_eq!((pass.sees(account(number)), Pass::ALL.sees(account(number))), (is_seen, true), "{number}");
        assert_eq!(pass.needs_account(account(number)).is_ok(), is_seen);
    }
    assert_eq!((pass.needs_all(), Pass::ALL.needs_all()), (Err(Denied::Bound), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn those_who_guess_wait_longer_and_longer_and_nobody_else() {
    let house = House::new();
    let key = house.create(Role::Admin, &[], None).await.unwrap();
    let door = Door::new(house.keys.clone(), 1_000);
    let (guesser, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let waited = async |shown: Option<&str>, from| {
        let begun = tokio::time::Instant::now();
        let is_in = door.enter(shown, from).await.is_ok();
        (is_in, begun.elapsed().as_millis() / FAILED_KEY_WAIT.as_millis())
    };
    for guess in 1..=50 {
        let most = FAILED_KEY_WAIT_MAX.as_millis() / FAILED_KEY_WAIT.as_millis();
        assert_eq!(waited(Some("muster_1_guess"), guesser).await, (false, most.min(guess)));
    }
    assert_eq!(waited(Some(&key), guesser).await, (true, 0));
    assert_eq!(waited(None, guesser).await, (false, 0));
    assert_eq!(waited(Some("muster_1_guess"), other).await, (false, 1));
    tokio::time::sleep(FAILED_KEYS_FORGOTTEN).await;
    assert_eq!(waited(Some("muster_1_guess"), guesser).await, (false, 1), "it is forgotten");
}

/// A flood on one key takes nothing from others, and what was let in is what was granted.
#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_key_and_by_address() {
    let house = House::new();
    let [one, other] =
        [house.create(Role::Admin, &[], None).await.unwrap(), house.create(Role::Admin, &[], None).await.unwrap()];
    let door = Door::new(house.keys.clone(), 10);
    let address = |last| IpAddr::from([192, 0, 2, last]);
    let flood = async |key: Option<&str>, from: u8, requests: u32| {
        let mut let_in = 0;
        for _ in 0..requests {
            let_in += u32::from(!matches!(door.enter(key, address(from)).await, Err(Denied::TooMany { .. })));
        }
        let_in
    };
    assert_eq!(flood(Some(&one), 1, 100).await, 10);
    assert_eq!(flood(Some(&one), 2, 100).await, 0, "the same key from another address");
    assert_eq!(flood(Some(&other), 1, 100).await, 0, "another key from the same address");
    assert_eq!(flood(Some(&other), 3, 100).await, 10, "another key from another address");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(flood(Some(&one), 4, 100).await, 5, "half a second's");
    let denied = door.enter(Some(&one), address(4)).await.err().unwrap();
    assert_eq!((denied.status(), denied.retry_after()), (429, Some(1)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(flood(Some(&one), 5, 100).await, 10, "no more than fit at once");
}

#[test]
fn what_each_role_may() {
    let may = |need: Need| Role::ALL.map(|role| role.may(need));
    // Caller, operator, auditor, admin.
    assert_eq!(may(Need::Call), [true, false, false, true]);
    assert_eq!(may(Need::Read), [false, true, true, true]);
    assert_eq!(may(Need::Operate), [false, true, false, true]);
    assert_eq!(may(Need::Administer), [false, false, false, true]);
}

proptest! {
    #[test]
    fn a_key_is_read_as_it_was_written(id in any::<u64>(), secret in any::<[u8; 32]>()) {
        let written = text::written(id, &secret);
        prop_assert_eq!(text::read(&written), Some((id, text::hash(&secret))));
    }

    #[test]
    fn what_is_no_key_is_read_as_none(text in "(muster_)?[0-9_]{0,24}[A-Za-z0-9_=+/é-]{0,60}") {
        let written = |(id, _)| text.starts_with(&format!("muster_{id}_"));
        prop_assert!(text::read(&text).is_none_or(written), "{}", text);
    }
}

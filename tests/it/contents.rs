//! The same content is recognised: an empty text and a missing one are the same, also in contents of older programs.

use std::sync::Arc;

use muster::clock;
use muster::config::Settings;
use muster::domain::{AccountNumber, AccountType, ContentField, ContentTexts, Event, Reason};
use muster::journal::{AppendRequest, Origin};
use muster::vault::{PlaintextContent, Vault};
use serde_json::json;

use crate::calls::{history, post};
use crate::fixture::Fixture;
use crate::service_process::ServiceProcess;
use crate::testkit::fixture::{open_journal, open_store};
use crate::testkit::requests::{INSERT, ONLINE, account_with, list};

/// The body of a call with one account, whose optional texts are empty, or missing as far as the call allows it.
fn body(path: &str, number: &str, is_empty: bool, name: &str) -> String {
    let mut account = account_with(number, &json!({"override": true, "privateKey": "private", "name": name}));
    for field in ContentField::ALL.into_iter().filter(|field| !field.is_required()) {
        let has_text = account[field.name()].as_str().is_some_and(|text| !text.is_empty());
        if is_empty && !has_text {
            account[field.name()] = "".into();
        } else if !has_text && (path, field) != (INSERT, ContentField::AccountId) {
            account.as_object_mut().unwrap().remove(field.name());
        }
    }
    list([account])
}

/// The account's events that bring a content.
async fn content_events(muster: &ServiceProcess, number: &str) -> Vec<String> {
    let mut events = history(muster, number).await;
    events.retain(|event| ["account_imported", "content_replaced"].contains(&event.as_str()));
    events
}

/// Whether the calls recorded no content.
async fn calls_are_repeats(muster: &ServiceProcess, number: &str, is_empty: bool) -> bool {
    let before = content_events(muster, number).await;
    post(muster, INSERT, body(INSERT, number, is_empty, "")).await;
    post(muster, ONLINE, body(ONLINE, number, is_empty, "")).await;
    before == content_events(muster, number).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_text_and_a_missing_one_are_the_same_content() {
    let fixture = Fixture::new().await;
    let muster = fixture.start();
    for (number, path, is_empty) in [
        ("8618210001", INSERT, false),
        ("8618210002", INSERT, true),
        ("8618210003", ONLINE, false),
        ("8618210004", ONLINE, true),
    ] {
        post(&muster, path, body(path, number, is_empty, "")).await;
        assert!(calls_are_repeats(&muster, number, !is_empty).await, "{number}");
        let other = muster.post(INSERT, body(INSERT, number, is_empty, "lee")).await;
        assert_eq!(other.json()["code"], 409, "{}", other.text);
    }
}

/// Contents with a fingerprint that the service would not give them today.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contents_with_older_fingerprints_are_recognised() {
    let fixture = Fixture::new().await;
    let numbers = [("8618210001", None), ("8618210002", Some(""))];
    {
        let store = open_store(&fixture.data());
        let vault = Vault::open(store.clone(), &Settings::default().vault).unwrap();
        let journal = open_journal(store);
        for (number, optional) in numbers {
            let account: AccountNumber = number.parse().unwrap();
            let required = |field| if field == ContentField::PrivateKey { "private" } else { "" };
            let text = |field: ContentField| if field.is_required() { Some(required(field)) } else { optional };
            let content = PlaintextContent { account_type: AccountType::Personal, texts: ContentTexts::from_fn(text) };
            let mut content = vault.seal_content(account, &content).unwrap();
            Arc::make_mut(&mut content).fingerprint.0.reverse();
            let events = vec![Event::AccountImported { content, reason: Reason::none() }];
            let (origin, at) = (Origin::SERVICE, clock::now());
            journal.append(AppendRequest { account, expected_version: 0, events, origin, at }).await.unwrap();
        }
    }
    let muster = fixture.start();
    for (number, _) in numbers {
        for is_empty in [false, true] {
            assert!(calls_are_repeats(&muster, number, is_empty).await, "{number} {is_empty}");
        }
        let other = muster.post(INSERT, body(INSERT, number, true, "lee")).await;
        assert_eq!(other.json()["code"], 409, "{}", other.text);
        post(&muster, ONLINE, body(ONLINE, number, true, "lee")).await;
        assert_eq!(content_events(&muster, number).await, ["account_imported", "content_replaced"], "{number}");
    }
}

//! Labels in bodies: those that the account had after the event, whatever they are at the attempt.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::delivery::PayloadBuilder;
use super::super::label_source::LabelSource;
use super::fixture::account;
use crate::domain::{Channel, Event, Labels, Reason, Timestamp};
use crate::journal::{AppendRequest, Generations, Origin};
use crate::testkit::fixture::StorageFixture;

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// A step is an event of one of two accounts: new labels, or something else.
    #[test]
    fn labels_are_those_after_the_event(steps in prop::collection::vec((0..2_usize, select(vec!["", "care", "sales", "other"])), 1..16)) {
        let data = StorageFixture::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut current, mut versions, mut expected) = ([Labels::NONE, Labels::NONE], [0, 0], Vec::new());
        for (index, team) in steps {
            let event = if team == "other" {
                Event::BanLifted
            } else {
                current[index] = Labels::new((!team.is_empty()).then_some(("team", team))).unwrap();
                Event::LabelsChanged { labels: current[index].clone(), reason: Reason::none() }
            };
            let (account, expected_version) = (account(index as u64), versions[index]);
            let at = Timestamp(0);
            let append = AppendRequest { account, expected_version, events: vec![event], origin: Origin::SERVICE, at };
            let appended = runtime.block_on(data.journal.append(append)).unwrap();
            versions[index] += 1;
            expected.push((account, appended[0].clone(), current[index].clone()));
        }
        // A roster without events leaves all to the history.
        for roster in [data.roster.clone(), data.roster.empty()] {
            let source = LabelSource { roster, journal: data.journal.clone() };
            for (account, record, labels) in &expected {
                prop_assert_eq!(&source.labels_after(*account, record).unwrap(), labels);
            }
        }
    }
}

/// The labels are the last field of both bodies.
#[test]
fn bodies_end_with_the_labels() {
    let data = StorageFixture::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let labels = Labels::new([("tier", ""), ("team", "care")]).unwrap();
    let events = vec![Event::LabelsChanged { labels, reason: Reason::none() }, Event::BanLifted, Event::Registered];
    let (account, at) = (account(1), Timestamp(0));
    let append = AppendRequest { account, expected_version: 0, events, origin: Origin::SERVICE, at };
    let records = runtime.block_on(data.journal.append(append)).unwrap();
    let source = LabelSource { roster: data.roster.clone(), journal: data.journal.clone() };
    let bodies = Channel::ALL.map(|channel| {
        let (status_as_string, with_still_waiting, labels) = (false, false, Some(source.clone()));
        let payloads = PayloadBuilder {
            channel,
            generations: Generations::default(),
            store: data.store.id(),
            status_as_string,
            with_still_waiting,
            labels,
        };
        let built = records.iter().find_map(|record| payloads.build_delivery(record).unwrap()).unwrap();
        String::from_utf8(built.body.to_vec()).unwrap()
    });
    let labels = r#""labels":{"team":"care","tier":""}}"#;
    assert_eq!(
        bodies,
        [
            format!(r#"{{"whatsApp":"{account}","status":1,"onlineStatus":4,"reason":"","instanceCode":"",{labels}"#),
            format!(r#"{{"phone":"{account}","status":1,{labels}"#),
        ]
    );
}

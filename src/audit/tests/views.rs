//! Events, states and differences, as the API shows them. Callers' programs parse the forms in the golden files.

use std::fmt::Write;

use serde_json::Value;

use super::*;

pub(super) fn golden(name: &str, text: &str) {
    insta::with_settings!(
        { snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"), prepend_module_to_snapshot => false,
          omit_expression => true },
        { insta::assert_snapshot!(name, text) }
    );
}

#[tokio::test]
async fn events_are_cloud_events() {
    let fixture = AuditFixture::with_history().await;
    let page = fixture.audit.events(0, &EventFilter::default(), 100).unwrap();
    let lines: Vec<String> = page.items.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    golden("audit_events", &lines.join("\n"));
    for line in lines {
        let event: Value = serde_json::from_str(&line).unwrap();
        // CloudEvents 1.0: required attributes are texts that are not empty; attribute names use a-z and 0-9.
        for required in ["id", "source", "specversion", "type"] {
            assert!(event[required].as_str().is_some_and(|it| !it.is_empty()), "{required} in {line}");
        }
        assert!(event.as_object().unwrap().keys().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
}

#[tokio::test]
async fn states_at_any_time() {
    let fixture = AuditFixture::with_history().await;
    let second = SECOND.parse().unwrap();
    let mut states = String::new();
    for version in 1..=9 {
        let line = fixture.audit.account_at(second, AsOf::Version(version)).unwrap();
        writeln!(states, "version {version}\n  {}", serde_json::to_string(&line).unwrap()).unwrap();
        for change in fixture.audit.diff(second, version.max(2) - 1, version).unwrap() {
            writeln!(states, "  {}", serde_json::to_string(&change).unwrap()).unwrap();
        }
    }
    golden("audit_states", &states);
    // The status changed at the sixth second, not a microsecond earlier.
    let status = |time: i64| fixture.audit.state(second, AsOf::Time(Timestamp(time))).unwrap()["status"].clone();
    assert_eq!((status(at(6).0 - 1), status(at(6).0)), (Value::from(1), Value::from(2)));
    let state_error = |as_of| fixture.audit.state(second, as_of).unwrap_err().to_string();
    assert_eq!(state_error(AsOf::Version(10)), "account 861821720003 has the versions 1 to 9, and no version 10");
    assert_eq!(state_error(AsOf::Version(0)), "account 861821720003 has the versions 1 to 9, and no version 0");
    let early = "account 861821720003 did not exist then; its history begins at 2026-11-25T09:00:02.000000Z";
    assert_eq!(state_error(AsOf::Time(at(1))), early);
}

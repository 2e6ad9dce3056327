//! The data of each type of event, compared with its schema.

use serde_json::{Map, Value, json};

use super::*;
use crate::audit::cloud_event::data_json;
use crate::journal::tests::sample_journal_events;
use crate::journal::{JournalRecord, StreamId};

/// In every version, because old events are shown as they were.
#[test]
fn data_is_as_its_type_is_described() {
    for event in sample_journal_events() {
        let event_type = event.event_type().unwrap();
        for schema in 1..=event_type.definition().schema {
            let origin = Origin { principal: Principal::Service, request: RequestId(0) };
            let record = JournalRecord {
                position: 1,
                stream: StreamId::Administration,
                version: 1,
                previous: 0,
                at: at(0),
                origin,
                schema,
                event: event.clone(),
            };
            let data: Value = serde_json::from_str(&data_json(&record)).unwrap();
            let schemas = event_data_schemas(event_type);
            let Some((name, _)) = schemas.first() else {
                assert_eq!(data, json!({}), "{}", event_type.name());
                continue;
            };
            let components: Map<_, _> = schemas.iter().map(|(name, schema)| (name.clone(), json!(schema))).collect();
            let described = json!({
                "$ref": format!("#/components/schemas/{name}"), "unevaluatedProperties": false,
                "components": {"schemas": components},
            });
            let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&described).unwrap();
            let faults: Vec<String> = validator.iter_errors(&data).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{}, version {schema}: {data} is no {name}: {faults:?}", event_type.name());
        }
    }
}

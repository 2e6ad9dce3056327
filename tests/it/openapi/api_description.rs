//! The description of requests, responses and webhooks, as a checker.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::service_process::{ReceivedDelivery, ServiceResponse, run_muster};

/// The description, and the operations checked against it.
pub struct ApiDescription {
    document: Value,
    /// The statuses seen of each operation, by method and path.
    seen: BTreeMap<String, BTreeSet<u16>>,
}

impl ApiDescription {
    /// As `muster openapi` prints it.
    pub fn new() -> ApiDescription {
        let document: Value = serde_json::from_str(&run_muster(&["openapi"], &[]).1).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (format!("{method} {path}"), BTreeSet::new()))
        });
        let seen = operations.collect();
        ApiDescription { document, seen }
    }

    /// Checks a request and its response.
    pub fn check(&mut self, method: &str, path: &str, body: &str, answer: &ServiceResponse) {
        let at = format!("{method} {path}: {} {}", answer.status, answer.text);
        let template = self.path_template(path).unwrap_or_else(|| panic!("{at}: no such path is described"));
        let operation = &self.document["paths"][&template][method.to_lowercase()];
        let response = self.resolve(&operation["responses"][answer.status.to_string()]);
        assert!(response.is_object(), "{at}: this status is not described");
        for header in response["headers"].as_object().unwrap().keys().filter(|name| *name != "Idempotency-Replayed") {
            assert!(answer.headers.contains_key(header), "{at}: there is no {header}");
        }
        match response["content"].as_object() {
            None => assert_eq!(answer.text, "", "{at}: no body is described"),
            Some(contents) => {
                let kind = answer.header("content-type");
                let content = contents.get(kind).or_else(|| response["x-streams"].get(kind));
                let content = content.unwrap_or_else(|| panic!("{at}: {kind:?} is not described"));
                match kind {
                    "application/json" | "application/problem+json" => {
                        self.assert_valid(&content["schema"], &answer.text, &at);
                    }
                    "application/x-ndjson" => {
                        let line_schema = &response["x-streams"][kind]["schema"];
                        answer.text.lines().for_each(|line| self.assert_valid(line_schema, line, &at));
                    }
                    _ => assert!(!answer.text.is_empty(), "{at}: there is nothing"),
                }
            }
        }
        let described = &operation["requestBody"]["content"];
        if answer.status < 300 && body.starts_with('{') {
            self.assert_valid(&described["application/json"]["schema"], body, &at);
        }
        self.seen.get_mut(&format!("{} {template}", method.to_lowercase())).unwrap().insert(answer.status);
    }

    /// Checks an event of the live tail.
    pub fn check_live(&self, event: &Value) {
        let response = &self.document["paths"]["/api/v1/events"]["get"]["responses"]["200"];
        assert!(response["x-streams"]["text/event-stream"].is_object(), "the live tail is not described");
        self.assert_valid(&json!({"$ref": "#/components/schemas/CloudEvent"}), &event.to_string(), "the live tail");
    }

    /// Checks a webhook.
    pub fn check_webhook(&self, delivery: &ReceivedDelivery) {
        let channel = match delivery.path.as_str() {
            "/callback/gsTask/syncWhatsAppStatus" => "CHANNEL_SYNC_STATUS",
            "/group-dispatch-api/register/syncStatus" => "CHANNEL_REGISTER_STATUS",
            other => panic!("no webhook goes to {other}"),
        };
        let operation = &self.document["webhooks"][channel]["post"];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        self.assert_valid(schema, &delivery.body.to_string(), &delivery.path);
    }

    /// Asserts that every operation was seen to succeed, and to fail if it can.
    pub fn assert_complete(&self) {
        let is_lacking = |(operation, seen): &(&String, &BTreeSet<u16>)| {
            let is_health = ["/healthz", "/readyz", "/metrics"].iter().any(|path| operation.ends_with(path));
            !seen.iter().any(|status| *status < 300) || (!is_health && !seen.iter().any(|status| *status >= 400))
        };
        let lacking: Vec<_> = self.seen.iter().filter(is_lacking).collect();
        assert!(lacking.is_empty(), "these were not called, or not both well and badly: {lacking:#?}");
    }

    /// The described path that matches. A path without parameters comes before one with parameters.
    fn path_template(&self, path: &str) -> Option<String> {
        let path = path.split('?').next().unwrap();
        let is_of = |template: &&String| {
            let (parts, names) = (path.split('/'), template.split('/'));
            parts.clone().count() == names.clone().count()
                && parts.zip(names).all(|(part, name)| part == name || name.starts_with('{'))
        };
        let templates = self.document["paths"].as_object().unwrap().keys().filter(is_of);
        templates.min_by_key(|template| template.matches('{').count()).cloned()
    }

    fn resolve<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(named) => self.document.pointer(named.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    fn assert_valid(&self, schema: &Value, text: &str, at: &str) {
        assert!(schema.is_object(), "{at}: there is no schema");
        let schema = json!({"allOf": [schema], "components": self.document["components"]});
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{at}: {error}"));
        let faults: Vec<String> = validator.iter_errors(&value).map(|error| format!("{error}")).collect();
        assert!(faults.is_empty(), "{at}: it is not as described: {faults:#?}");
        self.assert_events_valid(&value, at);
    }

    /// Checks the events in a body against the schemas of their types.
    fn assert_events_valid(&self, value: &Value, at: &str) {
        match value {
            Value::Object(event) if event.contains_key("specversion") => {
                let mapping = &self.document["components"]["schemas"]["CloudEvent"]["discriminator"]["mapping"];
                let schema = &mapping[event["type"].as_str().unwrap()];
                let schema = json!({"$ref": schema, "components": self.document["components"]});
                let validator = jsonschema::draft202012::options().build(&schema).unwrap();
                assert!(validator.is_valid(value), "{at}: an event is not as its type is described: {value}");
            }
            Value::Object(fields) => fields.values().for_each(|field| self.assert_events_valid(field, at)),
            Value::Array(items) => items.iter().for_each(|item| self.assert_events_valid(item, at)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

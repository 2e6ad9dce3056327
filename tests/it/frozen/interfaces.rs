//! Whether an API still offers what it offered: paths, methods, parameters, media types, statuses and fields. Names and descriptions of
//! schemas may change, because they are not on the wire.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The types of each field, by its path such as `events[].data.reason`. No types: it may have any value.
type FieldTypes = BTreeMap<String, BTreeSet<String>>;

/// Schemas that contain themselves are followed to this depth.
const DEPTH: usize = 12;

/// One OpenAPI document.
struct ApiDocument<'d>(&'d Value);

impl<'d> ApiDocument<'d> {
    /// What a reference refers to; anything else is itself.
    fn resolve(&self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(reference) => {
                self.0.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"))
            }
            None => value,
        }
    }

    /// The fields of a schema.
    fn fields(&self, schema: &'d Value) -> FieldTypes {
        let mut fields = FieldTypes::new();
        self.add_fields(schema, "", DEPTH, &mut fields);
        fields
    }

    fn add_fields(&self, schema: &'d Value, place: &str, depth: usize, fields: &mut FieldTypes) {
        if depth == 0 {
            return;
        }
        let schema = self.resolve(schema);
        let types = fields.entry(place.to_owned()).or_default();
        match &schema["type"] {
            Value::String(one) => drop(types.insert(one.clone())),
            Value::Array(several) => types.extend(several.iter().filter_map(Value::as_str).map(str::to_owned)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
        let alternatives = ["oneOf", "anyOf", "allOf"].map(|name| schema[name].as_array());
        alternatives.into_iter().flatten().flatten().for_each(|one| self.add_fields(one, place, depth - 1, fields));
        let mapped = schema["discriminator"]["mapping"].as_object().into_iter().flatten();
        for (_, reference) in mapped {
            let subtype = self.0.pointer(reference.as_str().unwrap().trim_start_matches('#')).unwrap();
            // Its base is this schema.
            let own = subtype["allOf"].as_array().into_iter().flatten().filter(|one| one.get("$ref").is_none());
            own.for_each(|own| self.add_fields(own, place, depth - 1, fields));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.add_fields(property, &format!("{place}.{name}"), depth - 1, fields);
        }
        if schema["items"].is_object() {
            self.add_fields(&schema["items"], &format!("{place}[]"), depth - 1, fields);
        }
    }

    /// The operations, by path and method.
    fn operations(&self) -> BTreeMap<String, &'d Value> {
        let paths = ["paths", "webhooks"].into_iter().filter_map(|part| self.0[part].as_object()).flatten();
        let methods = paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |it| (path, it)));
        let is_method = |name: &str| ["get", "head", "post", "put", "delete"].contains(&name);
        let operations = methods.filter(|(_, (method, _))| is_method(method));
        operations.map(|(path, (method, operation))| (format!("{method} {path}"), operation)).collect()
    }

    /// The media types of a body, with their schemas. Streams are described apart.
    fn media_types(&self, body: &'d Value) -> BTreeMap<&'d str, &'d Value> {
        let body = self.resolve(body);
        let media_types = ["content", "x-streams"].into_iter().filter_map(|part| body[part].as_object()).flatten();
        media_types.map(|(name, content)| (name.as_str(), &content["schema"])).collect()
    }
}

/// Asserts that the API of `now` offers everything that the one of `was` offered.
pub(super) fn assert_offers(now: &Value, was: &Value) {
    let (now, was) = (ApiDocument(now), ApiDocument(was));
    let offered = now.operations();
    for (name, operation) in was.operations() {
        let now_operation = offered.get(&name).unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(now_operation["operationId"], operation["operationId"], "clients have methods of this name");
        assert_takes_parameters(&now, now_operation, &was, operation, &name);
        let body = |document: &ApiDocument<'_>, operation: &Value| document.resolve(operation)["requestBody"].clone();
        let (now_body, was_body) = (body(&now, now_operation), body(&was, operation));
        assert_has_bodies((&now, &now_body), (&was, &was_body), &name);
        assert!(now_body["required"] != true || was_body["required"] == true, "{name}: the body is required");
        for (status, response) in operation["responses"].as_object().into_iter().flatten() {
            let now_response = now_operation["responses"].get(status);
            let now_response = now_response.unwrap_or_else(|| panic!("{name}: {status} is gone"));
            assert_has_bodies((&now, now_response), (&was, response), &format!("{name} {status}"));
        }
    }
}

fn assert_takes_parameters(
    now: &ApiDocument<'_>,
    now_operation: &Value,
    was: &ApiDocument<'_>,
    operation: &Value,
    name: &str,
) {
    let parameters = |operation: &Value| operation["parameters"].as_array().cloned().unwrap_or_default();
    let key = |parameter: &Value| (parameter["in"].clone(), parameter["name"].clone());
    let (now_parameters, was_parameters) = (parameters(now_operation), parameters(operation));
    let find = |parameters: &[Value], wanted: &Value| parameters.iter().find(|it| key(it) == key(wanted)).cloned();
    for parameter in &was_parameters {
        let found = find(&now_parameters, parameter).unwrap_or_else(|| panic!("{name}: {} is gone", parameter["name"]));
        let place = format!("{name}: {}", parameter["name"]);
        assert_same_types(&now.fields(&found["schema"]), &was.fields(&parameter["schema"]), &place);
    }
    for parameter in now_parameters.iter().filter(|parameter| parameter["required"] == true) {
        let was_required = find(&was_parameters, parameter).is_some_and(|it| it["required"] == true);
        assert!(was_required, "{name}: {} is required", parameter["name"]);
    }
}

fn assert_has_bodies(
    (now, now_body): (&ApiDocument<'_>, &Value),
    (was, was_body): (&ApiDocument<'_>, &Value),
    place: &str,
) {
    let now_types = now.media_types(now_body);
    for (media_type, schema) in was.media_types(was_body) {
        let now_schema = now_types.get(media_type).unwrap_or_else(|| panic!("{place}: {media_type} is gone"));
        // Whole files are described as bytes, and a text has no fields.
        if now_schema["format"] != "binary" && !media_type.starts_with("text/") {
            assert_same_types(&now.fields(now_schema), &was.fields(schema), &format!("{place} {media_type}"));
        }
    }
}

/// Data of events whose type the program does not know. The description has them in words: no type of event could be mapped to them.
const DESCRIBED_IN_WORDS: [&str; 3] = [".data.eventType", ".data.schema", ".data.payload"];

/// In the description of version 0.1 this was the error of another endpoint. The response never had these fields.
const MISDESCRIBED: &str = ".gateways[].errors[].error";

/// Asserts that each field is still there, with one of the types that it had.
fn assert_same_types(now: &FieldTypes, was: &FieldTypes, place: &str) {
    let is_described =
        |field: &str| !DESCRIBED_IN_WORDS.iter().any(|end| field.ends_with(end)) && !field.starts_with(MISDESCRIBED);
    // What may have any value is described in words.
    let has_any_value = |field: &str| {
        let ends = field.match_indices(['.', '[']).map(|(end, _)| &field[..end]);
        ends.skip(1).any(|part| now.get(part).is_some_and(|types| types.iter().all(|one| one == "null")))
    };
    let compared = was.iter().filter(|(field, _)| is_described(field) && !has_any_value(field));
    for (field, was_types) in compared {
        let types = now.get(field).unwrap_or_else(|| panic!("{place}: {field} is gone"));
        // Positions are described as digits, and numbers are still taken.
        let is_position = types.contains("string") && was_types.contains("integer");
        let is_same = types.is_empty() || was_types.is_empty() || !types.is_disjoint(was_types);
        assert!(is_same || is_position, "{place}: {field} was {was_types:?} and is {types:?}");
    }
}

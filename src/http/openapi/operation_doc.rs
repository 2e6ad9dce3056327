//! One operation, as it is described: what it takes, what it answers.

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Header, Ref, RefOr, Required, Response, ResponseBuilder};

const JSON: &str = "application/json";

/// An operation under a path.
pub(super) struct OperationDoc {
    pub(super) method: HttpMethod,
    pub(super) path: String,
    operation: OperationBuilder,
    description: String,
    /// The types that it names.
    schemas: Schemas,
}

/// Types by name, each with those that it names.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

impl OperationDoc {
    /// Named `id` in generated clients; `summary` is one line.
    pub(super) fn new(method: HttpMethod, path: impl Into<String>, id: &str, summary: &str) -> OperationDoc {
        let operation = OperationBuilder::new().operation_id(Some(id)).summary(Some(summary));
        OperationDoc { method, path: path.into(), operation, description: String::new(), schemas: Vec::new() }
    }

    /// Says more of it, in a paragraph of its own.
    pub(super) fn describe(mut self, words: &str) -> OperationDoc {
        if !self.description.is_empty() {
            self.description.push_str("\n\n");
        }
        self.description.push_str(words);
        self
    }

    /// A parameter in the query, which may be left out.
    pub(super) fn query_parameter(self, name: &str, schema: ObjectBuilder, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Query, Required::False, name, schema, words)
    }

    /// A parameter in the query that must be there.
    pub(super) fn required_query_parameter(self, name: &str, schema: ObjectBuilder, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Query, Required::True, name, schema, words)
    }

    /// A part of the path.
    pub(super) fn path_parameter(self, name: &str, schema: ObjectBuilder, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Path, Required::True, name, schema, words)
    }

    /// A header of the request, which may be left out.
    pub(super) fn optional_header(self, name: &str, schema: ObjectBuilder, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Header, Required::False, name, schema, words)
    }

    /// A header that is always sent.
    pub(super) fn required_header(self, name: &str, schema: ObjectBuilder, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Header, Required::True, name, schema, words)
    }

    fn parameter(
        mut self,
        place: ParameterIn,
        required: Required,
        name: &str,
        schema: ObjectBuilder,
        words: &str,
    ) -> OperationDoc {
        let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
        self.operation = self.operation.parameter(parameter.description(Some(words)).schema(Some(schema)));
        self
    }

    /// A body of JSON in the form of `T`.
    pub(super) fn json_body<T: ToSchema>(self, required: Required, words: &str) -> OperationDoc {
        let schema = Ref::from_schema_name(T::name());
        self.register_schema::<T>().json_body_schema(schema, None, required, words)
    }

    /// A body of JSON in this form, with an example.
    pub(super) fn json_body_schema(
        mut self,
        schema: impl Into<RefOr<Schema>>,
        example: Option<Value>,
        required: Required,
        words: &str,
    ) -> OperationDoc {
        let content = ContentBuilder::new().schema(Some(schema)).example(example).build();
        let body = RequestBodyBuilder::new().description(Some(words)).required(Some(required)).content(JSON, content);
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    /// An answer of JSON in the form of `T`.
    pub(super) fn json_response<T: ToSchema>(self, status: u16, words: &str) -> OperationDoc {
        let schema = Ref::from_schema_name(T::name());
        self.register_schema::<T>().response(status, response_with_id(words).content(JSON, content(schema)))
    }

    /// An answer.
    pub(super) fn response(mut self, status: u16, response: ResponseBuilder) -> OperationDoc {
        let response: RefOr<Response> = response.into();
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// Any other answer.
    pub(super) fn default_response(mut self, response: ResponseBuilder) -> OperationDoc {
        let response: RefOr<Response> = response.into();
        self.operation = self.operation.response("default", response);
        self
    }

    /// An answer that others give too.
    pub(super) fn shared_response(mut self, status: u16, name: &str) -> OperationDoc {
        let response: RefOr<Response> = RefOr::Ref(Ref::from_response_name(name));
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// Puts `T` among the components.
    pub(super) fn register_schema<T: ToSchema>(mut self) -> OperationDoc {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        self
    }

    /// Whom it is for, where that is not as everywhere.
    pub(super) fn security(mut self, securities: Vec<SecurityRequirement>) -> OperationDoc {
        self.operation = self.operation.securities(Some(securities));
        self
    }

    /// The operation under its tag, and the types that it names.
    pub(super) fn build(self, tag: &str) -> (OperationBuilder, Schemas) {
        let words = (!self.description.is_empty()).then_some(self.description);
        (self.operation.tag(tag).description(words), self.schemas)
    }
}

/// An answer with its id.
pub(super) fn response_with_id(words: &str) -> ResponseBuilder {
    let id = text_header("The request's id: the caller's own, or one that was drawn. The log has it too.");
    ResponseBuilder::new().description(words).header("x-request-id", id)
}

/// What is in a body.
pub(super) fn content(schema: impl Into<RefOr<Schema>>) -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(schema)).build()
}

/// A header of an answer.
pub(super) fn text_header(words: &str) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).description(Some(words)).build()
}

/// `Retry-After`.
pub(super) fn retry_after_header() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait before it is asked again.")).build()
}

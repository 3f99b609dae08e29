//! Maps a document of version 3 to the messages of gnostic's `OpenAPIv3.proto`.

use serde_json::Value;

use super::{Choice, Field, Message, Part, Shape, TEXTS};

/// A document; only its paths and schemas are long.
pub(super) static DOCUMENT: Part = Part::Object {
    message: &DOCUMENT_START,
    parts: &[
        ("paths", 4, Part::Named { number: 1, shape: &Shape::Message(&PATH_ITEM) }),
        (
            "components",
            5,
            Part::Object {
                message: &COMPONENTS,
                parts: &[("schemas", 1, Part::Named { number: 1, shape: &SCHEMA_OR_REFERENCE })],
            },
        ),
    ],
};

static DOCUMENT_START: Message = Message {
    fields: &[Field("openapi", 1, Shape::Text), Field("info", 2, Shape::Message(&INFO))],
    extensions: 9,
};

static INFO: Message = Message {
    fields: &[
        Field("title", 1, Shape::Text),
        Field("description", 2, Shape::Text),
        Field("version", 6, Shape::Text),
        Field("summary", 8, Shape::Text),
    ],
    extensions: 7,
};

static COMPONENTS: Message = Message { fields: &[], extensions: 10 };

static PATH_ITEM: Message = Message {
    fields: &[
        Field("summary", 2, Shape::Text),
        Field("description", 3, Shape::Text),
        Field("get", 4, Shape::Message(&OPERATION)),
        Field("put", 5, Shape::Message(&OPERATION)),
        Field("post", 6, Shape::Message(&OPERATION)),
        Field("delete", 7, Shape::Message(&OPERATION)),
        Field("options", 8, Shape::Message(&OPERATION)),
        Field("head", 9, Shape::Message(&OPERATION)),
        Field("patch", 10, Shape::Message(&OPERATION)),
        Field("trace", 11, Shape::Message(&OPERATION)),
        Field("parameters", 13, Shape::Each(&PARAMETER_VALUE)),
    ],
    extensions: 14,
};

static OPERATION: Message = Message {
    fields: &[
        Field("tags", 1, TEXTS),
        Field("summary", 2, Shape::Text),
        Field("description", 3, Shape::Text),
        Field("operationId", 5, Shape::Text),
        Field("parameters", 6, Shape::Each(&PARAMETER_VALUE)),
        Field("requestBody", 7, Shape::Inside(1, &Shape::Message(&REQUEST_BODY))),
        Field("responses", 8, Shape::Inside(2, &Shape::ByName(&RESPONSE_VALUE))),
        Field("deprecated", 10, Shape::Flag),
    ],
    extensions: 13,
};

/// A value that may be a reference is wrapped in a message.
static PARAMETER_VALUE: Shape = Shape::Inside(1, &Shape::Message(&PARAMETER));

static PARAMETER: Message = Message {
    fields: &[
        Field("name", 1, Shape::Text),
        Field("in", 2, Shape::Text),
        Field("description", 3, Shape::Text),
        Field("required", 4, Shape::Flag),
        Field("deprecated", 5, Shape::Flag),
        Field("allowEmptyValue", 6, Shape::Flag),
        Field("style", 7, Shape::Text),
        Field("explode", 8, Shape::Flag),
        Field("allowReserved", 9, Shape::Flag),
        Field("schema", 10, SCHEMA_OR_REFERENCE),
        Field("example", 11, Shape::Any),
        Field("content", 13, CONTENT),
    ],
    extensions: 14,
};

static REQUEST_BODY: Message = Message {
    fields: &[
        Field("description", 1, Shape::Text),
        Field("content", 2, CONTENT),
        Field("required", 3, Shape::Flag),
    ],
    extensions: 4,
};

static RESPONSE_VALUE: Shape = Shape::Inside(1, &Shape::Message(&RESPONSE));

static RESPONSE: Message = Message {
    fields: &[Field("description", 1, Shape::Text), Field("content", 3, CONTENT)],
    extensions: 5,
};

/// Media types by name.
const CONTENT: Shape = Shape::Inside(1, &Shape::ByName(&MEDIA_TYPE_VALUE));

static MEDIA_TYPE_VALUE: Shape = Shape::Message(&MEDIA_TYPE);

static MEDIA_TYPE: Message = Message {
    fields: &[Field("schema", 1, SCHEMA_OR_REFERENCE), Field("example", 2, Shape::Any)],
    extensions: 5,
};

pub(super) const SCHEMA_OR_REFERENCE: Shape = Shape::OneOf(schema_or_reference);
static EACH_SCHEMA: Shape = Shape::Each(&SCHEMA_OR_REFERENCE);

static REFERENCE: Message = Message {
    fields: &[
        Field("$ref", 1, Shape::Text),
        Field("summary", 2, Shape::Text),
        Field("description", 3, Shape::Text),
    ],
    // The message has no field for extensions, and Keepwatch writes none here.
    extensions: 0,
};

static SCHEMA: Message = Message {
    fields: &[
        Field("nullable", 1, Shape::Flag),
        Field("readOnly", 3, Shape::Flag),
        Field("writeOnly", 4, Shape::Flag),
        Field("example", 7, Shape::Any),
        Field("deprecated", 8, Shape::Flag),
        Field("title", 9, Shape::Text),
        Field("multipleOf", 10, Shape::Double),
        Field("maximum", 11, Shape::Double),
        Field("exclusiveMaximum", 12, Shape::Flag),
        Field("minimum", 13, Shape::Double),
        Field("exclusiveMinimum", 14, Shape::Flag),
        Field("maxLength", 15, Shape::Whole),
        Field("minLength", 16, Shape::Whole),
        Field("pattern", 17, Shape::Text),
        Field("maxItems", 18, Shape::Whole),
        Field("minItems", 19, Shape::Whole),
        Field("uniqueItems", 20, Shape::Flag),
        Field("maxProperties", 21, Shape::Whole),
        Field("minProperties", 22, Shape::Whole),
        Field("required", 23, TEXTS),
        Field("enum", 24, Shape::Each(&Shape::Any)),
        Field("type", 25, Shape::Text),
        Field("allOf", 26, Shape::Each(&SCHEMA_OR_REFERENCE)),
        Field("oneOf", 27, Shape::Each(&SCHEMA_OR_REFERENCE)),
        Field("anyOf", 28, Shape::Each(&SCHEMA_OR_REFERENCE)),
        Field("not", 29, Shape::Message(&SCHEMA)),
        Field("items", 30, Shape::Inside(1, &EACH_SCHEMA)),
        Field("properties", 31, Shape::Inside(1, &Shape::ByName(&SCHEMA_OR_REFERENCE))),
        Field("additionalProperties", 32, Shape::OneOf(schema_or_flag)),
        Field("default", 33, Shape::OneOf(default)),
        Field("description", 34, Shape::Text),
        Field("format", 35, Shape::Text),
    ],
    extensions: 36,
};

static SCHEMA_VALUE: Shape = Shape::Message(&SCHEMA);
static REFERENCE_VALUE: Shape = Shape::Message(&REFERENCE);
static SCHEMA_OR_REFERENCE_VALUE: Shape = SCHEMA_OR_REFERENCE;

fn schema_or_reference(value: &Value) -> Choice {
    if value.get("$ref").is_some() {
        Choice::Field(2, &REFERENCE_VALUE)
    } else {
        Choice::Field(1, &SCHEMA_VALUE)
    }
}

fn schema_or_flag(value: &Value) -> Choice {
    if value.is_boolean() {
        Choice::Field(2, &Shape::Flag)
    } else {
        Choice::Field(1, &SCHEMA_OR_REFERENCE_VALUE)
    }
}

/// A number, a boolean or a string. For other values, gnostic only encodes that a default exists.
fn default(value: &Value) -> Choice {
    match value {
        Value::Number(_) => Choice::Field(1, &Shape::Double),
        Value::Bool(_) => Choice::Field(2, &Shape::Flag),
        Value::String(_) => Choice::Field(3, &Shape::Text),
        Value::Null | Value::Array(_) | Value::Object(_) => Choice::Nothing,
    }
}

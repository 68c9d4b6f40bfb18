//! The schemas of single values in the document, from the constants that the handlers check against.

use crate::admin::REASON_CHARS_MAX;
use crate::etag::{CONDITION_PATTERN, TAG_PATTERN, TAGS_MAX};
use crate::intent::KEY_PATTERN;
use crate::paging::{CURSOR_PATTERN, LIMIT_DEFAULT, LIMIT_MAX};
use crate::passwords::{PASSWORD_MAX, PASSWORD_MIN};
use crate::sessions::REFRESH_TOKEN_PATTERN;
use crate::users::BATCH_MAX;
use events::text_limits::{BIO_MAX, COMMENT_MAX, CONTENT_MAX, DEVICE_MAX, EMAIL_MAX, USERNAME_MAX, USERNAME_MIN};
use projections::notifications::{Deed, UNREAD_MAX};
use projections::sagas::SagaStatus;
use serde_json::{Value, json};
use std::time::Duration;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AllOfBuilder, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, SchemaFormat};

/// Somewhere a character that is no white space, nowhere U+0000.
pub(crate) const PROSE_PATTERN: &str = r"^[^\u0000]*[^\u0000\s][^\u0000]*$";
/// One line that says something.
pub(crate) const REASON_PATTERN: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$";
/// A username.
pub(crate) const USERNAME_PATTERN: &str = "^[A-Za-z0-9_]{3,30}$";
/// An address: a dot-atom, and a host of at least two labels, each of 63 characters at most.
pub(crate) const EMAIL_PATTERN: &str = "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@\
     [A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$";
/// What stands before the at sign.
const EMAIL_LOCAL_PATTERN: &str = "^[^@]{1,64}@";
/// A key of the log.
const LOG_KEY_PATTERN: &str = "^((user|post):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(email|username):\
     [A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])$";
/// partition@offset; below what either may be.
const LOG_POSITION_PATTERN: &str = "^[0-9]{1,9}@[0-9]{1,19}$";
/// Longer than anything has been there.
pub(crate) const AGE_S_MAX: u64 = 1 << 40;
/// What our media service mints.
pub(crate) const MEDIA_URL_PATTERN: &str = "^/media/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// 12 bytes.
const NOTIFICATION_ID_PATTERN: &str = "^[0-9a-f]{24}$";
/// A consistency token.
const TOKEN_PATTERN: &str = "^[A-Za-z0-9_-]{38}$";

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn prose(max: usize) -> ObjectBuilder {
    string().min_length(Some(1)).max_length(Some(max)).pattern(Some(PROSE_PATTERN))
}

fn or_null(builder: ObjectBuilder) -> Object {
    builder.schema_type(utoipa::openapi::schema::SchemaType::from_iter([Type::String, Type::Null])).build()
}

/// A post's content.
pub(crate) fn content() -> Object {
    prose(CONTENT_MAX).examples(["Good morning, @ada! #weather"]).build()
}

/// A comment's text.
pub(crate) fn comment_text() -> Object {
    prose(COMMENT_MAX).examples(["Good morning!"]).build()
}

/// A bio, or null.
pub(crate) fn bio() -> Object {
    or_null(prose(BIO_MAX))
}

/// The reference to an upload, or null.
pub(crate) fn media_url() -> Object {
    or_null(string().pattern(Some(MEDIA_URL_PATTERN)))
}

/// An address.
pub(crate) fn email() -> Schema {
    let address = string().max_length(Some(EMAIL_MAX)).pattern(Some(EMAIL_PATTERN));
    let local = string().pattern(Some(EMAIL_LOCAL_PATTERN));
    Schema::AllOf(AllOfBuilder::new().item(address).item(local).build())
}

/// A username.
pub(crate) fn username() -> Object {
    let lengths = string().min_length(Some(USERNAME_MIN)).max_length(Some(USERNAME_MAX));
    lengths.pattern(Some(USERNAME_PATTERN)).build()
}

/// A password.
pub(crate) fn password() -> Object {
    let lengths = string().min_length(Some(PASSWORD_MIN)).max_length(Some(PASSWORD_MAX));
    lengths.format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))).build()
}

/// A refresh token.
pub(crate) fn refresh_token() -> Object {
    string().pattern(Some(REFRESH_TOKEN_PATTERN)).build()
}

/// A few ids of users, with commas.
pub(crate) fn user_ids() -> Object {
    let id = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
    string().pattern(Some(format!("^({id}(,{id}){{0,{more}}})?$", more = BATCH_MAX - 1))).build()
}

/// An absolute URL.
pub(crate) fn url() -> Object {
    string().format(Some(SchemaFormat::Custom("uri".to_owned()))).build()
}

/// What a client calls itself, or null.
pub(crate) fn device() -> Object {
    or_null(string().min_length(Some(1)).max_length(Some(DEVICE_MAX)))
}

/// A hashtag in a path: not longer than a post can be with its `#`.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = r"^[\p{Alphabetic}\p{N}\p{M}_]*[\p{Alphabetic}\p{M}_][\p{Alphabetic}\p{N}\p{M}_]*$",
    min_length = 1, max_length = 4_999)]
#[expect(dead_code, reason = "it stands in the document only")]
pub(crate) struct HashtagInPath(String);

/// The id of a notification.
pub(crate) fn notification_id() -> Object {
    string().pattern(Some(NOTIFICATION_ID_PATTERN)).build()
}

/// What somebody is notified of.
pub(crate) fn notification_type() -> Object {
    string().enum_values(Some(Deed::KINDS)).build()
}

/// How much is unread, as far as it is counted.
pub(crate) fn unread_count() -> Object {
    let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(UNREAD_MAX));
    count.description(Some("How many are unread in all, counted up to 10,000")).build()
}

/// A time.
pub(crate) fn time() -> Object {
    string().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).build()
}

/// A time, or null.
pub(crate) fn time_or_null() -> Object {
    or_null(string().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))))
}

/// The cursor of the next page, or null at the end.
pub(crate) fn next_cursor() -> Object {
    or_null(string().pattern(Some(CURSOR_PATTERN)))
}

/// What every list takes in its query.
pub(crate) fn paging_parameters() -> Value {
    json!([
        {
            "name": "limit", "in": "query", "required": false, "description": "Items of a page",
            "schema": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
        },
        {
            "name": "cursor", "in": "query", "required": false,
            "description": "Where the page before ended: its `next_cursor`",
            "schema": {"type": "string", "pattern": CURSOR_PATTERN},
        },
    ])
}

/// Why an operator steps in.
pub(crate) fn reason() -> Object {
    string().min_length(Some(1)).max_length(Some(REASON_CHARS_MAX)).pattern(Some(REASON_PATTERN)).build()
}

/// A key of the log, which is named by an id or by 32 bytes.
pub(crate) fn log_key() -> Object {
    string().pattern(Some(LOG_KEY_PATTERN)).build()
}

/// A commit in the log.
pub(crate) fn log_position() -> Object {
    string().pattern(Some(LOG_POSITION_PATTERN)).build()
}

/// Where a saga can stand.
pub(crate) fn saga_status() -> Object {
    string().enum_values(Some(SagaStatus::ALL.map(SagaStatus::name))).build()
}

/// Which sagas there are.
pub(crate) fn saga_type() -> Object {
    let processes = sagas::processes(Duration::ZERO);
    string().enum_values(Some(processes.plans().map(|(name, _)| name))).build()
}

/// How long ago, in seconds.
pub(crate) fn age_s() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(AGE_S_MAX)).build()
}

/// What a person may do besides using the service.
pub(crate) fn role() -> Object {
    string().enum_values(Some(["user", "operator"])).build()
}

/// What every repeatable write takes in its header.
pub(crate) fn idempotency_parameter() -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "Sent again with the same key and body, a request takes effect once and is answered the same",
        "schema": {"type": "string", "pattern": KEY_PATTERN},
    })
}

/// A condition that a request takes in its header.
pub(crate) fn condition_parameter(name: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "header", "required": false,
        "description": format!("{description}. `*`, or at most {TAGS_MAX} entity tags"),
        "schema": {"type": "string", "pattern": CONDITION_PATTERN},
    })
}

/// The headers of what can be asked for on a condition.
pub(crate) fn conditional_headers(headers: &mut Value) {
    let mut promise = |name: &str, description: &str, schema: Value| {
        headers[name] = json!({"description": description, "required": true, "schema": schema});
    };
    let tag = json!({"type": "string", "pattern": TAG_PATTERN});
    promise("ETag", "The version of the content, and a digest of the answer, which is the reader's own", tag);
    promise("Cache-Control", "For the reader alone, who asks again each time", json!({"type": "string"}));
    promise("Vary", "What the answer depends on", json!({"type": "string"}));
}

/// What a write takes in its headers that may take a while.
pub(crate) fn async_parameter() -> Value {
    json!({
        "name": "Prefer", "in": "header", "required": false,
        "description": "`respond-async`: answer 202 as soon as it has begun", "schema": {"type": "string"},
    })
}

/// What every read takes in its headers.
pub(crate) fn consistency_parameters() -> Value {
    json!([
        {
            "name": "X-Consistency-Token", "in": "header", "required": false,
            "description": "The token of a write that this read must show", "schema": {"type": "string"},
        },
        {
            "name": "Prefer", "in": "header", "required": false,
            "description": "`consistency=strict`: rather 503 than a stale answer", "schema": {"type": "string"},
        },
    ])
}

/// The header that every write is answered with.
pub(crate) fn consistency_token() -> Value {
    json!({
        "description": "Where the write stands; a read that carries it shows the write",
        "required": true, "schema": {"type": "string", "pattern": TOKEN_PATTERN},
    })
}

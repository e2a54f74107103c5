//! JSON Schemas, for the OpenAPI document, of the types that read and write JSON by hand; the other types derive theirs.
//! A schema takes what the reader takes, as far as it can: it counts characters where a bound is in bytes.

mod filter;
mod interaction;

pub use interaction::Interaction;

use crate::{
    id::{ID_RULE, KeyId, MAX_ID, RequestId, SourceId},
    interaction::{MAX_ALIAS, MAX_USER_ID},
    segment::Referrer,
    time::{FEWEST_MILLIS, Time},
    words::{MAX_WORDS, WORDS_RULE},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// The first and the last millisecond of the calendar.
const CALENDAR: [i64; 2] = [-377_705_023_201_000, 253_402_207_200_000];

/// An id that people choose, within a pattern.
const ID_PATTERN: &str = "[A-Za-z0-9_.:-]{1,128}";

/// Gives each type, written as text, a named schema.
macro_rules! text_schemas {
    ($($of:ty, $name:literal = { $($schema:tt)* };)*) => {$(
        impl JsonSchema for $of {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", $($schema)* })
            }
        }
    )*};
}

/// An id that people choose.
pub struct Id;
/// A tag.
pub struct Words;
/// A user's id.
pub struct UserId;
/// A link's alias.
pub struct LinkAlias;
/// A time in an answer.
pub struct ShownTime;
/// A time in a request.
pub struct GivenTime;
/// A [`crate::time::Period`].
pub struct GivenPeriod;
/// A source that is a campaign.
pub struct CampaignSource;
/// A source that is a Canvas.
pub struct CanvasSource;

text_schemas! {
    Id, "Id" = {
        "description": ID_RULE,
        "pattern": "^[A-Za-z0-9_.:-]+$",
        "not": { "enum": [".", ".."] },
        "minLength": 1,
        "maxLength": MAX_ID,
        "examples": ["spring-sale"],
    };
    Words, "Tag" = {
        "description": WORDS_RULE,
        "pattern": NO_CONTROL,
        "minLength": 1,
        "maxLength": MAX_WORDS,
        "examples": ["Black Friday 2026"],
    };
    UserId, "UserId" = {
        "description": "1 to 512 bytes of UTF-8 without control characters, not of blanks alone.",
        "pattern": NO_CONTROL,
        "minLength": 1,
        "maxLength": MAX_USER_ID,
        "examples": ["u1"],
    };
    LinkAlias, "LinkAlias" = {
        "description": format!("Any text. More than {MAX_ALIAS} bytes of UTF-8, or control characters, are stored in another form, and asked for by the whole alias."),
        "minLength": 1,
        "examples": ["cta"],
    };
    ShownTime, "Time" = {
        "description": "RFC 3339, in UTC, with milliseconds.",
        "format": "date-time",
        "examples": ["2026-11-22T10:00:00.000Z"],
    };
    GivenPeriod, "Period" = {
        "description": "An ISO 8601 duration longer than zero. A day has 24 hours; months and years go by the calendar, in UTC.",
        "format": "duration",
        "examples": ["P30D", "P3M", "PT12H"],
    };
    SourceId, "Source" = {
        "description": "A campaign or a Canvas: campaign/ID or canvas/ID.",
        "pattern": format!("^(campaign|canvas)/{ID_PATTERN}$"),
        "examples": ["campaign/spring-sale"],
    };
    CampaignSource, "CampaignSource" = {
        "description": "campaign/ID",
        "pattern": format!("^campaign/{ID_PATTERN}$"),
        "examples": ["campaign/spring-sale"],
    };
    CanvasSource, "CanvasSource" = {
        "description": "canvas/ID",
        "pattern": format!("^canvas/{ID_PATTERN}$"),
        "examples": ["canvas/welcome"],
    };
    RequestId, "RestoreId" = {
        "description": "The id of a request to restore: a ULID.",
        "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
        "examples": ["01KBYD3Q8W4Y2N6M5T7R9V0XZA"],
    };
    KeyId, "KeyId" = {
        "description": "The public half of a key: a ULID.",
        "pattern": "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
        "examples": ["01KBYD3Q8W4Y2N6M5T7R9V0XZA"],
    };
    Referrer, "SegmentUser" = {
        "description": "What uses a segment: campaign/ID, canvas/ID or segment/ID.",
        "pattern": format!("^(campaign|canvas|segment)/{ID_PATTERN}$"),
        "examples": ["canvas/welcome"],
    };
}

/// The pattern of texts without control characters.
pub const NO_CONTROL: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

impl JsonSchema for GivenTime {
    fn schema_name() -> Cow<'static, str> {
        "GivenTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let [minimum, maximum] = CALENDAR;
        json_schema!({
            "description": "RFC 3339 with any offset, or epoch milliseconds as a number or as text. Numbers that can only be seconds, those nearer to zero than 100,000,000,000, are refused.",
            "anyOf": [
                { "type": "string", "format": "date-time" },
                { "type": "string", "pattern": "^-?[1-9][0-9]{11,14}$" },
                { "type": "integer", "minimum": FEWEST_MILLIS, "maximum": maximum },
                { "type": "integer", "minimum": minimum, "maximum": -FEWEST_MILLIS },
            ],
            "examples": ["2026-11-22T10:00:00Z", 1_795_341_600_000_i64],
        })
    }
}

/// [`ShownTime`] in answers, [`GivenTime`] in requests.
impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if generator.contract().is_deserialize() {
            generator.subschema_for::<GivenTime>()
        } else {
            generator.subschema_for::<ShownTime>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_calendar_is_what_times_are_read_from() {
        let [first, last] = CALENDAR;
        let least = FEWEST_MILLIS;
        let outer = [(first - 1, false), (first, true), (last, true), (last + 1, false)];
        let inner = [(-least, true), (1 - least, false), (least - 1, false), (least, true)];
        for (millis, fits) in outer.into_iter().chain(inner) {
            assert_eq!(serde_json::from_value::<Time>(json!(millis)).is_ok(), fits, "{millis}");
        }
    }
}

//! Human text: tags, the names of variants, variations and steps; and ids made of it.

use crate::id::{ID_RULE, MAX_ID, clip, is_valid_id};
use std::collections::BTreeSet;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The longest human text, in characters.
pub const MAX_WORDS: usize = 128;
/// The rule of [`are_valid`] for people, to be put behind "is" or "must be".
pub const WORDS_RULE: &str =
    "1 to 128 characters without control characters, not counting blanks at its ends";

/// The text as it is stored: in NFC, without blanks at its ends.
pub fn cleaned(text: &str) -> String {
    text.trim().nfc().collect()
}

/// Whether a text that is [`cleaned`] keeps to [`WORDS_RULE`].
pub fn are_valid(text: &str) -> bool {
    (1..=MAX_WORDS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// The form of a tag by which tags are compared: without case. The stored index of tags is sorted by it.
pub fn tag_key(tag: &str) -> String {
    tag.to_lowercase().nfc().collect()
}

/// The tag among `tags` that is the same as `tag`, as it is spelled there.
pub fn tag_among<'a>(tags: impl IntoIterator<Item = &'a String>, tag: &str) -> Option<&'a String> {
    let key = tag_key(tag);
    tags.into_iter().find(|tag| tag_key(tag) == key)
}

/// The tags without those that another one before them equals.
pub fn distinct_tags(tags: &[String]) -> Vec<&String> {
    let mut keys = BTreeSet::new();
    tags.iter().filter(|tag| keys.insert(tag_key(tag))).collect()
}

/// Says that `id` cannot be an id, by which rule, and which id like it would do, if there is one.
pub fn id_refusal(id: &str) -> String {
    let would_do = suggested_id(id).map(|id| format!("; `{id}` would do")).unwrap_or_default();
    format!("`{}` must be {ID_RULE}{would_do}", clip(id))
}

/// An id made of text: in small letters, without accents, and with a `-` in place of all that no id has.
fn suggested_id(text: &str) -> Option<String> {
    let mut id = String::new();
    for c in text.nfd().filter(|c| !is_combining_mark(*c)).take(2 * MAX_ID) {
        if c.is_ascii_alphanumeric() || "_.:".contains(c) {
            id.push(c.to_ascii_lowercase());
        } else if !id.ends_with('-') {
            id.push('-');
        }
    }
    let id = id.trim_matches('-');
    (is_valid_id(id) && id.contains(|c: char| c.is_ascii_alphanumeric())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_refused_names_one_that_would_do() {
        for (text, id) in [
            ("Black Friday 2026", Some("black-friday-2026")),
            ("Été à la plage!", Some("ete-a-la-plage")),
            ("campaign/Spring", Some("campaign-spring")),
            ("  a  ", Some("a")),
            ("新春 2027", Some("2027")),
            ("新春", None),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(suggested_id(text).as_deref(), id, "{text}");
            assert!(id.is_none_or(is_valid_id));
        }
        assert_eq!(suggested_id(&"x".repeat(MAX_ID + 1)), None);
        assert_eq!(id_refusal("A b"), format!("`A b` must be {ID_RULE}; `a-b` would do"));
    }

    #[test]
    fn words_are_trimmed_composed_and_bounded_in_characters() {
        assert!(WORDS_RULE.starts_with(&format!("1 to {MAX_WORDS} characters")));
        assert_eq!(cleaned("\u{3000} E\u{301}te\u{301}\t"), "Été");
        for (text, is_valid) in [
            ("新春", true),
            ("Black Friday #1", true),
            ("", false),
            ("a\u{85}b", false),
            (&"é".repeat(MAX_WORDS), true),
            (&"é".repeat(MAX_WORDS + 1), false),
        ] {
            assert_eq!(are_valid(&cleaned(text)), is_valid, "{text}");
        }
        assert_eq!(tag_key("ÉTÉ"), tag_key("été"));
        assert_eq!(tag_key(&cleaned("E\u{301}te\u{301}")), "été");
        let tags = ["Sale", "sale", "SALE", "été"].map(str::to_owned);
        assert_eq!(distinct_tags(&tags), ["Sale", "été"]);
        assert_eq!(tag_among(&tags, "sAlE"), Some(&"Sale".to_owned()));
    }
}

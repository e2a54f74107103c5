//! Human text: tags, and the names of variants, variations and steps.

use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization;

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

/// The form by which tags are compared, and names and ids with the words looked for: without case, in NFC. The stored index
/// of tags is sorted by it.
pub fn folded(tag: &str) -> String {
    tag.to_lowercase().nfc().collect()
}

/// The tag among `tags` that is the same as `tag`, as it is spelled there.
pub fn tag_among<'a>(tags: impl IntoIterator<Item = &'a String>, tag: &str) -> Option<&'a String> {
    let key = folded(tag);
    tags.into_iter().find(|tag| folded(tag) == key)
}

/// The tags without those that another one before them equals.
pub fn distinct_tags(tags: &[String]) -> Vec<&String> {
    let mut keys = BTreeSet::new();
    tags.iter().filter(|tag| keys.insert(folded(tag))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(folded("ÉTÉ"), folded("été"));
        assert_eq!(folded(&cleaned("E\u{301}te\u{301}")), "été");
        let tags = ["Sale", "sale", "SALE", "été"].map(str::to_owned);
        assert_eq!(distinct_tags(&tags), ["Sale", "été"]);
        assert_eq!(tag_among(&tags, "sAlE"), Some(&"Sale".to_owned()));
    }
}

//! Checks of fields that several requests have: names, tags and mail addresses.

use crate::problem::Problem;
use rekindle_domain::{id::clip, restore::MAX_NOTIFY, source::MAX_TAGS, words};

/// The longest name, in bytes.
pub(crate) const MAX_NAME: usize = 256;

/// The longest reason of a pin, in bytes.
pub(crate) const MAX_REASON: usize = 500;

/// The longest idempotency key, in bytes.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// 422 unless a text may be an idempotency key.
pub(crate) fn check_idempotency_key(key: &str) -> Result<(), Problem> {
    if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    let detail = format!("Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters");
    Err(Problem::unprocessable("invalid_idempotency_key", detail))
}

/// 422 if a name is empty, too long, or has control characters.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    if (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let detail = format!("name must be 1 to {MAX_NAME} bytes without control characters");
    Err(Problem::unprocessable("invalid_name", detail))
}

/// 422 unless every tag, which is cleaned, keeps to the rule of words, and the distinct tags are not too many.
pub(crate) fn check_tags(tags: &[String]) -> Result<(), Problem> {
    if let Some((i, tag)) = tags.iter().enumerate().find(|(_, tag)| !words::are_valid(tag)) {
        let detail = format!("tags[{i}]: `{}` must be {}", clip(tag), words::WORDS_RULE);
        return Err(Problem::unprocessable("invalid_tags", detail));
    }
    let distinct = words::distinct_tags(tags).len();
    if distinct > MAX_TAGS {
        let detail = format!("a source has at most {MAX_TAGS} tags; this one has {distinct}");
        return Err(Problem::unprocessable("invalid_tags", detail));
    }
    Ok(())
}

/// The tag that a text names.
///
/// # Errors
/// 422 if it cannot be one.
pub(crate) fn check_tag(text: &str) -> Result<String, Problem> {
    let tag = words::cleaned(text);
    if words::are_valid(&tag) {
        return Ok(tag);
    }
    let detail = format!("a tag is {}; `{}` cannot be one", words::WORDS_RULE, clip(text));
    Err(Problem::unprocessable("invalid_tag", detail))
}

/// Whether a text is shaped like `name@domain`: one `@`, a domain of two labels or more, and nothing that a mail header
/// would read as something else.
fn is_address(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else {
        return false;
    };
    let is_label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_atom = |atom: &str| {
        !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_graphic() && !b"<>[],;:\"()\\@".contains(&b))
    };
    text.len() <= 254
        && name.len() <= 64
        && name.split('.').all(is_atom)
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

/// Checks the shape of mail addresses. Only a mail can show whether an address exists.
///
/// # Errors
/// 422 if there are too many, or for the first that is not shaped like an address, with its place in the list.
pub(crate) fn check_addresses(addresses: &[String]) -> Result<(), Problem> {
    if addresses.len() > MAX_NOTIFY {
        return Err(Problem::unprocessable(
            "invalid_notify",
            format!("notify has at most {MAX_NOTIFY} addresses"),
        ));
    }
    match addresses.iter().enumerate().find(|(_, a)| !is_address(a)) {
        Some((i, address)) => {
            let detail =
                format!("notify[{i}]: `{}` is not an e-mail address such as me@example.com", clip(address));
            Err(Problem::unprocessable("invalid_notify", detail))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn an_address_has_one_at_and_a_domain_of_labels() {
        for good in ["a@b.c", "first.last+tag@mail.example.com", "o'neil@xn--bcher-kva.example", "a@1.2"] {
            assert!(is_address(good), "{good}");
        }
        let long = format!("{}@b.c", "a".repeat(65));
        for bad in [
            "",
            "a",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a@@b.c",
            "a@b@c.d",
            "a@b..c",
            "a@.b.c",
            "a@b.c.",
            "a@-b.c",
            "a@b-.c",
            "a b@c.d",
            "a@b c.d",
            "a,b@c.d",
            "A <a@b.c>",
            ".a@b.c",
            "a.@b.c",
            "a..b@c.d",
            "é@b.c",
            "a@é.c",
            "a@b.c\n",
            "a@[1.2.3.4]",
            "a@b_c.d",
            &long,
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}

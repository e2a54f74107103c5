//! Checks of fields that several requests have: names, tags and mail addresses.

use crate::problem::Problem;
use rekindle_domain::{id::clip, restore::MAX_NOTIFY, source::MAX_TAGS, words};

/// The longest name, in bytes.
pub(crate) const MAX_NAME: usize = 256;

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
    let is_address = |a: &str| {
        let parts = a.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
        parts
            && a.len() <= 254
            && a.is_ascii()
            && !a.bytes().any(|b| b <= b' ' || b"<>,;\"()\\\x7f".contains(&b))
    };
    match addresses.iter().enumerate().find(|(_, a)| !is_address(a)) {
        Some((i, address)) => {
            let detail =
                format!("notify[{i}]: `{}` is not an e-mail address such as me@example.com", clip(address));
            Err(Problem::unprocessable("invalid_notify", detail))
        }
        None => Ok(()),
    }
}

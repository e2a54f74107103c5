//! Checks of fields that several requests have: names, tags and mail addresses.

use crate::problem::Problem;
use rekindle_domain::{
    id::{ID_RULE, clip, is_valid_id},
    restore::MAX_NOTIFY,
    source::MAX_TAGS,
};
use std::collections::BTreeSet;

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

/// 422 unless every tag is spelled like an id, and the distinct tags are not too many. An id's spelling needs no escaping
/// anywhere.
pub(crate) fn check_tags(tags: &[String]) -> Result<(), Problem> {
    if let Some((i, tag)) = tags.iter().enumerate().find(|(_, tag)| !is_valid_id(tag)) {
        let detail = format!("tags[{i}]: `{}` must be {ID_RULE}", clip(tag));
        return Err(Problem::unprocessable("invalid_tags", detail));
    }
    let distinct = tags.iter().collect::<BTreeSet<_>>().len();
    if distinct > MAX_TAGS {
        let detail = format!("a source has at most {MAX_TAGS} tags; this one has {distinct}");
        return Err(Problem::unprocessable("invalid_tags", detail));
    }
    Ok(())
}

/// Checks that a text may be a tag: that it is spelled like an id.
///
/// # Errors
/// 422 if it is not.
pub(crate) fn check_tag(tag: &str) -> Result<(), Problem> {
    if is_valid_id(tag) {
        return Ok(());
    }
    let detail = format!("a tag is {ID_RULE}; `{}` cannot be one", clip(tag));
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

//! Makes a text readable that was cut within a character: programs that count UTF-16 units cut surrogate pairs in half.

/// Stands where a text could not be read: U+FFFD, as Unicode has it.
pub(super) const LOST: char = char::REPLACEMENT_CHARACTER;

/// The JSON text with [`LOST`] for each escaped half of a surrogate pair whose other half is missing; `None` if it has none.
pub(super) fn mended(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut taken = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        let begin = at + found;
        let Some(unit) = unit_at(text, begin) else {
            // Another escape, such as `\\`: its second character begins none.
            at = begin + 1 + text[begin + 1..].chars().next().map_or(0, char::len_utf8);
            continue;
        };
        at = begin + ESCAPE;
        match unit {
            0xd800..=0xdbff if unit_at(text, at).is_some_and(|next| (0xdc00..=0xdfff).contains(&next)) => {
                at += ESCAPE;
            }
            0xd800..=0xdfff => {
                out.push_str(&text[taken..begin]);
                out.push(LOST);
                taken = at;
            }
            _ => {}
        }
    }
    (taken > 0).then(|| out + &text[taken..])
}

/// The length of an escape such as `\ud83d`.
const ESCAPE: usize = 6;

/// The UTF-16 unit that is escaped at a place.
fn unit_at(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use super::mended;

    #[test]
    fn halves_without_their_other_half_are_replaced_and_nothing_else_is() {
        for (text, expected) in [
            (r"\ud83d", Some("\u{fffd}")),
            (r"a\ud83d b\uDE00", Some("a\u{fffd} b\u{fffd}")),
            (r"\ud83d\ud83d\ude00", Some("\u{fffd}\\ud83d\\ude00")),
            (r"\ud83d\ude00", None),
            (r"\\ud83d", None),
            (r"\\\ud83d", Some("\\\\\u{fffd}")),
            (r"\u00e9 \n \", None),
            (r"\ud83", None),
            (r"\u+123 é\é", None),
            ("", None),
        ] {
            assert_eq!(mended(text).as_deref(), expected, "{text}");
        }
    }
}

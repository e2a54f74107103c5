//! Times and periods as the fields of forms spell them, and as filters do.

/// The units of a period: the name in forms, and what stands before and behind the number in ISO 8601.
pub(super) const UNITS: [(&str, &str, &str); 6] = [
    ("days", "P", "D"),
    ("weeks", "P", "W"),
    ("months", "P", "M"),
    ("years", "P", "Y"),
    ("hours", "PT", "H"),
    ("minutes", "PT", "M"),
];

/// A period as a number and the name of its unit. One that is not so simple is a text of the unit `iso`.
pub(super) fn period(text: &str) -> (&str, &'static str) {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let simple = UNITS.into_iter().find_map(|(name, before, behind)| {
        let number = text.strip_prefix(before)?.strip_suffix(behind)?;
        is_number(number).then_some((number, name))
    });
    match (simple, text) {
        (Some(simple), _) => simple,
        (None, "") => ("", "days"),
        (None, text) => (text, "iso"),
    }
}

/// The period of a number and a unit.
pub(super) fn joined_period(number: &str, unit: &str) -> String {
    let unit = UNITS.into_iter().find(|(name, ..)| *name == unit).filter(|_| !number.is_empty());
    unit.map_or_else(|| number.to_owned(), |(_, before, behind)| format!("{before}{number}{behind}"))
}

/// A time as a browser's field for local times takes it, in UTC; `None` if it has no such form.
pub(super) fn local(time: &str) -> Option<&str> {
    let local = time.strip_suffix('Z')?;
    let local = local.strip_suffix(".000").unwrap_or(local);
    let local = if local.len() == 19 { local.strip_suffix(":00").unwrap_or(local) } else { local };
    // The field has no year 0.
    (is_local(local) && !local.starts_with("0000")).then_some(local)
}

/// Whether a text is of the form 2026-11-22T10:00, with seconds and milliseconds or without.
fn is_local(text: &str) -> bool {
    let form = b"0000-00-00T00:00:00.000";
    let fits = |(b, of): (u8, &u8)| if *of == b'0' { b.is_ascii_digit() } else { b == *of };
    matches!(text.len(), 16 | 19 | 23) && text.bytes().zip(form).all(fits)
}

/// A time of a browser's field, in UTC, as filters spell it. Other texts stay as they are.
pub(super) fn whole_time(text: &str) -> String {
    match (is_local(text), text.len()) {
        (true, 16) => format!("{text}:00.000Z"),
        (true, 19) => format!("{text}.000Z"),
        (true, _) => format!("{text}Z"),
        (false, _) => text.to_owned(),
    }
}

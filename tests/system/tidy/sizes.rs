//! How long files and functions get, and that each file says what it is.

use super::{
    none,
    reading::{Tokens, files},
};

/// The most lines of a file.
const MOST_OF_FILE: usize = 500;
/// The most lines of a function, from `fn` to its closing brace.
const MOST_OF_FUNCTION: usize = 70;

/// The files and functions that are longer. An entry that is no longer needed fails.
const LONGER: &[&str] = &[
    // One `match`: over all conditions, and over all steps.
    "shared/domain/tests/laws/evaluation.rs naive",
    "shared/domain/tests/laws/manifest.rs candidate",
    // Tables.
    "shared/domain/tests/laws/blocks.rs l5_content_out_of_bounds_is_malformed",
    "shared/domain/tests/laws/blocks.rs l5_content_out_of_order_is_malformed",
    "shared/domain/tests/laws/descriptions.rs every_condition_has_its_words",
    "shared/domain/tests/laws/filters.rs errors_name_the_exact_place",
    "shared/domain/tests/laws/ingest_limits.rs bad_interactions_are_refused_by_code",
    // To be split.
    "shared/domain/tests/laws/blocks.rs",
    "shared/domain/tests/laws/evaluation.rs",
    "shared/domain/tests/laws/manifest.rs",
    "shared/domain/tests/laws/manifest_illegal.rs",
];

/// A file or function that is too long: its name for [`LONGER`], and how to mend it.
fn too_long(path: &str, text: &str) -> Vec<(String, String)> {
    let lines = text.lines().count();
    let file = (lines > MOST_OF_FILE)
        .then(|| (path.to_owned(), format!("{path}:{MOST_OF_FILE}: {lines} lines: split the file in two")));
    let tokens = Tokens::of(text);
    let functions = tokens.functions().into_iter().filter(|(.., lines)| *lines > MOST_OF_FUNCTION);
    let functions = functions.map(|(name, line, lines)| {
        let problem = format!("{path}:{line}: `{name}` has {lines} lines: make a part of it a function");
        (format!("{path} {name}"), problem)
    });
    file.into_iter().chain(functions).collect()
}

#[test]
fn files_and_functions_are_short() {
    let all = files(&["benches", "functions", "fuzz", "local", "shared", "tests"], ".rs");
    let (known, wrong): (Vec<_>, Vec<_>) = all
        .iter()
        .flat_map(|(path, text)| too_long(path, text))
        .partition(|(name, _)| LONGER.contains(&name.as_str()));
    let stale = LONGER.iter().filter(|entry| !known.iter().any(|(name, _)| name == *entry));
    let stale = stale.map(|entry| format!("{entry}: is short now: delete its entry in `LONGER`"));
    none(&wrong.into_iter().map(|(_, problem)| problem).chain(stale).collect::<Vec<_>>());
}

#[test]
fn a_long_file_and_a_long_function_are_noticed() {
    let function = |lines: usize| {
        let body = "    call();\n".repeat(lines - 2);
        too_long("x.rs", &format!("macro_rules! m {{ () => {{\nfn long(of: [u8; 2]) {{\n{body}}}\n}} }}\n"))
    };
    assert_eq!(function(MOST_OF_FUNCTION), []);
    let (name, problem) = function(MOST_OF_FUNCTION + 1).remove(0);
    assert_eq!(
        (&*name, &*problem),
        ("x.rs long", "x.rs:2: `long` has 71 lines: make a part of it a function")
    );
    assert_eq!(too_long("x.rs", &"\n".repeat(MOST_OF_FILE)), []);
    assert_eq!(too_long("x.rs", &"\n".repeat(MOST_OF_FILE + 1)).len(), 1);
}

/// A file that does not begin with its purpose: how to mend it.
fn without_head((path, text): &(String, String)) -> Option<String> {
    (!text.starts_with("//! "))
        .then(|| format!("{path}:1: begin the file with a `//!` line that says its purpose"))
}

#[test]
fn every_file_begins_with_its_purpose() {
    none(&files(&["shared", "functions"], ".rs").iter().filter_map(without_head).collect::<Vec<_>>());
}

#[test]
fn a_file_without_its_purpose_is_noticed() {
    let of = |text: &str| without_head(&("x.rs".to_owned(), text.to_owned()));
    assert_eq!(of("//! Numbers.\nfn f() {}"), None);
    assert!(of("// Numbers.\nfn f() {}").is_some());
}

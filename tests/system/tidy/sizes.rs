//! How long files and functions get, and that each file says what it is.

use super::{
    none,
    reading::{Tokens, files},
};

/// The most lines of a file.
const MOST_OF_FILE: usize = 500;
/// The most lines of a function, from `fn` to its closing brace.
const MOST_OF_FUNCTION: usize = 70;

/// How to mend a file or function that is too long.
fn too_long(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let file = (lines > MOST_OF_FILE)
        .then(|| format!("{path}:{MOST_OF_FILE}: {lines} lines: split the file in two"));
    let tokens = Tokens::of(text);
    let functions = tokens.functions().into_iter().filter(|(.., lines)| *lines > MOST_OF_FUNCTION);
    let functions = functions.map(|(name, line, lines)| {
        format!("{path}:{line}: `{name}` has {lines} lines: make a part of it a function")
    });
    file.into_iter().chain(functions).collect()
}

#[test]
fn files_and_functions_are_short() {
    let all = files(&["benches", "functions", "fuzz", "local", "shared", "tests"], ".rs");
    none(&all.iter().flat_map(|(path, text)| too_long(path, text)).collect::<Vec<_>>());
}

#[test]
fn a_long_file_and_a_long_function_are_noticed() {
    let function = |lines: usize| {
        let body = "    call();\n".repeat(lines - 2);
        too_long("x.rs", &format!("macro_rules! m {{ () => {{\nfn long(of: [u8; 2]) {{\n{body}}}\n}} }}\n"))
    };
    assert!(function(MOST_OF_FUNCTION).is_empty());
    assert_eq!(function(MOST_OF_FUNCTION + 1), ["x.rs:2: `long` has 71 lines: make a part of it a function"]);
    assert!(too_long("x.rs", &"\n".repeat(MOST_OF_FILE)).is_empty());
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

//! The service's public futures are boxed, so that one crate compiles them, once.

use super::{none, reading::files};

/// The public methods of a file that return a future without a box, as `path:line: …`.
fn unboxed(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let methods = lines.iter().enumerate().filter(|(_, line)| line.starts_with("pub async fn "));
    let plain = methods.filter(|(i, _)| *i == 0 || lines[i - 1] != "#[boxed]");
    plain.map(|(i, line)| format!("{path}:{}: put #[boxed] before `{line}`", i + 1)).collect()
}

/// The room `ledger` is not entered from other crates.
#[test]
fn public_methods_of_the_service_are_boxed() {
    let files = files(&["shared/service/src"], ".rs");
    let entered = files.iter().filter(|(path, _)| !path.starts_with("shared/service/src/ledger/"));
    none(&entered.flat_map(|(path, text)| unboxed(path, text)).collect::<Vec<_>>());
}

#[test]
fn a_method_without_a_box_is_noticed() {
    let text = "impl Rekindle {\n    #[boxed]\n    pub async fn a() {}\n\n    pub async fn b() {}\n}\n";
    assert_eq!(unboxed("x.rs", text), ["x.rs:5: put #[boxed] before `pub async fn b() {}`"]);
}

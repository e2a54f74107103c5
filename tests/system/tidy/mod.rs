//! The rules of the repository itself: which part may use which, and how long files and functions get. A failure names the
//! file, the line and how to mend it.

mod arrows;
mod boxes;
mod reading;
mod sizes;

/// Fails with what is wrong, a line each.
#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

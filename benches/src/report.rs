//! The table of figures and aims, and the texts that say how they were measured.

use crate::deployment::Outcome;
use std::{fmt::Write, path::Path, process::Command};

/// The aim of a figure.
#[derive(Clone, Debug)]
pub struct Aim {
    /// The aim in words.
    pub text: String,
    /// Whether the figure reaches the aim.
    pub is_met: bool,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name of the figure.
    pub what: String,
    /// The figure.
    pub measured: String,
    /// The aim, if there is one.
    pub aim: Option<Aim>,
}

impl Row {
    /// A line without an aim.
    pub fn plain(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { what: what.into(), measured: measured.into(), aim: None }
    }

    /// A line with an aim.
    pub fn aimed(
        what: impl Into<String>,
        measured: impl Into<String>,
        aim: impl Into<String>,
        is_met: bool,
    ) -> Self {
        let aim = Some(Aim { text: aim.into(), is_met });
        Self { what: what.into(), measured: measured.into(), aim }
    }
}

/// The results of one part of the bench.
#[derive(Clone, Debug)]
pub struct Findings {
    /// Its lines of the table.
    pub rows: Vec<Row>,
    /// How they were measured, in a few sentences.
    pub how: String,
}

/// The table and how it was measured, as Markdown.
pub fn markdown(findings: &[Findings]) -> String {
    let mut out = "| | measured | aim | |\n|---|---|---|---|\n".to_owned();
    for row in findings.iter().flat_map(|f| &f.rows) {
        let (aim, mark) = match &row.aim {
            None => ("", ""),
            Some(aim) if aim.is_met => (aim.text.as_str(), "✓"),
            Some(aim) => (aim.text.as_str(), "✗ missed"),
        };
        let _ = writeln!(out, "| {} | {} | {aim} | {mark} |", row.what, row.measured);
    }
    for found in findings {
        let _ = write!(out, "\n{}\n", wrapped(&found.how));
    }
    out
}

/// The text in lines of at most 120 characters.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 120;
    let (mut out, mut width) = (String::new(), 0);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out
}

/// The date, the machine and the command of a run.
pub fn circumstances(command: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|l| l.starts_with(name));
        line.and_then(|l| l.split_once([':', '='])).map(|(_, v)| v.trim().trim_matches('"').to_owned())
    };
    let unknown = || "unknown".to_owned();
    let rustc = Command::new("rustc").arg("--version").output().ok();
    let rustc =
        rustc.and_then(|o| String::from_utf8(o.stdout).ok()).map_or_else(unknown, |v| v.trim().to_owned());
    let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown);
    let memory =
        field(&read("/proc/meminfo"), "MemTotal").and_then(|m| m.split(' ').next()?.parse::<u64>().ok());
    let memory = memory.map_or_else(unknown, |kb| format!("{} GB of memory", kb.div_ceil(1 << 20)));
    let os =
        field(&read("/etc/os-release"), "PRETTY_NAME").unwrap_or_else(|| std::env::consts::OS.to_owned());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("`{command}`, {}, on {cores} cores ({cpu}), {memory}, {os}, {rustc}.\n", today())
}

#[expect(clippy::disallowed_methods, reason = "a figure bears its date")]
fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

const BEGIN: &str = "<!-- figures -->";
const END: &str = "<!-- /figures -->";

/// The text with what stands between the markers replaced.
///
/// # Errors
/// If the markers are not both there, in order.
pub fn replaced(text: &str, figures: &str) -> Outcome<String> {
    let (before, rest) = text.split_once(BEGIN).ok_or(format!("there is no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or(format!("there is no {END} behind {BEGIN}"))?;
    Ok(format!("{before}{BEGIN}\n{figures}{END}{after}"))
}

/// Replaces the figures in a file.
///
/// # Errors
/// If it cannot be read or written, or has no place for them.
pub fn write_into(file: &Path, figures: &str) -> Outcome<()> {
    let text = std::fs::read_to_string(file)?;
    Ok(std::fs::write(file, replaced(&text, figures)?)?)
}

/// A whole number with commas between its thousands.
pub fn grouped(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with about three significant digits.
pub fn short(n: f64) -> String {
    match n {
        n if n >= 100.0 => grouped(n),
        n if n >= 10.0 => format!("{n:.1}"),
        n if n >= 0.1 => format!("{n:.2}"),
        n => format!("{n:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb");
        let new = replaced(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n{END}\nb"));
        assert_eq!(replaced(&new, "new\n").unwrap(), new);
        assert!(replaced("no markers", "new").is_err());
        assert!(replaced(&format!("{END}{BEGIN}"), "new").is_err());
    }

    #[test]
    fn a_missed_aim_shows() {
        let rows = vec![
            Row::aimed("speed", "1", "2", false),
            Row::aimed("size", "1", "2", true),
            Row::plain("colour", "red"),
        ];
        let text = markdown(&[Findings { rows, how: "By eye.".to_owned() }]);
        assert!(text.contains("| speed | 1 | 2 | ✗ missed |"), "{text}");
        assert!(text.contains("| size | 1 | 2 | ✓ |"), "{text}");
        assert!(text.contains("| colour | red |  |  |"), "{text}");
        assert!(text.ends_with("\nBy eye.\n"), "{text}");
    }

    #[test]
    fn long_lines_are_wrapped_and_no_word_is_lost() {
        let text = "word ".repeat(100);
        let wrapped = wrapped(&text);
        assert!(wrapped.lines().count() == 5 && wrapped.lines().all(|l| l.len() <= 120), "{wrapped}");
        assert_eq!(wrapped.split_whitespace().count(), 100);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(12.0), "12");
        assert_eq!(short(1234.5), "1,234");
        assert_eq!(short(12.34), "12.3");
    }
}

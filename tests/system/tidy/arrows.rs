//! Arrows point down: between crates, between the rooms of the service, and between files.

use super::{
    none,
    reading::{Arrow, arrows, files},
};
use std::collections::{BTreeMap, BTreeSet};

/// The crates by floor: each may use those of the floors before its own.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["store"],
    &["service"],
    &["runtime"],
    &["api", "compactor", "console", "ingest", "notifier", "restorer", "sweeper"],
    &["local"],
    &["benches", "fuzz", "hello", "tests"],
];

const SERVICE: &str = "shared/service/src";

/// The rooms by name: the floor of each, and the rooms that it may use.
type Rooms = BTreeMap<String, (u32, BTreeSet<String>)>;

/// The arrows between the files of a folder. Their paths begin in it.
fn arrows_in(folder: &str) -> Vec<Arrow> {
    let files = files(&[folder], ".rs");
    arrows(&files.iter().map(|(path, text)| (&path[folder.len() + 1..], &**text)).collect::<Vec<_>>())
}

/// The rooms of the table at the head of the service.
fn rooms(lib: &str) -> Rooms {
    let rows = lib.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("//! |")?.split('|').map(str::trim).collect();
        let [floor, room, _, uses, ""] = cells[..] else { return None };
        let uses = uses.split_terminator(", ").map(str::to_owned).collect();
        Some((room.trim_matches(['[', '`', ']']).to_owned(), (floor.parse().ok()?, uses)))
    });
    rows.collect()
}

/// The room of a file: its folder. A file in none is ground.
fn room(path: &str) -> &str {
    path.split_once('/').map_or("ground", |(room, _)| room)
}

/// The arrows that the table does not allow, and its entries that do not point down.
fn forbidden(rooms: &Rooms, arrows: &[Arrow]) -> Vec<String> {
    let pairs =
        rooms.iter().flat_map(|(name, (floor, uses))| uses.iter().map(move |used| (name, floor, used)));
    let level = pairs.filter(|(_, floor, used)| rooms.get(*used).is_none_or(|(of, _)| of >= *floor));
    let mut wrong: Vec<String> = level
        .map(|(name, _, used)| {
            format!("{SERVICE}/lib.rs:1: `{used}` is not below `{name}`: take it out of that row")
        })
        .collect();
    for Arrow { from, line, to, by } in arrows {
        let (user, used) = (room(from), room(to));
        let is_allowed = rooms.get(user).is_some_and(|(_, uses)| uses.contains(used));
        if from != "lib.rs" && used != user && used != "ground" && !is_allowed {
            wrong.push(format!(
                "{SERVICE}/{from}:{line}: `{user}` may not use `{used}`, but uses {by} of {to}: move that to a room that \
                 `{user}` may use, or this to a room that may use `{used}`"
            ));
        }
    }
    wrong
}

/// The circles, each with the uses that make it.
fn circles(src: &str, arrows: &[Arrow]) -> Vec<String> {
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for start in arrows.iter().map(|arrow| &*arrow.from) {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
        while let Some(from) = next.pop() {
            let used = arrows.iter().filter(|arrow| arrow.from == from).map(|arrow| &*arrow.to);
            next.extend(used.filter(|to| seen.insert(*to)));
        }
        reach.insert(start, seen);
    }
    let is_round =
        |a: &str, b: &str| reach[a].contains(b) && reach.get(b).is_some_and(|used| used.contains(a));
    let in_circle = arrows.iter().filter(|arrow| is_round(&arrow.from, &arrow.to));
    in_circle
        .map(|Arrow { from, line, to, by }| {
            format!(
                "{src}/{from}:{line}: uses {by} of {to}, which uses this file in turn: move what both need to a file of \
                 its own, or join them"
            )
        })
        .collect()
}

/// The dependencies of a crate that are not on a floor below it, by its `Cargo.toml`.
fn dependencies_up(path: &str, manifest: &str) -> Vec<String> {
    let floor = |name: &str| FLOORS.iter().position(|floor| floor.contains(&name));
    let own = manifest.lines().find_map(|line| line.strip_prefix("name = \"rekindle-")?.strip_suffix('"'));
    let Some(own) = own.and_then(floor) else {
        return vec![format!("{path}:1: the crate has no floor: give it one in `FLOORS`")];
    };
    let up = manifest.lines().zip(1..).filter_map(|(line, number)| {
        let used = line.strip_prefix("rekindle-")?.split(['.', ' ', '=']).next()?;
        let is_below = floor(used).is_some_and(|floor| floor < own);
        (!is_below)
            .then(|| format!("{path}:{number}: `{used}` is not below this crate: move what is needed down"))
    });
    up.collect()
}

#[test]
fn crates_use_those_below_them() {
    let manifests = files(&["benches", "functions", "fuzz", "local", "shared", "tests"], "/Cargo.toml");
    none(&manifests.iter().flat_map(|(path, text)| dependencies_up(path, text)).collect::<Vec<_>>());
}

#[test]
fn a_dependency_up_is_noticed() {
    let of = |used: &str| {
        dependencies_up("x", &format!("name = \"rekindle-store\"\n[dependencies]\n{used} = true"))
    };
    assert_eq!(of("rekindle-domain.workspace"), [""; 0]);
    assert!(of("rekindle-service.workspace")[0].starts_with("x:3: `service` is not below"));
    assert_eq!(of("rekindle-store").len(), 1);
    assert_eq!(dependencies_up("x", "name = \"rekindle-new\"").len(), 1);
}

#[test]
fn rooms_use_those_below_them() {
    let (rooms, arrows) = (rooms(&files(&[SERVICE], "src/lib.rs")[0].1), arrows_in(SERVICE));
    assert!(rooms.len() > 8 && arrows.len() > 100, "the table and the arrows are read");
    none(&forbidden(&rooms, &arrows));
}

/// The arrows from that text, which lies in the upper one of two rooms.
fn from_top(text: &str) -> Vec<Arrow> {
    let mut found = arrows(&[
        ("lib.rs", "mod app; pub mod low; pub mod top; pub use app::Rekindle;"),
        ("app.rs", "pub struct Rekindle; impl Rekindle { pub fn now(&self) {} }"),
        ("low/mod.rs", "mod keep;\npub use keep::Kept;"),
        ("low/keep.rs", "pub struct Kept; impl crate::Rekindle { pub fn keep(&self) {} }"),
        ("top/mod.rs", "mod act;"),
        ("top/act.rs", text),
    ]);
    found.retain(|arrow| arrow.from == "top/act.rs");
    found
}

#[test]
fn every_way_to_use_a_file_is_an_arrow() {
    for way in [
        "use crate::{low::{Kept}, Rekindle};",
        "use super::super::low::Kept;",
        "fn f(kept: crate::low::Kept) {}",
        "impl Rekindle { fn f(&self) { until_won!({ self.keep().await }) } }",
        "impl Rekindle { fn f(&self) { tracing::info!(kept = %self.keep(), \"kept\") } }",
        "impl Rekindle { fn f() { Self::keep() } }",
        "impl Worker<'_> { fn f(&self) { self.app.keep() } }",
    ] {
        let found = from_top(way);
        assert!(found.iter().any(|arrow| (arrow.line, &*arrow.to) == (1, "low/keep.rs")), "{way}: {found:?}");
    }
    for other in
        ["impl Worker { fn f(&self) { self.keep() } }", "#[cfg(test)] mod tests { use crate::low::Kept; }"]
    {
        assert!(from_top(other).is_empty(), "{other}");
    }
}

#[test]
fn an_arrow_outside_the_table_is_noticed() {
    let table =
        |uses: &str| rooms(&format!("//! | 2 | [`top`] | acts | {uses} |\n//! | 1 | [`low`] | keeps | |"));
    let arrows = from_top("use crate::{Rekindle, low::Kept};");
    assert_eq!(forbidden(&table("low"), &arrows), [""; 0]);
    let wrong = forbidden(&table(""), &arrows);
    assert!(wrong[0].starts_with("shared/service/src/top/act.rs:1: `top` may not use `low`"), "{wrong:?}");
    assert_eq!(forbidden(&table("top"), &[]).len(), 1, "a room is not below itself");
}

#[test]
fn files_do_not_use_each_other() {
    let all = ["shared/domain/src", "shared/store/src", SERVICE];
    none(&all.iter().flat_map(|src| circles(src, &arrows_in(src))).collect::<Vec<_>>());
}

#[test]
fn a_circle_is_noticed() {
    let of = |last| {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::c::C;"),
            ("c.rs", last),
        ];
        circles("src", &arrows(&files))
    };
    assert_eq!(of("pub struct C;"), [""; 0]);
    let found = of("use crate::a::A;");
    assert!(found.len() == 3 && found[2].starts_with("src/c.rs:1: uses a::A of a.rs"), "{found:?}");
}

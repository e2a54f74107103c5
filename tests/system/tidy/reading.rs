//! Source files as flat lists of tokens, so that code within macros reads like any other code; and which file of a crate
//! uses which.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

/// All files below those folders of the repository whose names end so, by path, with their texts. Paths begin at the root
/// of the repository.
pub(super) fn files(folders: &[&str], end: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<String> = folders.iter().map(|&folder| folder.to_owned()).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap().path();
            let path = format!("{folder}/{}", entry.file_name().unwrap().to_str().unwrap());
            if path.ends_with(end) {
                found.push((path, fs::read_to_string(entry).unwrap()));
            } else if entry.is_dir() && !path.ends_with("/target") {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The tokens of a file: names, signs (`::` is one), brackets, and an empty text in the place of a literal.
pub(super) struct Tokens(Vec<Token>);

struct Token {
    text: String,
    /// From 1.
    line: usize,
    /// How many brackets it stands in; a bracket stands outside itself.
    depth: usize,
}

impl Tokens {
    /// Those of a text. Panics if it is no Rust.
    pub fn of(text: &str) -> Self {
        let mut tokens = Self(Vec::new());
        tokens.add(text.parse().unwrap(), 0);
        tokens
    }

    fn add(&mut self, stream: TokenStream, depth: usize) {
        let mut is_colon = false;
        for tree in stream {
            let line = tree.span().start().line;
            let was_colon = std::mem::take(&mut is_colon);
            let text = match tree {
                TokenTree::Punct(sign) if sign.as_char() == ':' && was_colon => {
                    self.0.last_mut().unwrap().text.push(':');
                    continue;
                }
                TokenTree::Punct(sign) => {
                    is_colon = sign.as_char() == ':' && sign.spacing() == Spacing::Joint;
                    sign.as_char().to_string()
                }
                TokenTree::Ident(name) => name.to_string(),
                TokenTree::Literal(_) => String::new(),
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::Brace | Delimiter::None => ("{", "}"),
                    };
                    self.0.push(Token { text: open.to_owned(), line, depth });
                    self.add(group.stream(), depth + 1);
                    let line = group.span_close().start().line;
                    self.0.push(Token { text: close.to_owned(), line, depth });
                    continue;
                }
            };
            self.0.push(Token { text, line, depth });
        }
    }

    fn at(&self, index: usize) -> &str {
        self.0.get(index).map_or("", |token| &token.text)
    }

    fn is(&self, index: usize, texts: &[&str]) -> bool {
        texts.iter().zip(index..).all(|(text, index)| self.at(index) == *text)
    }

    fn is_name(&self, index: usize) -> bool {
        self.at(index).starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    /// The first of those texts from there on that stands in no deeper bracket.
    fn next(&self, from: usize, texts: &[&str]) -> usize {
        let is_it = |i: &usize| self.0[*i].depth <= self.0[from].depth && texts.contains(&self.at(*i));
        (from..self.0.len()).find(is_it).unwrap_or(self.0.len())
    }

    /// The functions with a body: the name, the first line, and the number of lines up to the closing brace.
    pub fn functions(&self) -> Vec<(&str, usize, usize)> {
        let starts = (0..self.0.len()).filter(|i| self.at(*i) == "fn" && self.is_name(i + 1));
        let bodies = starts.map(|start| (start, self.next(start, &["{", ";"])));
        let bodies = bodies.filter(|(_, open)| self.at(*open) == "{");
        bodies
            .map(|(start, open)| {
                let line = self.0[start].line;
                (self.at(start + 1), line, self.0[self.next(open, &["}"])].line + 1 - line)
            })
            .collect()
    }
}

/// A file uses another of its crate.
#[derive(Debug)]
pub(super) struct Arrow {
    /// The path of the file, from the crate's `src`.
    pub from: String,
    /// The line on which it does.
    pub line: usize,
    /// The path of the other file.
    pub to: String,
    /// The path or the method of `Rekindle` that is written there.
    pub by: String,
}

/// A module or an item: names from the root of the crate.
type Names = Vec<String>;

/// What a file says that matters to arrows.
#[derive(Default)]
struct File {
    path: String,
    /// What it imports or names, and on which line.
    uses: Vec<(Names, usize)>,
    /// What it hands on, by name, and where that is from.
    exports: HashMap<String, Names>,
    /// The methods of `Rekindle` that it defines. The compiler sees to it that each has a name of its own.
    methods: Vec<String>,
    /// The methods of `Rekindle` that it calls, and on which line.
    calls: Vec<(String, usize)>,
}

/// The arrows between those files of one crate, given with their paths from its `src`: by imports, paths, and calls of the
/// methods of `Rekindle`. Tests and attributes make none, and neither does a module that uses the one that it lies in: it
/// is a part of it.
pub(super) fn arrows(files: &[(&str, &str)]) -> Vec<Arrow> {
    let files: BTreeMap<Names, File> =
        files.iter().map(|(path, text)| read(path, &Tokens::of(text))).collect();
    let homes: HashMap<&String, &File> =
        files.values().flat_map(|file| file.methods.iter().map(move |name| (name, file))).collect();
    let mut found = Vec::new();
    for (here, from) in &files {
        let by_path = from.uses.iter().map(|(path, line)| (home(&files, path), *line, path.join("::")));
        let by_call = from.calls.iter().filter_map(|(name, line)| {
            let to = *homes.get(name)?;
            Some((module(&to.path), *line, format!("{name}()")))
        });
        let others = by_path.chain(by_call).filter(|(to, ..)| !here.starts_with(to));
        found.extend(others.map(|(to, line, by)| Arrow {
            from: from.path.clone(),
            line,
            to: files[&to].path.clone(),
            by,
        }));
    }
    found
}

/// The module that a file is.
fn module(path: &str) -> Names {
    let mut names: Names = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    names.pop_if(|last| ["lib", "mod"].contains(&last.as_str()));
    names
}

/// The module of the file that defines an item, whichever modules hand it on.
fn home(files: &BTreeMap<Names, File>, item: &[String]) -> Names {
    let known = (0..=item.len()).rev().find(|depth| files.contains_key(&item[..*depth]));
    let (module, rest) = item.split_at(known.expect("every crate has a root"));
    match rest.first().and_then(|name| files[module].exports.get(name)) {
        Some(from) => home(files, &[from, &rest[1..]].concat()),
        None => module.to_vec(),
    }
}

/// The names of a path that begins in the crate; `None`: it begins elsewhere.
fn absolute(here: &[String], children: &[&str], path: &[&str]) -> Option<Names> {
    let is_here = ["self", "super"].contains(&path[0]) || children.contains(&path[0]);
    let mut names = if is_here { here.to_vec() } else { Vec::new() };
    for name in path {
        match *name {
            "crate" | "self" => {}
            "super" => drop(names.pop()),
            name => names.push(name.to_owned()),
        }
    }
    (is_here || path[0] == "crate").then_some(names)
}

fn read(path: &str, tokens: &Tokens) -> (Names, File) {
    let (here, at) = (module(path), |i| tokens.at(i));
    let declared = (0..tokens.0.len()).filter(|i| at(*i) == "mod" && at(i + 2) == ";");
    let children: Vec<&str> = declared.map(|i| at(i + 1)).collect();
    let mut file = File { path: path.to_owned(), ..File::default() };
    let (mut i, mut end_of_impl) = (0, 0);
    while i < tokens.0.len() {
        let before = i.checked_sub(1).map_or("", at);
        let is_call = tokens.is_name(i + 2) && ["(", "::"].contains(&at(i + 3));
        match at(i) {
            "#" if tokens.is(i + 1, &["[", "cfg", "(", "test", ")", "]"]) => {
                i = tokens.next(i + 7, &["}", ";"])
            }
            "use" if at(i + 1) != "<" => {
                let end = tokens.next(i, &[";"]);
                for (path, line) in imports(tokens, i + 1, end) {
                    let Some(names) = absolute(&here, &children, &path) else { continue };
                    if ["pub", ")"].contains(&before) {
                        file.exports.insert(path[path.len() - 1].to_owned(), names);
                    } else {
                        file.uses.push((names, line));
                    }
                }
                i = end;
            }
            "impl" if ["", "}", ";", "]"].contains(&before) => {
                let open = tokens.next(i, &["{"]);
                if at(open - 1) == "Rekindle" {
                    end_of_impl = tokens.next(open, &["}"]);
                }
            }
            "fn" if i < end_of_impl => file.methods.push(at(i + 1).to_owned()),
            name if at(i + 1) == "." && is_call && (name == "app" || name == "self" && i < end_of_impl)
                || at(i + 1) == "::"
                    && is_call
                    && (name == "Rekindle" || name == "Self" && i < end_of_impl) =>
            {
                file.calls.push((at(i + 2).to_owned(), tokens.0[i].line));
            }
            _ if at(i + 1) == "::" && before != "::" => {
                let path = (i..).step_by(2).take_while(|n| *n == i || at(n - 1) == "::").map(at);
                let names = absolute(&here, &children, &path.collect::<Vec<_>>());
                file.uses.extend(names.map(|names| (names, tokens.0[i].line)));
            }
            _ => {}
        }
        i += 1;
    }
    (here, file)
}

/// The paths of a `use` and their lines, from behind that word to the semicolon.
fn imports(tokens: &Tokens, from: usize, end: usize) -> Vec<(Vec<&str>, usize)> {
    let (mut found, mut path, mut outer) = (Vec::new(), Vec::new(), vec![0]);
    for i in from..=end {
        match tokens.at(i) {
            "::" => {}
            "{" => outer.push(path.len()),
            text @ ("," | "}" | ";") => {
                if path.len() > outer[outer.len() - 1] {
                    found.push((path.clone(), tokens.0[i].line));
                }
                outer.truncate(outer.len() - usize::from(text == "}"));
                path.truncate(outer[outer.len() - 1]);
            }
            name => path.push(name),
        }
    }
    found
}

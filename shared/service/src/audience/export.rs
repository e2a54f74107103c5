//! CSV in pages: a source's interaction data, one line for each user and facet, and the members of an audience, one line for
//! each user; ordered by user hash, then id.

use super::questions::MembersRequest;
use crate::{
    app::Rekindle,
    boxed,
    ledger::{Batch, LedgerView, Merged, Taken},
    page::{decode_cursor, encode_cursor},
    people::people_of_page,
    problem::{Problem, expired_data},
    retry::read_again,
};
use rekindle_domain::{
    facet::{Facet, Kind},
    id::{LedgerId, SourceId},
    merge::Merge,
    people::People,
    rows::{Dictionary, Row, normalize},
    tally::MACHINE_CLICKED,
    time::Time,
};
use rekindle_store::StoreError;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeSet, fmt::Write};

/// The most bytes of a page within the answer: Lambda wraps the text in JSON, where some bytes become two.
const MAX_PAGE_BYTES: usize = 5 << 20;

/// Tells a spreadsheet that the text is UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

const HEADER: &str = "user_id,kind,channel,variant,step,alias,first_at,last_at\r\n";
const MEMBERS_HEADER: &str = "user_id\r\n";

/// The reader that a CSV is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CsvFor {
    /// A program: each field is exactly what is stored.
    Program,
    /// A spreadsheet: the first page begins with a byte order mark, and a field that it would run as a formula begins with an
    /// apostrophe.
    Spreadsheet,
}

impl CsvFor {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Spreadsheet => "spreadsheet",
        }
    }
}

/// A page of an export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CsvPage {
    /// The lines, each ended by CR LF as in RFC 4180.
    pub text: String,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

/// A place in an export: after this user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    /// The last merge of user ids that the page before knew.
    #[serde(default)]
    merged: u64,
    hash: u64,
    id: String,
}

impl Rekindle {
    /// A page of a source's interaction data; the first has the header line. All lines of a user are on one page, and a
    /// facet has one line, even if the inbox and several runs have it. A page is short if the time is up first.
    /// Interactions that arrive while pages are read appear for the users that are still ahead.
    ///
    /// The kind distinguishes machines and conversions, which have no column: an open by a machine is of the kind
    /// `machine_opened` (`opened` is by people), likewise `machine_clicked`, and a conversion other than the primary one is
    /// `converted:1`, `converted:2` and so on. `variant` is the campaign's variant or the Canvas's variation.
    ///
    /// # Errors
    /// 400 a cursor that is not ours; 404; 409 expired data; 503.
    #[boxed]
    pub async fn export_csv(
        &self,
        id: &SourceId,
        cursor: Option<&str>,
        reader: CsvFor,
    ) -> Result<CsvPage, Problem> {
        let after: Option<Cursor> = cursor.map(decode_cursor).transpose()?;
        self.known_source(id).await?;
        read_again!(async {
            let people = self.people().await?;
            let view = LedgerView::open(&self.store, &LedgerId::Source(id.clone()), None).await?;
            let view = view.ok_or_else(|| expired_data(BTreeSet::from([id.clone()])))?;
            let people = match &after {
                Some(c) => people_of_page(people, c.merged, (c.hash, c.id.as_bytes()), view.folded())?,
                None => people,
            };
            Ok(self.page_of(&view, &people, after.as_ref(), reader).await?)
        })
    }

    /// A page of the users that match a filter as CSV, with the column `user_id`. Each page is a file of its own, with the header
    /// line; it ends where that of [`Rekindle::members`] ends.
    ///
    /// # Errors
    /// As [`Rekindle::members`].
    #[boxed]
    pub async fn members_csv(&self, request: &MembersRequest, reader: CsvFor) -> Result<CsvPage, Problem> {
        let page = self.members(request).await?;
        let mut text = first_line(reader, MEMBERS_HEADER);
        for user in &page.items {
            write_field(&mut text, reader, user);
            text.push_str("\r\n");
        }
        Ok(CsvPage { text, next: page.next })
    }

    /// Makes a page. Memory holds the page, the inbox, and a block of each run.
    async fn page_of(
        &self,
        view: &LedgerView,
        people: &People,
        after: Option<&Cursor>,
        reader: CsvFor,
    ) -> Result<CsvPage, StoreError> {
        let until = self.now().plus(self.settings.audience_millis);
        let mut page = Page::new(after.is_none(), reader, people.last());
        let from = after.map_or(0, |cursor| cursor.hash);
        let is_done = |hash, id: &[u8]| after.is_some_and(|c| (hash, id) <= (c.hash, c.id.as_bytes()));
        let streams = view.streams(&(from..=u64::MAX), people)?;
        let mut facets: Vec<Vec<u32>> = vec![Vec::new(); streams.len()];
        let mut dictionary = Dictionary::default();
        let mut merged = Merged::new(streams);
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let take = |i: usize, _: &Merge, batch: Batch| {
                let batch = batch.rows()?;
                facets[i] = dictionary.map(&batch.facets);
                Ok(Taken::Feed(batch))
            };
            _ = merged.fill(take).await?;
            while let Some(group) = merged.next_group() {
                let user = group.user();
                if is_done(user.hash, user.id) || !group.has_rows() {
                    continue;
                }
                rows.clear();
                for (i, _, user) in group.parts() {
                    rows.extend(user.rows.iter().map(|r| Row { facet: facets[i][r.facet as usize], ..*r }));
                }
                normalize(&mut rows);
                if !page.add(user.hash, user.id, &mut rows, dictionary.facets()) {
                    return Ok(page.finish(true));
                }
            }
            if merged.has_ended() {
                return Ok(page.finish(false));
            }
            if page.last.is_some() && self.now() >= until {
                return Ok(page.finish(true));
            }
        }
    }
}

/// A page under construction.
struct Page {
    reader: CsvFor,
    /// The last merge of user ids that the page knows.
    merged: u64,
    text: String,
    bytes: usize,
    last: Option<Cursor>,
    lines: String,
}

impl Page {
    fn new(is_first: bool, reader: CsvFor, merged: u64) -> Self {
        let text = if is_first { first_line(reader, HEADER) } else { String::new() };
        Self { reader, merged, bytes: wrapped(&text), text, last: None, lines: String::new() }
    }

    /// Adds a user's lines; `false` if they do not fit. Those of the first user stand on the page whatever their size.
    fn add(&mut self, hash: u64, id: &[u8], rows: &mut [Row], facets: &[Facet]) -> bool {
        let facet = |row: &Row| &facets[row.facet as usize];
        // By facet, so that the order does not depend on how rows lie in blocks.
        rows.sort_unstable_by(|a, b| facet(a).cmp(facet(b)));
        let id = String::from_utf8_lossy(id);
        self.lines.clear();
        for row in rows.iter() {
            write_line(&mut self.lines, self.reader, &id, facet(row), row);
        }
        let bytes = wrapped(&self.lines);
        if self.last.is_some() && self.bytes + bytes > MAX_PAGE_BYTES {
            return false;
        }
        self.text.push_str(&self.lines);
        self.bytes += bytes;
        match &mut self.last {
            Some(last) => {
                last.hash = hash;
                last.id.clear();
                last.id.push_str(&id);
            }
            None => self.last = Some(Cursor { merged: self.merged, hash, id: id.into_owned() }),
        }
        true
    }

    fn finish(self, goes_on: bool) -> CsvPage {
        let next = self.last.filter(|_| goes_on).map(|last| encode_cursor(&last));
        CsvPage { text: self.text, next }
    }
}

/// The header line, for a spreadsheet behind the mark.
fn first_line(reader: CsvFor, header: &str) -> String {
    let mark = (reader == CsvFor::Spreadsheet).then_some(BYTE_ORDER_MARK);
    mark.into_iter().chain(header.chars()).collect()
}

/// The bytes that the text takes within JSON.
fn wrapped(text: &str) -> usize {
    text.len() + text.bytes().filter(|b| matches!(b, b'"' | b'\\' | b'\r' | b'\n')).count()
}

fn write_line(out: &mut String, reader: CsvFor, id: &str, facet: &Facet, row: &Row) {
    let kind: Cow<'_, str> = match (facet.kind, facet.machine, facet.conversion) {
        (Kind::Opened, true, _) => "machine_opened".into(),
        (Kind::Clicked, true, _) => MACHINE_CLICKED.into(),
        (Kind::Converted, _, 1..) => format!("converted:{}", facet.conversion).into(),
        (kind, ..) => kind.as_str().into(),
    };
    let channel = facet.channel.map_or("", |c| c.as_str());
    let texts = [&facet.variant, &facet.step, &facet.alias].map(|text| text.as_deref().unwrap_or(""));
    for field in [id, &kind, channel].into_iter().chain(texts) {
        write_field(out, reader, field);
        out.push(',');
    }
    let _ = write!(out, "{},{}\r\n", Time(row.first_at), Time(row.last_at));
}

/// Quotes a field where RFC 4180 demands it, and also a field with blanks at an end, which some readers drop.
fn write_field(out: &mut String, reader: CsvFor, field: &str) {
    // Spreadsheets run a field that begins so, and none that begins with an apostrophe.
    let is_run = reader == CsvFor::Spreadsheet && field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field: Cow<'_, str> = if is_run { format!("'{field}").into() } else { field.into() };
    let needs_quotes = field.contains(['"', ',', '\r', '\n']) || field.trim().len() < field.len();
    if needs_quotes {
        out.push('"');
        out.push_str(&field.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(&field);
    }
}

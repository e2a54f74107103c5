//! The interactions of one request, sorted into a pile for each ledger.

use super::{
    BatchError, MAX_ITEMS, MAX_SOURCES, Refusal, Rejection,
    batch::{items_of, too_many, without_bom},
    diagnose::diagnose,
    mend::{LOST, mended},
    pile::{Entry, Pile, Users},
    refuse,
    wire::{Checked, Wire},
};
use crate::{
    arrival::Arrival,
    day::Counts,
    id::{LedgerId, SourceId, SourceKind},
    rows::Rows,
    tally::counted_as,
    time::Time,
};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

/// Collects the interactions of one request, by ledger.
pub struct Collector {
    now: Time,
    ids: Vec<u8>,
    users: Pile,
    /// Campaigns and Canvases by id, each with its place in `piles`.
    sources: [HashMap<Box<str>, usize>; 2],
    piles: Vec<(SourceId, Pile)>,
    rejected: Vec<Rejection>,
    /// The places of the interactions whose alias was shortened.
    shortened: Vec<u32>,
    items: usize,
    facet: Vec<u8>,
    /// The pile of the last interaction, which mostly is the pile of the next one, too.
    last: Option<usize>,
    /// Whether the body was not UTF-8 throughout, and [`LOST`] stands where it was not.
    is_mended: bool,
}

/// The rows of one request, ready to be appended: `users` first, then the sources.
pub struct Collected {
    /// The rows for each ledger, in the order of inbox blocks.
    pub ledgers: Vec<(LedgerId, Rows)>,
    /// How many interactions were taken.
    pub accepted: usize,
    /// How many of each kind; see [`counted_as`].
    pub by_kind: Counts,
    /// How many of these have a link alias that is stored in another form: see [`super::stored_alias`].
    pub aliases_shortened: usize,
    /// The interactions that were not taken, in the order of the request.
    pub rejected: Vec<Rejection>,
}

impl Collector {
    /// A collector for a request that arrived at `now`.
    pub fn new(now: Time) -> Self {
        Self {
            now,
            ids: Vec::new(),
            users: Pile::default(),
            sources: Default::default(),
            piles: Vec::new(),
            rejected: Vec::new(),
            shortened: Vec::new(),
            items: 0,
            facet: Vec::new(),
            last: None,
            is_mended: false,
        }
    }

    /// The body as text. Where it is not UTF-8 it gets [`LOST`], so that a bad byte costs at most its own interaction.
    fn text<'a>(&mut self, body: &'a [u8]) -> Cow<'a, str> {
        let text = String::from_utf8_lossy(without_bom(body));
        self.is_mended = matches!(text, Cow::Owned(_));
        text
    }

    /// Takes a JSON body: `{"interactions":[…]}` or a bare array.
    ///
    /// # Errors
    /// [`BatchError`] if it is neither, or too large.
    pub fn add_json(&mut self, body: &[u8]) -> Result<(), BatchError> {
        let body = self.text(body);
        let mut items = items_of(&body)?.into_iter();
        items.try_for_each(|item| self.add(item.get(), serde_json::from_str(item.get())))
    }

    /// Takes newline-delimited JSON; blank lines do not count. A line may hold several documents, one after the other,
    /// as delivery streams write them.
    ///
    /// # Errors
    /// [`BatchError`] if there is too much of it.
    pub fn add_ndjson(&mut self, body: &[u8]) -> Result<(), BatchError> {
        // Checked as a whole, so that no field need be checked again.
        let body = self.text(body);
        let mut lines = body.split('\n').filter(|line| !line.trim_ascii().is_empty());
        lines.try_for_each(|line| self.add_line(line, serde_json::from_str(line)))
    }

    /// Takes a line: its text, and the result of reading it as one interaction, which it mostly is.
    fn add_line(&mut self, line: &str, wire: serde_json::Result<Wire<'_>>) -> Result<(), BatchError> {
        if wire.is_ok() {
            return self.add(line, wire);
        }
        // The line may come from the beginning of another file.
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        let mut documents = serde_json::Deserializer::from_str(line).into_iter::<&RawValue>();
        let mut end = 0;
        while let Some(document) = documents.next() {
            match document {
                Ok(document) => {
                    end = documents.byte_offset();
                    self.add(document.get(), serde_json::from_str(document.get()))?;
                }
                Err(_) if end == 0 => return self.add(line, serde_json::from_str(line)),
                // Where the next document begins cannot be told: the rest of the line is one item.
                Err(e) => {
                    let index = self.next_index()?;
                    let detail = format!("not JSON, from here to the end of the line: {e}");
                    self.rejected.push(Rejection { index, code: "invalid_json".into(), detail });
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The place of the next item in the request.
    fn next_index(&mut self) -> Result<usize, BatchError> {
        self.items += 1;
        if self.items > MAX_ITEMS { Err(too_many()) } else { Ok(self.items - 1) }
    }

    /// Takes one interaction: its text, and the result of reading the text.
    fn add(&mut self, text: &str, wire: serde_json::Result<Wire<'_>>) -> Result<(), BatchError> {
        let index = self.next_index()?;
        let outcome = match wire {
            Ok(wire) => self.check(index, text, &wire, self.is_mended)?,
            Err(_) => {
                let text = mended(text).map_or(Cow::Borrowed(text), Cow::Owned);
                match serde_json::from_str(&text) {
                    Ok(wire) => self.check(index, &text, &wire, true)?,
                    Err(_) => Err(diagnose(&text)),
                }
            }
        };
        if let Err((code, detail)) = outcome {
            self.rejected.push(Rejection { index, code, detail });
        }
        Ok(())
    }

    /// Checks one interaction, and takes it. `is_mended`: its texts have [`LOST`] where the sender's could not be read.
    fn check(
        &mut self,
        index: usize,
        text: &str,
        wire: &Wire<'_>,
        is_mended: bool,
    ) -> Result<Result<(), Refusal>, BatchError> {
        // Serde would also read an array of the fields' values, which is not an interaction.
        if !text.trim_ascii_start().starts_with('{') {
            return Ok(Err(diagnose(text)));
        }
        if is_mended && wire.user_id.0.contains(LOST) {
            let detail = "user_id is not UTF-8 throughout, or has half of a surrogate pair; cut texts between characters";
            return Ok(refuse("invalid_user_id", detail));
        }
        let mut facet = std::mem::take(&mut self.facet);
        let taken = match wire.check(self.now, &mut facet) {
            Ok(Checked { at, is_alias_shortened }) => {
                let taken = self.take(index, wire, &facet, at)?;
                let is_other = is_alias_shortened || is_mended && wire.has_lost_alias();
                if is_other && taken.is_ok() {
                    self.shortened.push(index as u32);
                }
                taken
            }
            Err(refusal) => Err(refusal),
        };
        self.facet = facet;
        Ok(taken)
    }

    fn take(
        &mut self,
        index: usize,
        wire: &Wire<'_>,
        facet: &[u8],
        at: Time,
    ) -> Result<Result<(), Refusal>, BatchError> {
        let source = match wire.source() {
            Ok(source) => source,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let misshapen = || refuse("invalid_item", "the interaction has a field of a wrong shape");
        let id = wire.user_id.0.as_bytes();
        let entry = Entry {
            index: index as u32,
            id_start: self.ids.len() as u32,
            id_len: id.len() as u16,
            facet: 0,
            at: at.0,
        };
        let in_users = match source {
            // A facet without variant, step and alias is the same in the ledger of all users.
            None => self.users.number(facet),
            Some((kind, id)) => {
                let Some(pile) = self.pile(kind, id)? else { return Ok(misshapen()) };
                let pile = &mut self.piles[pile].1;
                let Some(number) = pile.number(facet) else { return Ok(misshapen()) };
                if pile.in_users.len() <= number as usize {
                    let mut encoded = Vec::new();
                    pile.facets[number as usize].for_users().encode(&mut encoded);
                    let Some(in_users) = self.users.number(&encoded) else { return Ok(misshapen()) };
                    pile.in_users.push(in_users);
                }
                pile.entries.push(Entry { facet: number, ..entry });
                Some(pile.in_users[number as usize])
            }
        };
        let Some(in_users) = in_users else { return Ok(misshapen()) };
        self.ids.extend_from_slice(id);
        self.users.entries.push(Entry { facet: in_users, ..entry });
        Ok(Ok(()))
    }

    fn pile(&mut self, kind: SourceKind, id: &str) -> Result<Option<usize>, BatchError> {
        if let Some(pile) = self.last
            && self.piles[pile].0.kind() == kind
            && self.piles[pile].0.id() == id
        {
            return Ok(Some(pile));
        }
        let known = &mut self.sources[usize::from(kind == SourceKind::Canvas)];
        let pile = match known.get(id) {
            Some(pile) => *pile,
            None => {
                let Some(source) = SourceId::new(kind, id) else {
                    return Ok(None);
                };
                if self.piles.len() == MAX_SOURCES {
                    return Err(BatchError::TooMany(format!(
                        "a request names at most {MAX_SOURCES} campaigns and Canvases; send several requests"
                    )));
                }
                self.piles.push((source, Pile::default()));
                known.insert(id.into(), self.piles.len() - 1);
                self.piles.len() - 1
            }
        };
        self.last = Some(pile);
        Ok(Some(pile))
    }

    /// The campaigns and Canvases that interactions were taken for.
    pub fn sources(&self) -> impl Iterator<Item = (&SourceId, Arrival)> {
        self.piles.iter().filter_map(|(source, pile)| Some((source, pile.arrival()?)))
    }

    /// Rejects the interactions that were taken for these sources, with that code and detail.
    pub fn refuse_sources(
        &mut self,
        sources: &BTreeSet<SourceId>,
        code: &'static str,
        detail: impl Fn(&SourceId) -> String,
    ) {
        let mut gone = HashMap::new();
        for (source, pile) in self.piles.iter().filter(|(s, _)| sources.contains(s)) {
            gone.extend(pile.entries.iter().map(|e| (e.index, source.clone())));
        }
        let rejections = gone.iter().map(|(index, source)| Rejection {
            index: *index as usize,
            code: code.into(),
            detail: detail(source),
        });
        self.rejected.extend(rejections);
        self.drop_items(|index| gone.contains_key(&index));
    }

    fn drop_items(&mut self, gone: impl Fn(u32) -> bool) {
        for pile in self.piles.iter_mut().map(|(_, p)| p).chain([&mut self.users]) {
            pile.entries.retain(|e| !gone(e.index));
        }
        self.shortened.retain(|index| !gone(*index));
    }

    /// Sorts and merges the interactions that were taken.
    pub fn finish(mut self) -> Collected {
        self.rejected.sort_by_key(|r| r.index);
        let accepted = self.users.entries.len();
        let by_kind = by_kind(&self.users);
        let users = Users::of(&self.users.entries, &self.ids, self.items);
        let mut ledgers = Vec::with_capacity(self.piles.len() + 1);
        if accepted > 0 {
            ledgers.push((LedgerId::Users, self.users.into_rows(&users)));
        }
        for (source, pile) in self.piles {
            if !pile.entries.is_empty() {
                ledgers.push((LedgerId::Source(source), pile.into_rows(&users)));
            }
        }
        let aliases_shortened = self.shortened.len();
        Collected { ledgers, accepted, by_kind, aliases_shortened, rejected: self.rejected }
    }
}

/// How many interactions of each kind a pile has.
fn by_kind(pile: &Pile) -> Counts {
    let mut by_facet = vec![0; pile.facets.len()];
    pile.entries.iter().for_each(|entry| by_facet[entry.facet as usize] += 1);
    let mut counts = Counts::new();
    for (facet, n) in pile.facets.iter().zip(by_facet).filter(|(_, n)| *n > 0) {
        *counts.entry(counted_as(facet).to_owned()).or_default() += n;
    }
    counts
}

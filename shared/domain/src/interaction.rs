//! Interactions as senders post them: reading, checking, and packing them by ledger.
//!
//! One bad interaction never hurts its neighbours: it becomes a [`Rejection`] that says what is wrong and where.

use crate::{
    facet::{Channel, Facet, Kind, encode_facet},
    id::{LedgerId, MAX_ID, SourceId, SourceKind, clip, is_valid_id},
    rows::{Row, Rows, normalize, user_hash},
    time::Time,
};
use serde::{Deserialize, Serialize, de};
use serde_json::{Value, value::RawValue};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

/// The longest user id, in bytes.
pub const MAX_USER_ID: usize = 512;
/// The longest link alias, in bytes.
pub const MAX_ALIAS: usize = 256;
/// The most interactions one request may have.
pub const MAX_ITEMS: usize = 100_000;
/// The most sources one request may name.
pub const MAX_SOURCES: usize = 1_000;
/// The most facets one user may have in one ledger in one request.
pub const MAX_FACETS_PER_USER: usize = 256;
/// The earliest time an interaction may have: 2000-01-01.
pub const EARLIEST: Time = Time(946_684_800_000);
/// How far ahead of the present an interaction's time may be.
pub const MAX_AHEAD_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// An interaction that was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rejection {
    /// Its place in the request, from 0.
    pub index: usize,
    /// What is wrong, stable, for programs.
    pub code: Cow<'static, str>,
    /// What is wrong and how to mend it, for people.
    pub detail: String,
}

/// A request that is refused as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BatchError {
    /// Not JSON, or not of the shape of a batch.
    Malformed {
        /// What is wrong, stable.
        code: &'static str,
        /// What is wrong and where.
        detail: String,
    },
    /// More than one request may hold.
    TooMany(String),
}

/// Text that borrows from the request where it can.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> de::Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
        }
        d.deserialize_str(V)
    }
}

/// The items of a batch as text; no more of them than a request may hold, however long the body goes on.
struct Items<'a>(Vec<&'a RawValue>);

/// Marks the error of a batch with too many items among serde's other errors.
const TOO_MANY: &str = "too many interactions";

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> de::Visitor<'de> for V {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array of interactions")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX_ITEMS {
                        return Err(de::Error::custom(TOO_MANY));
                    }
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        d.deserialize_seq(V)
    }
}

fn too_many() -> BatchError {
    BatchError::TooMany(format!("a request holds at most {MAX_ITEMS} interactions; send several requests"))
}

/// One interaction as it stands in a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    user_id: Text<'a>,
    #[serde(borrow, default)]
    campaign_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    canvas_id: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    channel: Option<Text<'a>>,
    #[serde(borrow, default)]
    variant_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    variation_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    step_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    link_alias: Option<Text<'a>>,
    #[serde(borrow, default)]
    bounce: Option<Text<'a>>,
    #[serde(default)]
    machine: Option<bool>,
    #[serde(default)]
    conversion: Option<u8>,
    #[serde(default)]
    time: Option<Time>,
}

type Refusal = (Cow<'static, str>, String);

fn refuse<T>(code: &'static str, detail: impl Into<String>) -> Result<T, Refusal> {
    Err((code.into(), detail.into()))
}

const TYPES: &str = "received, opened, clicked, converted, entered, control, bounced, complained";

fn check_id(field: &str, code: &'static str, id: &str) -> Result<(), Refusal> {
    if is_valid_id(id) {
        return Ok(());
    }
    let detail = format!("{field} `{}` must be 1 to {MAX_ID} characters of A-Z a-z 0-9 _ . : -", clip(id));
    refuse(code, detail)
}

impl Wire<'_> {
    /// The facet's canonical encoding goes to `facet`; returns the time.
    fn check(&self, now: Time, facet: &mut Vec<u8>) -> Result<Time, Refusal> {
        check_user_id(&self.user_id.0).map_err(|d| ("invalid_user_id".into(), format!("user_id {d}")))?;
        let (source, id) = self.source()?;
        match source {
            SourceKind::Campaign => check_id("campaign_id", "invalid_campaign_id", id)?,
            SourceKind::Canvas => check_id("canvas_id", "invalid_canvas_id", id)?,
        }
        let kind = self.kind()?;
        let channel = match &self.channel {
            Some(name) => match Channel::from_name(&name.0) {
                Some(channel) => Some(channel),
                None => {
                    let detail = format!("channel `{}` must be one of {}", clip(&name.0), Channel::names());
                    return refuse("invalid_channel", detail);
                }
            },
            None if matches!(kind, Kind::Received | Kind::Opened | Kind::Clicked) => {
                let detail = format!("{} needs a channel, one of {}", self.kind.0, Channel::names());
                return refuse("missing_channel", detail);
            }
            None => None,
        };
        for (field, code, id) in [
            ("variant_id", "invalid_variant_id", &self.variant_id),
            ("variation_id", "invalid_variation_id", &self.variation_id),
            ("step_id", "invalid_step_id", &self.step_id),
        ] {
            if let Some(id) = id {
                check_id(field, code, &id.0)?;
            }
        }
        if self.link_alias.as_ref().is_some_and(|a| !is_valid_alias(&a.0)) {
            let detail = format!("link_alias must be 1 to {MAX_ALIAS} bytes without control characters");
            return refuse("invalid_link_alias", detail);
        }
        self.check_fields_fit(kind)?;
        self.check_source_fits(source, kind)?;
        let at = self.time.unwrap_or(now);
        if at < EARLIEST || at > now.plus(MAX_AHEAD_MILLIS) {
            let latest = now.plus(MAX_AHEAD_MILLIS);
            return refuse(
                "invalid_time",
                format!("time must be between {EARLIEST} and {latest} (24 h ahead)"),
            );
        }
        facet.clear();
        // Encoded at once: most interactions have a facet that others had before, so that none need be made for them.
        let head = (kind, channel, self.machine.unwrap_or(false), self.conversion.unwrap_or(0));
        let variant = self.variant_id.as_ref().or(self.variation_id.as_ref());
        let texts = [variant, self.step_id.as_ref(), self.link_alias.as_ref()];
        encode_facet(head, texts.map(|text| text.map(|t| t.0.as_ref())), facet);
        Ok(at)
    }

    /// What it is about: a campaign or a Canvas, by id.
    fn source(&self) -> Result<(SourceKind, &str), Refusal> {
        match (&self.campaign_id, &self.canvas_id) {
            (Some(id), None) => Ok((SourceKind::Campaign, id.0.as_ref())),
            (None, Some(id)) => Ok((SourceKind::Canvas, id.0.as_ref())),
            (None, None) => refuse("missing_field", "campaign_id or canvas_id is missing; send one of them"),
            (Some(_), Some(_)) => refuse(
                "two_sources",
                "campaign_id and canvas_id exclude each other; send one interaction for the campaign and another for the Canvas",
            ),
        }
    }

    fn kind(&self) -> Result<Kind, Refusal> {
        Ok(match self.kind.0.as_ref() {
            "received" => Kind::Received,
            "opened" => Kind::Opened,
            "clicked" => Kind::Clicked,
            "converted" => Kind::Converted,
            "entered" => Kind::Entered,
            "control" => Kind::Control,
            "complained" => Kind::Complained,
            "bounced" => match self.bounce.as_ref().map(|b| b.0.as_ref()) {
                None | Some("hard") => Kind::HardBounced,
                Some("soft") => Kind::SoftBounced,
                Some(other) => {
                    return refuse(
                        "invalid_bounce",
                        format!("bounce `{}` must be hard or soft", clip(other)),
                    );
                }
            },
            other => {
                return refuse("invalid_type", format!("type `{}` must be one of {TYPES}", clip(other)));
            }
        })
    }

    fn check_fields_fit(&self, kind: Kind) -> Result<(), Refusal> {
        let misfits = [
            (self.link_alias.is_some() && kind != Kind::Clicked, "link_alias", "clicked"),
            (self.machine.is_some() && kind != Kind::Opened, "machine", "opened"),
            (self.conversion.is_some() && kind != Kind::Converted, "conversion", "converted"),
            (
                self.bounce.is_some() && !matches!(kind, Kind::HardBounced | Kind::SoftBounced),
                "bounce",
                "bounced",
            ),
        ];
        match misfits.iter().find(|(misfit, ..)| *misfit) {
            Some((_, field, only)) => refuse(
                "field_not_allowed",
                format!("{field} goes with type {only} only, not with {}", self.kind.0),
            ),
            None => Ok(()),
        }
    }

    /// Campaigns have variants; Canvases have variations and steps, and are entered.
    fn check_source_fits(&self, source: SourceKind, kind: Kind) -> Result<(), Refusal> {
        match source {
            SourceKind::Campaign if kind == Kind::Entered => refuse(
                "invalid_type",
                "type `entered` goes with canvas_id only; who gets a campaign's message has received it",
            ),
            SourceKind::Campaign if self.variation_id.is_some() => refuse(
                "field_not_allowed",
                "variation_id goes with canvas_id only, not with campaign_id; a campaign's is called variant_id",
            ),
            SourceKind::Campaign if self.step_id.is_some() => refuse(
                "field_not_allowed",
                "step_id goes with canvas_id only, not with campaign_id; campaigns have no steps",
            ),
            SourceKind::Canvas if self.variant_id.is_some() => refuse(
                "field_not_allowed",
                "variant_id goes with campaign_id only, not with canvas_id; a Canvas's is called variation_id",
            ),
            _ => Ok(()),
        }
    }
}

/// Whether `id` may be a user id; else what is wrong with it.
///
/// # Errors
/// The rule, to be put behind the field's name.
pub fn check_user_id(id: &str) -> Result<(), String> {
    if (1..=MAX_USER_ID).contains(&id.len()) && !has_control(id) {
        return Ok(());
    }
    Err(format!(
        "must be 1 to {MAX_USER_ID} bytes of UTF-8 without control characters; this one has {} bytes",
        id.len()
    ))
}

/// Whether `alias` may be a link's alias.
pub fn is_valid_alias(alias: &str) -> bool {
    (1..=MAX_ALIAS).contains(&alias.len()) && !has_control(alias)
}

/// Whether there are control characters; most texts are ASCII, of which bytes tell.
fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        // Without an early end, so that many bytes are looked at at once.
        text.bytes().fold(false, |found, b| found | b.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}

/// Beyond what any interaction needs, even with every character escaped.
const MAX_DIAGNOSED: usize = 16 << 10;

/// What the fast path refused: finds out what to tell the sender.
fn diagnose(text: &[u8]) -> Refusal {
    if text.len() > MAX_DIAGNOSED {
        let detail = format!("an interaction of {} bytes is not one; at most {MAX_DIAGNOSED}", text.len());
        return ("invalid_item".into(), detail);
    }
    let value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(e) => return ("invalid_json".into(), format!("not JSON: {e}")),
    };
    let Value::Object(fields) = &value else {
        return ("invalid_item".into(), "an interaction is a JSON object".to_owned());
    };
    const FIELDS: [(&str, &str); 13] = [
        ("user_id", "a string"),
        ("type", "a string"),
        ("campaign_id", "a string"),
        ("canvas_id", "a string"),
        ("channel", "a string"),
        ("variant_id", "a string"),
        ("variation_id", "a string"),
        ("step_id", "a string"),
        ("link_alias", "a string"),
        ("bounce", "a string"),
        ("machine", "true or false"),
        ("conversion", "a whole number from 0 to 255"),
        ("time", "an RFC 3339 time such as 2026-11-22T10:00:00Z, or epoch milliseconds"),
    ];
    if let Some(unknown) = fields.keys().find(|k| !FIELDS.iter().any(|(f, _)| f == k)) {
        let known = FIELDS.map(|(f, _)| f).join(", ");
        return (
            "unknown_field".into(),
            format!("unknown field `{}`; the fields are {known}", clip(unknown)),
        );
    }
    if let Some((missing, _)) = FIELDS[..2].iter().find(|(f, _)| !fields.contains_key(*f)) {
        return ("missing_field".into(), format!("{missing} is missing"));
    }
    for (field, what) in FIELDS {
        let fits = match (field, fields.get(field)) {
            (_, None) => true,
            ("machine", Some(v)) => v.is_boolean() || v.is_null(),
            ("conversion", Some(v)) => v.is_null() || v.as_u64().is_some_and(|n| n < 256),
            ("time", Some(v)) => v.is_null() || serde_json::from_value::<Time>(v.clone()).is_ok(),
            ("user_id" | "type", Some(v)) => v.is_string(),
            (_, Some(v)) => v.is_string() || v.is_null(),
        };
        if !fits {
            return (format!("invalid_{field}").into(), format!("{field} must be {what}"));
        }
    }
    ("invalid_item".into(), "a field stands twice, or is out of shape".to_owned())
}

#[derive(Clone, Copy)]
struct Entry {
    index: u32,
    id_start: u32,
    id_len: u16,
    facet: u32,
    at: i64,
}

#[derive(Default)]
struct Pile {
    facets: Vec<Facet>,
    numbers: HashMap<Box<[u8]>, u32>,
    /// Of each facet, its number in the pile of `users`.
    in_users: Vec<u32>,
    entries: Vec<Entry>,
}

impl Pile {
    fn number(&mut self, encoded: &[u8]) -> Option<u32> {
        if let Some(n) = self.numbers.get(encoded) {
            return Some(*n);
        }
        let n = self.facets.len() as u32;
        self.facets.push(Facet::decode(&mut crate::codec::Reader(encoded)).ok()?);
        self.numbers.insert(encoded.into(), n);
        Some(n)
    }

    fn into_rows(mut self, users: &Users<'_>) -> Rows {
        let user = |e: &Entry| users.of_item[e.index as usize];
        self.entries.sort_unstable_by_key(|e| (user(e), e.facet));
        let mut out = Rows::with_facets(self.facets);
        out.reserve(self.entries.len(), self.entries.iter().map(|e| usize::from(e.id_len)).sum());
        out.rows_mut().reserve_exact(self.entries.len());
        let mut scratch: Vec<Row> = Vec::new();
        for rows in self.entries.chunk_by(|a, b| user(a) == user(b)) {
            scratch.clear();
            scratch.extend(rows.iter().map(|e| Row { facet: e.facet, first_at: e.at, last_at: e.at }));
            normalize(&mut scratch);
            let (hash, id) = users.sorted[user(&rows[0]) as usize];
            out.push(hash, id, &scratch);
        }
        out
    }
}

/// The users of a request, in the order of inbox blocks: found once, since every pile is sorted by them.
struct Users<'a> {
    /// Each user's hash and id.
    sorted: Vec<(u64, &'a [u8])>,
    /// For each item of the request, the place in `sorted` of the user it is about; of rejected ones, anything.
    of_item: Vec<u32>,
}

impl<'a> Users<'a> {
    /// `entries` has one of each item.
    fn of(entries: &[Entry], ids: &'a [u8], items: usize) -> Self {
        let id = |e: &Entry| &ids[e.id_start as usize..][..usize::from(e.id_len)];
        // By length, then bytes. The first eight bytes as a number settle most comparisons.
        let head = |id: &[u8]| id.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b));
        let mut order: Vec<(u16, u64, &Entry)> = entries.iter().map(|e| (e.id_len, head(id(e)), e)).collect();
        order.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| id(a.2).cmp(id(b.2))));
        let mut users = Self { sorted: Vec::with_capacity(order.len()), of_item: vec![0; items] };
        for same in order.chunk_by(|a, b| a.1 == b.1 && id(a.2) == id(b.2)) {
            let id = id(same[0].2);
            for (_, _, entry) in same {
                users.of_item[entry.index as usize] = users.sorted.len() as u32;
            }
            users.sorted.push((user_hash(id), id));
        }
        users
    }
}

/// Collects the interactions of one request, by ledger.
pub struct Collector {
    now: Time,
    ids: Vec<u8>,
    users: Pile,
    /// Campaigns and Canvases by id, each with its place in `piles`.
    sources: [HashMap<Box<str>, usize>; 2],
    piles: Vec<(SourceId, Pile)>,
    rejected: Vec<Rejection>,
    items: usize,
    facet: Vec<u8>,
    /// The pile of the last interaction, which most often is the next one's, too.
    last: Option<usize>,
}

/// The rows of one request, ready to be appended: `users` first, then the sources.
pub struct Collected {
    /// What goes to each ledger, sorted by user id.
    pub ledgers: Vec<(LedgerId, Rows)>,
    /// How many interactions were taken.
    pub accepted: usize,
    /// Which were not, and why, in order.
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
            items: 0,
            facet: Vec::new(),
            last: None,
        }
    }

    /// Takes a JSON body: `{"interactions":[…]}` or a bare array.
    ///
    /// # Errors
    /// [`BatchError`] if it is neither, or too large.
    pub fn add_json(&mut self, body: &[u8]) -> Result<(), BatchError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Envelope<'a> {
            #[serde(borrow)]
            interactions: Items<'a>,
        }
        let malformed = |e: serde_json::Error| {
            // At the start: further on there may be what the sender wrote.
            if e.to_string().starts_with(TOO_MANY) {
                return too_many();
            }
            let code = if e.is_data() { "invalid_batch" } else { "invalid_json" };
            // The error may repeat what was sent, at any length.
            let what = clip(&e.to_string());
            let detail =
                format!("{what}; send {{\"interactions\":[…]}}, an array, or NDJSON as application/x-ndjson");
            BatchError::Malformed { code, detail }
        };
        let is_array = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
        let items = if is_array {
            serde_json::from_slice::<Items<'_>>(body).map_err(malformed)?
        } else {
            serde_json::from_slice::<Envelope<'_>>(body).map_err(malformed)?.interactions
        };
        items
            .0
            .into_iter()
            .try_for_each(|item| self.add(item.get().as_bytes(), serde_json::from_str(item.get())))
    }

    /// Takes newline-delimited JSON; blank lines do not count.
    ///
    /// # Errors
    /// [`BatchError`] if there is too much of it.
    pub fn add_ndjson(&mut self, body: &[u8]) -> Result<(), BatchError> {
        match std::str::from_utf8(body) {
            // Checked as a whole, so that no field need be checked again.
            Ok(body) => {
                let mut lines = body.split('\n').filter(|line| !line.trim_ascii().is_empty());
                lines.try_for_each(|line| self.add(line.as_bytes(), serde_json::from_str(line)))
            }
            // Some line is not UTF-8; the others are not to suffer from it.
            Err(_) => {
                let mut lines = body.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
                lines.try_for_each(|line| self.add(line, serde_json::from_slice(line)))
            }
        }
    }

    /// Takes an interaction, its text and what that was read as.
    fn add(&mut self, text: &[u8], wire: serde_json::Result<Wire<'_>>) -> Result<(), BatchError> {
        let index = self.items;
        self.items += 1;
        if self.items > MAX_ITEMS {
            return Err(too_many());
        }
        let outcome = match wire {
            // An array of the fields' values would do for serde, but is no interaction.
            Ok(wire) if text.trim_ascii_start().starts_with(b"{") => {
                let mut facet = std::mem::take(&mut self.facet);
                let checked = wire.check(self.now, &mut facet);
                let taken = match checked {
                    Ok(at) => self.take(index, &wire, &facet, at)?,
                    Err(refusal) => Err(refusal),
                };
                self.facet = facet;
                taken
            }
            _ => Err(diagnose(text)),
        };
        if let Err((code, detail)) = outcome {
            self.rejected.push(Rejection { index, code, detail });
        }
        Ok(())
    }

    fn take(
        &mut self,
        index: usize,
        wire: &Wire<'_>,
        facet: &[u8],
        at: Time,
    ) -> Result<Result<(), Refusal>, BatchError> {
        let (kind, id) = match wire.source() {
            Ok(source) => source,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(pile) = self.pile(kind, id)? else {
            return Ok(refuse("invalid_item", "the interaction is out of shape"));
        };
        let pile = &mut self.piles[pile].1;
        let Some(number) = pile.number(facet) else {
            return Ok(refuse("invalid_item", "the interaction is out of shape"));
        };
        if pile.in_users.len() <= number as usize {
            let mut encoded = Vec::new();
            pile.facets[number as usize].for_users().encode(&mut encoded);
            let Some(in_users) = self.users.number(&encoded) else {
                return Ok(refuse("invalid_item", "the interaction is out of shape"));
            };
            pile.in_users.push(in_users);
        }
        let id = wire.user_id.0.as_bytes();
        let entry = Entry {
            index: index as u32,
            id_start: self.ids.len() as u32,
            id_len: id.len() as u16,
            facet: number,
            at: at.0,
        };
        self.ids.extend_from_slice(id);
        pile.entries.push(entry);
        self.users.entries.push(Entry { facet: pile.in_users[number as usize], ..entry });
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
    pub fn sources(&self) -> impl Iterator<Item = &SourceId> {
        self.piles.iter().filter(|(_, p)| !p.entries.is_empty()).map(|(s, _)| s)
    }

    /// Takes back what was taken for some of them, for the reason given.
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
    }

    /// Refuses what would give one user more facets than one request may: rows of one user are read together, so they
    /// must stay few.
    fn bound_facets(&mut self) {
        let mut gone = HashSet::new();
        for pile in self.piles.iter().map(|(_, p)| p).chain([&self.users]) {
            if pile.facets.len() <= MAX_FACETS_PER_USER {
                continue;
            }
            let mut seen: HashMap<&[u8], HashSet<u32>> = HashMap::new();
            for e in &pile.entries {
                let facets =
                    seen.entry(&self.ids[e.id_start as usize..][..usize::from(e.id_len)]).or_default();
                if facets.len() < MAX_FACETS_PER_USER {
                    facets.insert(e.facet);
                } else if !facets.contains(&e.facet) {
                    gone.insert(e.index);
                }
            }
        }
        let rejections = gone.iter().map(|index| Rejection {
            index: *index as usize,
            code: "too_many_facets".into(),
            detail: format!(
                "one user has more than {MAX_FACETS_PER_USER} different interactions (type, channel, variant, step, alias) \
                 in this request; use fewer link aliases"
            ),
        });
        self.rejected.extend(rejections);
        self.drop_items(|index| gone.contains(&index));
    }

    /// Sorts and merges what was taken.
    pub fn finish(mut self) -> Collected {
        self.bound_facets();
        self.rejected.sort_by_key(|r| r.index);
        let accepted = self.users.entries.len();
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
        Collected { ledgers, accepted, rejected: self.rejected }
    }
}

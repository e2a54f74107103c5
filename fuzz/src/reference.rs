//! A second block decoder, written from the format's description alone: slow and plain. It shares only the names of kinds and
//! channels with the first. If the two disagree, one of them or the description is wrong.

use rekindle_domain::{
    block::{Block, MAX_BLOCK_ID_BYTES, MAX_BLOCK_ROWS},
    facet::{Channel, Kind},
    interaction::MAX_USER_ID,
    rows::user_hash,
};
use std::collections::BTreeMap;

/// A facet, as a tuple in the order of the encoding.
pub type Facet = (u8, u8, bool, u8, [Option<Box<str>>; 3]);
/// A user with the first and last time of each facet.
pub type User = (Vec<u8>, BTreeMap<Facet, (i64, i64)>);
/// A position: hash and ordinal.
pub type Position = (u64, u32);

/// The content of a block.
#[derive(PartialEq, Eq, Debug)]
pub struct Content {
    /// The start of its cover, and the start of the next block's.
    pub cover: Option<(Position, Option<Position>)>,
    /// The users in their order.
    pub users: Vec<User>,
}

impl Content {
    /// The content of a block that the product has decoded.
    pub fn of(block: &Block) -> Self {
        let position = |p: rekindle_domain::block::Position| (p.hash, p.ordinal);
        let facets: Vec<Facet> = block.rows.facets.iter().map(facet).collect();
        let rows = |user: &rekindle_domain::rows::UserRows<'_>| {
            let row =
                |r: &rekindle_domain::rows::Row| (facets[r.facet as usize].clone(), (r.first_at, r.last_at));
            user.rows.iter().map(row).collect()
        };
        Self {
            cover: block.cover.map(|c| (position(c.start), c.next.map(position))),
            users: block.rows.iter().map(|u| (u.id.to_vec(), rows(&u))).collect(),
        }
    }
}

fn facet(f: &rekindle_domain::facet::Facet) -> Facet {
    let channel = f.channel.map_or(0, |c| c as u8);
    (f.kind as u8, channel, f.machine, f.conversion, [f.variant.clone(), f.step.clone(), f.alias.clone()])
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn word(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0u128;
        for i in 0..10 {
            let byte = self.byte()?;
            n |= u128::from(byte & 127) << (7 * i);
            if byte < 128 {
                return u64::try_from(n).ok();
            }
        }
        None
    }

    fn size(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.varint()?).ok().filter(|n| *n <= most)
    }

    /// A column of `n` integers, bit by bit.
    fn ints(&mut self, n: usize) -> Option<Vec<i64>> {
        if n == 0 {
            return Some(vec![]);
        }
        let base = self.varint()?;
        let base = if base % 2 == 0 { (base / 2) as i64 } else { -1 - (base / 2) as i64 };
        let mut out = vec![];
        while out.len() < n {
            let group = (n - out.len()).min(64);
            let width = usize::from(self.byte()?);
            if width > 64 {
                return None;
            }
            let bits = self.take((group * width).div_ceil(8))?;
            for i in 0..group {
                let bit = |at: usize| u64::from(bits[at / 8] >> (at % 8) & 1);
                let more = (0..width).fold(0, |more, b| more | bit(i * width + b) << b);
                out.push((base as u64).wrapping_add(more) as i64);
            }
        }
        Some(out)
    }

    fn bytes(&mut self, most: usize) -> Option<Vec<u8>> {
        let len = self.size(most)?;
        let packed = self.size(most)?;
        if packed == 0 {
            return Some(self.take(len)?.to_vec());
        }
        zstd::bulk::decompress(self.take(packed)?, len).ok().filter(|bytes| bytes.len() == len)
    }

    fn position(&mut self) -> Option<Position> {
        Some((self.word()?, u32::try_from(self.varint()?).ok()?))
    }

    fn ids(&mut self, n: usize, by_id: bool) -> Option<Vec<Vec<u8>>> {
        match self.byte()? {
            0 => {
                let lengths = self.ints(n)?;
                let bytes = self.bytes(MAX_BLOCK_ID_BYTES)?;
                let mut bytes = Input(&bytes);
                let ids: Option<Vec<_>> = lengths
                    .iter()
                    .map(|l| bytes.take(usize::try_from(*l).ok()?).map(<[u8]>::to_vec))
                    .collect();
                ids.filter(|_| bytes.0.is_empty())
            }
            1 => {
                let bytes = self.bytes(n * 16)?;
                let id = |b: &[u8]| {
                    let hex: String = b.iter().map(|b| format!("{b:02x}")).collect();
                    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
                };
                (bytes.len() == n * 16).then(|| bytes.chunks(16).map(|b| id(b).into_bytes()).collect())
            }
            2 => self.numbered(n, by_id),
            _ => None,
        }
    }

    fn numbered(&mut self, n: usize, by_id: bool) -> Option<Vec<Vec<u8>>> {
        let len = self.size(MAX_USER_ID)?;
        let prefix = self.take(len)?;
        let digits = usize::from(self.byte()?);
        if digits > 18 || n * (len + 18) > MAX_BLOCK_ID_BYTES || (digits > 0 && len + digits > MAX_USER_ID) {
            return None;
        }
        let mut before = 0i64;
        let mut out = vec![];
        for v in self.ints(n)? {
            before = if by_id { before.checked_add(v)? } else { v };
            let text = format!("{before:0digits$}");
            if before < 0 || text.len() > 18 || (digits > 0 && text.len() > digits) {
                return None;
            }
            out.push([prefix, text.as_bytes()].concat());
        }
        Some(out)
    }

    fn facet(&mut self) -> Option<Facet> {
        let kind = self.byte().filter(|k| Kind::ALL.iter().any(|known| *known as u8 == *k))?;
        let channel =
            self.byte().filter(|c| *c == 0 || Channel::ALL.iter().any(|known| *known as u8 == *c))?;
        let machine = self.byte().filter(|m| *m < 2)? == 1;
        let conversion = self.byte()?;
        let mut text = || match self.varint()? {
            0 => Some(None),
            n => Some(Some(std::str::from_utf8(self.take(usize::try_from(n - 1).ok()?)?).ok()?.into())),
        };
        Some((kind, channel, machine, conversion, [text()?, text()?, text()?]))
    }
}

/// The content of these bytes; `None` if they are no block of version 1.
pub fn decode(bytes: &[u8]) -> Option<Content> {
    let mut input = Input(bytes.strip_prefix(b"RKB\x01")?);
    if input.word()? != user_hash(input.0) {
        return None;
    }
    let cover = match input.byte()? {
        0 => None,
        1 => {
            let start = input.position()?;
            let next = match input.byte()? {
                0 => None,
                1 => Some(input.position()?),
                _ => return None,
            };
            Some((start, next))
        }
        _ => return None,
    };
    let n = input.size(MAX_BLOCK_ROWS)?;
    let rows = input.size(MAX_BLOCK_ROWS)?;
    let ids = input.ids(n, cover.is_none())?;
    let rows_of_users = input.ints(n)?;
    let sum: i128 = rows_of_users.iter().map(|n| i128::from(*n)).sum();
    if rows_of_users.iter().any(|n| *n < 1) || sum != rows as i128 {
        return None;
    }
    let facet_count = input.size(rows)?;
    let text = input.bytes(8 << 20)?;
    let mut text = Input(&text);
    let facets = (0..facet_count).map(|_| text.facet()).collect::<Option<Vec<_>>>()?;
    let [numbers, first] = [input.ints(rows)?, input.ints(rows)?];
    let lasts = input.ints(rows)?;
    let lasting = lasts.iter().filter(|l| **l == 1).count();
    let durations = input.ints(lasting)?;
    if !input.0.is_empty() || !text.0.is_empty() || lasts.iter().any(|l| !(0..=1).contains(l)) {
        return None;
    }
    let mut durations = durations.into_iter();
    let mut row = 0;
    let mut users = vec![];
    let mut used = vec![false; facet_count];
    for (id, n) in ids.into_iter().zip(rows_of_users) {
        let mut of = BTreeMap::new();
        for _ in 0..n {
            let facet = usize::try_from(numbers[row]).ok()?;
            let duration = if lasts[row] == 1 { durations.next()? } else { 0 };
            let last = first[row].checked_add(duration)?;
            let follows =
                of.last_key_value().is_none_or(|(before, _)| before < facets.get(facet).unwrap_or(before));
            if !follows || (lasts[row] == 1 && duration < 1) {
                return None;
            }
            *used.get_mut(facet)? = true;
            of.insert(facets[facet].clone(), (first[row], last));
            row += 1;
        }
        users.push((id, of));
    }
    let content = Content { cover, users };
    (used.into_iter().all(|u| u) && facets.is_sorted_by(|a, b| a < b) && content.is_in_order())
        .then_some(content)
}

impl Content {
    fn is_in_order(&self) -> bool {
        let lengths_fit = self.users.iter().all(|(id, _)| (1..=MAX_USER_ID).contains(&id.len()));
        let keys: Vec<(u64, &[u8])> = match self.cover {
            None => self.users.iter().map(|(id, _)| (id.len() as u64, &id[..])).collect(),
            Some(_) => self.users.iter().map(|(id, _)| (user_hash(id), &id[..])).collect(),
        };
        let is_covered = |(start, next): (Position, Option<Position>)| {
            let fits = |hash: u64| match next {
                // A chain of blocks of one user, or of users with one hash. It may start before that hash.
                Some(next) if next.0 == start.0 => hash >= start.0 && keys.iter().all(|(h, _)| *h == hash),
                Some(next) => (start.0..next.0).contains(&hash),
                None => hash >= start.0,
            };
            next.is_none_or(|next| start < next) && keys.iter().all(|(hash, _)| fits(*hash))
        };
        lengths_fit && keys.is_sorted_by(|a, b| a < b) && self.cover.is_none_or(is_covered)
    }
}

//! The pieces blocks are made of: varints, packed integer columns, byte strings. All little endian.

/// The error for bytes that end too soon, or that this version does not write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Truncated;

/// Appends `n` as LEB128: 7 bits a byte, the top bit says that more follow.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Signed to unsigned, small magnitudes first: 0, -1, 1, -2, …
pub(crate) const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) const fn unzigzag(n: u64) -> i64 {
    ((n >> 1) as i64) ^ -((n & 1) as i64)
}

/// Reads the output of the `put_*` functions, and never reads beyond the end.
#[derive(Clone)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Truncated> {
        Ok(self.bytes(1)?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Truncated> {
        let bytes: [u8; 8] = self.bytes(8)?.try_into().map_err(|_| Truncated)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Truncated> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Truncated);
            }
            n |= bits << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(Truncated)
    }

    /// Reads a varint that must not exceed `max`. This bounds every allocation.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, Truncated> {
        let n = usize::try_from(self.varint()?).map_err(|_| Truncated)?;
        if n > max { Err(Truncated) } else { Ok(n) }
    }
}

const GROUP: usize = 64;

/// Appends an integer column: the least value (zigzag varint), then for each 64 values a byte with the width in
/// bits of the widest difference from it, and the differences in that many bits each.
///
/// A single outlier widens its own 64 values only, and a column of equal values costs one bit each eight.
pub(crate) fn put_ints(out: &mut Vec<u8>, values: &[i64]) {
    let Some(&base) = values.iter().min() else {
        return;
    };
    put_varint(out, zigzag(base));
    for group in values.chunks(GROUP) {
        let widest = group.iter().fold(0, |bits, v| bits | v.wrapping_sub(base) as u64);
        let width = 64 - widest.leading_zeros();
        out.push(width as u8);
        let (mut acc, mut filled) = (0u128, 0u32);
        for v in group {
            acc |= u128::from(v.wrapping_sub(base) as u64) << filled;
            filled += width;
            while filled >= 64 {
                out.extend_from_slice(&(acc as u64).to_le_bytes());
                acc >>= 64;
                filled -= 64;
            }
        }
        out.extend_from_slice(&(acc as u64).to_le_bytes()[..filled.div_ceil(8) as usize]);
    }
}

/// Reads a column of `n` integers and calls `each` with every one, in order.
pub(crate) fn read_ints(
    reader: &mut Reader<'_>,
    n: usize,
    mut each: impl FnMut(i64),
) -> Result<(), Truncated> {
    if n == 0 {
        return Ok(());
    }
    let base = unzigzag(reader.varint()?);
    let mut left = n;
    while left > 0 {
        let len = left.min(GROUP);
        left -= len;
        let width = u32::from(reader.byte()?);
        if width > 64 {
            return Err(Truncated);
        }
        let packed = reader.bytes((len * width as usize).div_ceil(8))?;
        if width == 0 {
            for _ in 0..len {
                each(base);
            }
        } else if width <= 56 {
            // At most 7 bits of shift and 56 of width: eight bytes always hold the value.
            let mask = (1u64 << width) - 1;
            let mut padded = [0u8; GROUP * 7 + 8];
            padded[..packed.len()].copy_from_slice(packed);
            for i in 0..len {
                let bit = i * width as usize;
                let word: [u8; 8] = padded[bit / 8..bit / 8 + 8].try_into().map_err(|_| Truncated)?;
                each(base.wrapping_add(((u64::from_le_bytes(word) >> (bit % 8)) & mask) as i64));
            }
        } else {
            let mask = u64::MAX >> (64 - width);
            let mut padded = [0u8; GROUP * 8 + 16];
            padded[..packed.len()].copy_from_slice(packed);
            for i in 0..len {
                let bit = i * width as usize;
                let word: [u8; 16] = padded[bit / 8..bit / 8 + 16].try_into().map_err(|_| Truncated)?;
                each(base.wrapping_add(((u128::from_le_bytes(word) >> (bit % 8)) as u64 & mask) as i64));
            }
        }
    }
    Ok(())
}

/// Reads a column of `n` integers that are all within a byte, eight at a time. `Ok(false)`: they are not all.
pub(crate) fn read_small_ints(
    reader: &mut Reader<'_>,
    n: usize,
    out: &mut Vec<u8>,
) -> Result<bool, Truncated> {
    out.clear();
    if n == 0 {
        return Ok(true);
    }
    let Ok(base) = u8::try_from(unzigzag(reader.varint()?)) else {
        return Ok(false);
    };
    out.resize(n.next_multiple_of(GROUP), base);
    let mut left = n;
    for group in out.as_chunks_mut::<GROUP>().0 {
        let width = usize::from(reader.byte()?);
        if width > 8 || usize::from(base) + (1 << width) - 1 > usize::from(u8::MAX) {
            return Ok(false);
        }
        let size = (left.min(GROUP) * width).div_ceil(8);
        let mut padded = [0; GROUP + 8];
        // Bytes behind the group, where there are some, do no harm.
        let packed = reader.0.first_chunk().filter(|_| left >= GROUP).unwrap_or_else(|| {
            let size = size.min(reader.0.len());
            padded[..size].copy_from_slice(&reader.0[..size]);
            &padded
        });
        reader.bytes(size)?;
        match width {
            0 => {}
            1 => add_packed::<1>(packed, group),
            2 => add_packed::<2>(packed, group),
            3 => add_packed::<3>(packed, group),
            4 => add_packed::<4>(packed, group),
            5 => add_packed::<5>(packed, group),
            6 => add_packed::<6>(packed, group),
            7 => add_packed::<7>(packed, group),
            _ => add_packed::<8>(packed, group),
        }
        left = left.saturating_sub(GROUP);
    }
    out.truncate(n);
    Ok(true)
}

/// Adds to each of a group its value of `WIDTH` bits. Eight values stand in a word and move apart in three steps: four
/// and four, two and two, one and one.
fn add_packed<const WIDTH: usize>(packed: &[u8; GROUP + 8], group: &mut [u8; GROUP]) {
    let bits = |n: usize| u64::MAX >> (64 - n);
    let fours = bits(4 * WIDTH);
    let twos = bits(2 * WIDTH) * 0x0000_0001_0000_0001;
    let ones = bits(WIDTH) * 0x0001_0001_0001_0001;
    for (i, eight) in group.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let mut word = [0; 8];
        word.copy_from_slice(&packed[i * WIDTH..i * WIDTH + 8]);
        let word = u64::from_le_bytes(word);
        let word = (word & fours) | (word >> (4 * WIDTH) & fours) << 32;
        let word = (word & twos) | (word >> (2 * WIDTH) & twos) << 16;
        let word = (word & ones) | (word >> WIDTH & ones) << 8;
        *eight = u64::from_le_bytes(*eight).wrapping_add(word).to_le_bytes();
    }
}

/// Skips a column of `n` integers.
pub(crate) fn skip_ints(reader: &mut Reader<'_>, n: usize) -> Result<(), Truncated> {
    if n > 0 {
        reader.varint()?;
    }
    for from in (0..n).step_by(GROUP) {
        let width = usize::from(reader.byte()?);
        reader.bytes(((n - from).min(GROUP) * width).div_ceil(8))?;
    }
    Ok(())
}

/// Skips the output of [`put_bytes`].
pub(crate) fn skip_bytes(reader: &mut Reader<'_>, max: usize) -> Result<(), Truncated> {
    let len = reader.count(max)?;
    let packed = reader.count(max)?;
    reader.bytes(if packed == 0 { len } else { packed })?;
    Ok(())
}

const ZSTD_LEVEL: i32 = 3;

/// Appends bytes: their length, then the length as compressed by zstd (0: stored as they are), then the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    // Below some 64 bytes a frame's header costs more than it saves.
    let packed = if bytes.len() < 64 { None } else { zstd::bulk::compress(bytes, ZSTD_LEVEL).ok() };
    match packed.filter(|p| p.len() + bytes.len() / 64 < bytes.len()) {
        Some(packed) => {
            put_varint(out, packed.len() as u64);
            out.extend_from_slice(&packed);
        }
        None => {
            put_varint(out, 0);
            out.extend_from_slice(bytes);
        }
    }
}

/// Reads the output of [`put_bytes`], of at most `max` bytes.
pub(crate) fn read_bytes<'a>(
    reader: &mut Reader<'a>,
    max: usize,
) -> Result<std::borrow::Cow<'a, [u8]>, Truncated> {
    let len = reader.count(max)?;
    match reader.count(max)? {
        0 => reader.bytes(len).map(Into::into),
        packed => {
            let bytes = zstd::bulk::decompress(reader.bytes(packed)?, len).map_err(|_| Truncated)?;
            if bytes.len() == len { Ok(bytes.into()) } else { Err(Truncated) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ints_round_trip(
            values in prop::collection::vec(prop_oneof![any::<i64>(), -5i64..5, 1_700_000_000_000i64..1_700_000_060_000], 0..300)
        ) {
            let mut out = vec![];
            put_ints(&mut out, &values);
            let mut reader = Reader(&out);
            let mut back = vec![];
            read_ints(&mut reader, values.len(), |v| back.push(v)).unwrap();
            prop_assert_eq!(&values, &back);
            prop_assert!(reader.0.is_empty());
            let mut skipped = Reader(&out);
            skip_ints(&mut skipped, values.len()).unwrap();
            prop_assert!(skipped.0.is_empty());
            for cut in 0..out.len().min(40) {
                prop_assert!(read_ints(&mut Reader(&out[..cut]), values.len(), |_| ()).is_err());
            }
        }

        #[test]
        fn small_ints_round_trip(values in (0u8..=255, 0u8..=255).prop_flat_map(|(a, b)| prop::collection::vec(a.min(b)..=a.max(b), 0..300))) {
            let mut out = vec![];
            put_ints(&mut out, &values.iter().map(|v| i64::from(*v)).collect::<Vec<_>>());
            let mut reader = Reader(&out);
            let mut back = vec![];
            // A width may allow values that do not fit a byte, though all values that are there do.
            if read_small_ints(&mut reader, values.len(), &mut back).unwrap() {
                prop_assert_eq!(&values, &back);
                prop_assert!(reader.0.is_empty());
            } else {
                prop_assert!(values.iter().any(|v| *v >= 128));
            }
            for cut in 0..out.len().min(40) {
                prop_assert!(!matches!(read_small_ints(&mut Reader(&out[..cut]), values.len(), &mut back), Ok(true)));
            }
        }

        #[test]
        fn varints_round_trip(n: u64, signed: i64) {
            let mut out = vec![];
            put_varint(&mut out, n);
            prop_assert_eq!(Reader(&out).varint().unwrap(), n);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }

        #[test]
        fn bytes_round_trip(bytes: Vec<u8>, repeat in 1usize..20) {
            let bytes = bytes.repeat(repeat);
            let mut out = vec![];
            put_bytes(&mut out, &bytes);
            let back = read_bytes(&mut Reader(&out), bytes.len()).unwrap();
            prop_assert_eq!(back.as_ref(), &bytes[..]);
            let mut skipped = Reader(&out);
            skip_bytes(&mut skipped, bytes.len()).unwrap();
            prop_assert!(skipped.0.is_empty());
        }
    }
}

//! Parts of cold copies as Parquet: an open format, since other programs must read them in ten years, too.
//!
//! A file has one row for each user and facet, sorted by user hash (XXH3-64 of `user_id`), then by `user_id`. It is
//! compressed with zstd and holds no lifecycle state. The archive of a ledger consists of the files of all its runs.
//! Where several files have a row of the same user and facet, they together mean one row, from the least `first_at`
//! to the greatest `last_at`. `tests/outside/archive/check.py` reads an archive in this way, with pyarrow and with DuckDB.
//!
//! Every call may answer [`ArchiveError`].

use parquet::{
    basic::Compression,
    column::reader::ColumnReader,
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        reader::{FileReader, RowGroupReader, SerializedFileReader},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    rows::{Dictionary, Row, Rows, user_hash},
};
use std::sync::Arc;

/// The schema, a part of the stored format. Columns may be added; the meaning of a column may never change.
pub const SCHEMA: &str = "message interactions {
    required binary user_id (UTF8);
    required binary kind (UTF8);
    optional binary channel (UTF8);
    optional binary variant (UTF8);
    optional binary step (UTF8);
    optional binary alias (UTF8);
    optional int32 conversion;
    required boolean machine;
    required int64 first_at (TIMESTAMP(MILLIS,true));
    required int64 last_at (TIMESTAMP(MILLIS,true));
}";

/// A row group is ended with the user who brings it to this many rows.
const ROW_GROUP_ROWS: usize = 65_536;

/// The error for bytes that are not an archive part.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The `parquet` crate cannot read or write it.
    #[error("not readable as Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// The file is Parquet, but its content is not that of an archive part.
    #[error("{0}")]
    Content(String),
}

/// Writes rows as one Parquet file.
pub struct PartWriter {
    file: SerializedFileWriter<Vec<u8>>,
    user_ids: Vec<ByteArray>,
    rows: Vec<Row>,
    facets: Vec<Facet>,
}

impl PartWriter {
    /// Begins an empty file.
    pub fn new() -> Result<Self, ArchiveError> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(Default::default()))
            .set_column_dictionary_enabled(ColumnPath::from("user_id"), false)
            .set_column_dictionary_enabled(ColumnPath::from("first_at"), false)
            .set_column_dictionary_enabled(ColumnPath::from("last_at"), false)
            .build();
        let file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        Ok(Self { file, user_ids: Vec::new(), rows: Vec::new(), facets: Vec::new() })
    }

    /// Appends a user with its rows; users come in the order of the file. `facets` is the dictionary of the rows;
    /// from call to call it may only grow.
    pub fn push(&mut self, id: &[u8], rows: &[Row], facets: &[Facet]) -> Result<(), ArchiveError> {
        self.facets.extend_from_slice(&facets[self.facets.len()..]);
        let id = ByteArray::from(id.to_vec());
        self.user_ids.extend(std::iter::repeat_n(id, rows.len()));
        self.rows.extend_from_slice(rows);
        if self.rows.len() >= ROW_GROUP_ROWS { self.flush() } else { Ok(()) }
    }

    /// Ends the file; returns its bytes.
    pub fn finish(mut self) -> Result<Vec<u8>, ArchiveError> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        Ok(self.file.into_inner()?)
    }

    fn flush(&mut self) -> Result<(), ArchiveError> {
        let rows = std::mem::take(&mut self.rows);
        let facets: Vec<&Facet> = rows.iter().map(|r| &self.facets[r.facet as usize]).collect();
        let mut group = self.file.next_row_group()?;
        write::<ByteArrayType>(&mut group, &std::mem::take(&mut self.user_ids), None)?;
        let kinds: Vec<ByteArray> = facets.iter().map(|f| f.kind.as_str().into()).collect();
        write::<ByteArrayType>(&mut group, &kinds, None)?;
        write_texts(&mut group, facets.iter().map(|f| f.channel.map(Channel::as_str)))?;
        write_texts(&mut group, facets.iter().map(|f| f.variant.as_deref()))?;
        write_texts(&mut group, facets.iter().map(|f| f.step.as_deref()))?;
        write_texts(&mut group, facets.iter().map(|f| f.alias.as_deref()))?;
        let is_conversion = |f: &&Facet| f.kind == Kind::Converted;
        let conversions: Vec<i32> =
            facets.iter().copied().filter(is_conversion).map(|f| i32::from(f.conversion)).collect();
        let levels: Vec<i16> = facets.iter().map(|f| i16::from(is_conversion(f))).collect();
        write::<Int32Type>(&mut group, &conversions, Some(&levels))?;
        let machine: Vec<bool> = facets.iter().map(|f| f.machine).collect();
        write::<BoolType>(&mut group, &machine, None)?;
        let first: Vec<i64> = rows.iter().map(|r| r.first_at).collect();
        write::<Int64Type>(&mut group, &first, None)?;
        let last: Vec<i64> = rows.iter().map(|r| r.last_at).collect();
        write::<Int64Type>(&mut group, &last, None)?;
        group.close()?;
        Ok(())
    }
}

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

fn write<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ArchiveError> {
    let column = group.next_column()?;
    let mut column =
        column.ok_or_else(|| ArchiveError::Content("the schema has no further column".to_owned()))?;
    column.typed::<T>().write_batch(values, levels, None)?;
    Ok(column.close()?)
}

fn write_texts<'a>(
    group: &mut Group<'_>,
    texts: impl Iterator<Item = Option<&'a str>>,
) -> Result<(), ArchiveError> {
    let texts: Vec<Option<&str>> = texts.collect();
    let levels: Vec<i16> = texts.iter().map(|t| i16::from(t.is_some())).collect();
    let values: Vec<ByteArray> = texts.into_iter().flatten().map(ByteArray::from).collect();
    write::<ByteArrayType>(group, &values, Some(&levels))
}

/// Reads a part, a row group at a time.
pub struct PartReader {
    file: SerializedFileReader<bytes::Bytes>,
    next: usize,
}

impl PartReader {
    /// Opens a file from all its bytes.
    pub fn new(bytes: bytes::Bytes) -> Result<Self, ArchiveError> {
        let file = guarded(|| Ok(SerializedFileReader::new(bytes)?))?;
        Ok(Self { file, next: 0 })
    }

    /// The rows of the next row group, with all rows of each user; `None` after the last group.
    pub fn next_rows(&mut self) -> Result<Option<Rows>, ArchiveError> {
        if self.next == self.file.num_row_groups() {
            return Ok(None);
        }
        let next = self.next;
        self.next += 1;
        guarded(|| read_group(self.file.get_row_group(next)?.as_ref()).map(Some))
    }
}

/// Turns a panic into an error: the `parquet` crate panics on some corrupt files (apache/arrow-rs#9742).
fn guarded<T>(read: impl FnOnce() -> Result<T, ArchiveError>) -> Result<T, ArchiveError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ArchiveError::Content("its content makes no sense".to_owned())))
}

/// Reads a column of a row group: its values, and for an optional column a level for each row, which is 0 where the
/// row has no value.
fn read<T: DataType>(
    group: &dyn RowGroupReader,
    column: usize,
) -> Result<(Vec<T::T>, Vec<i16>), ArchiveError> {
    let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    let reader: ColumnReader = group.get_column_reader(column)?;
    let mut reader = parquet::column::reader::get_typed_column_reader::<T>(reader);
    let (mut values, mut levels) = (Vec::with_capacity(rows.min(2 * ROW_GROUP_ROWS)), Vec::new());
    let mut done = 0;
    while done < rows {
        let (records, ..) = reader.read_records(rows - done, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(ArchiveError::Content(format!("column {column} is shorter than its row group")));
        }
        done += records;
    }
    Ok((values, levels))
}

fn text(bytes: &ByteArray) -> Result<&str, ArchiveError> {
    bytes.as_utf8().map_err(|_| ArchiveError::Content("a text is not UTF-8".to_owned()))
}

/// Reads an optional text column: an entry for each row.
fn read_texts(group: &dyn RowGroupReader, column: usize) -> Result<Vec<Option<ByteArray>>, ArchiveError> {
    let (values, levels) = read::<ByteArrayType>(group, column)?;
    let mut values = values.into_iter();
    Ok(levels.iter().map(|l| if *l > 0 { values.next() } else { None }).collect())
}

fn read_group(group: &dyn RowGroupReader) -> Result<Rows, ArchiveError> {
    let content = |what: String| ArchiveError::Content(what);
    let schema = parse_message_type(SCHEMA)?;
    let columns = group.metadata().columns();
    for (field, column) in schema.get_fields().iter().zip(columns) {
        if column.column_path().string() != field.name() || column.column_type() != field.get_physical_type()
        {
            return Err(content(format!("column `{}` is not where it should be", field.name())));
        }
    }
    if columns.len() < schema.get_fields().len() {
        return Err(content("columns are missing".to_owned()));
    }
    let (ids, _) = read::<ByteArrayType>(group, 0)?;
    let (kinds, _) = read::<ByteArrayType>(group, 1)?;
    let optional = [2, 3, 4, 5].map(|column| read_texts(group, column));
    let [channels, variants, steps, aliases] = optional;
    let (channels, variants, steps, aliases) = (channels?, variants?, steps?, aliases?);
    let (conversions, conversion_levels) = read::<Int32Type>(group, 6)?;
    let mut conversions = conversions.into_iter();
    let (machine, _) = read::<BoolType>(group, 7)?;
    let (first, _) = read::<Int64Type>(group, 8)?;
    let (last, _) = read::<Int64Type>(group, 9)?;
    let mut dictionary = Dictionary::default();
    let mut out = Rows::default();
    let mut pending: Vec<Row> = Vec::new();
    for i in 0..ids.len() {
        let kind = text(&kinds[i])?;
        let kind = Kind::from_name(kind).ok_or_else(|| content(format!("unknown kind `{kind}`")))?;
        let channel = channels[i].as_ref().map(text).transpose()?;
        let channel = channel
            .map(|c| Channel::from_name(c).ok_or_else(|| content(format!("unknown channel `{c}`"))))
            .transpose()?;
        let boxed = |t: &Option<ByteArray>| t.as_ref().map(text).transpose().map(|t| t.map(Box::from));
        let conversion = if conversion_levels[i] > 0 { conversions.next().unwrap_or(0) } else { 0 };
        let facet = Facet {
            kind,
            channel,
            machine: machine[i],
            conversion: u8::try_from(conversion)
                .map_err(|_| content("a conversion is out of range".to_owned()))?,
            variant: boxed(&variants[i])?,
            step: boxed(&steps[i])?,
            alias: boxed(&aliases[i])?,
        };
        pending.push(Row { facet: dictionary.number(&facet), first_at: first[i], last_at: last[i] });
        if ids.get(i + 1).is_none_or(|next| next.data() != ids[i].data()) {
            let (hash, id) = (user_hash(ids[i].data()), ids[i].data());
            // Damage can leave a file readable but out of order. It is reported here, where the file is read, before a
            // copy of the rows carries it on.
            if let Some(last) = out.len().checked_sub(1).map(|last| out.user(last))
                && (last.hash, last.id) >= (hash, id)
            {
                return Err(content("its users are out of order".to_owned()));
            }
            out.push(hash, id, &pending);
            pending.clear();
        }
    }
    out.facets = dictionary.into_facets();
    Ok(out)
}

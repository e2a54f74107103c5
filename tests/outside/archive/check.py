"""Reads archives with pyarrow and with DuckDB, and compares them with the posted interactions.

`check.py FOLDER`: the folder has `archive/…/*.parquet`, as the system wrote them, and `posted/CAMPAIGN.ndjson`. The expected
rows are computed here from the interactions alone: one for each user and facet, with the first and the last time. At any
difference the program names the row and exits with 1.
"""

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.parquet
import xxhash

COLUMNS = ["user_id", "kind", "channel", "variant", "step", "alias", "conversion", "machine", "first_at", "last_at"]
TIME = pyarrow.timestamp("ms", tz="UTC")
# Name, type, and whether it may be null.
ARROW_SCHEMA = [
    ("user_id", pyarrow.string(), False),
    ("kind", pyarrow.string(), False),
    ("channel", pyarrow.string(), True),
    ("variant", pyarrow.string(), True),
    ("step", pyarrow.string(), True),
    ("alias", pyarrow.string(), True),
    ("conversion", pyarrow.int32(), True),
    ("machine", pyarrow.bool_(), False),
    ("first_at", TIME, False),
    ("last_at", TIME, False),
]
DUCKDB_SCHEMA = [
    *[(name, "VARCHAR") for name in COLUMNS[:6]],
    ("conversion", "INTEGER"),
    ("machine", "BOOLEAN"),
    ("first_at", "TIMESTAMP WITH TIME ZONE"),
    ("last_at", "TIMESTAMP WITH TIME ZONE"),
]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def fail(what):
    print(f"FAILED: {what}")
    sys.exit(1)


def millis(time):
    if isinstance(time, int):
        return time
    since = datetime.fromisoformat(time) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def facet(item):
    """The values of the archive's columns from `kind` to `machine` for an interaction."""
    kind = item["type"]
    if kind == "bounced":
        kind = {"hard": "hard_bounced", "soft": "soft_bounced"}[item["bounce"]]
    conversion = (item.get("conversion") or 0) if kind == "converted" else None
    machine = bool(item.get("machine"))
    return (kind, item.get("channel"), item.get("variant_id"), None, item.get("link_alias"), conversion, machine)


def merged(rows):
    """Rows by user and facet, with the earliest first and the latest last time. Rows of several runs merge as interactions do."""
    out = {}
    for *key, first, last in rows:
        key = tuple(key)
        before = out.get(key)
        out[key] = (first, last) if before is None else (min(before[0], first), max(before[1], last))
    return out


def posted(file):
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            at = millis(item["time"])
            yield (item["user_id"], *facet(item), at, at)


def compare(what, found, expected):
    for name, only in [("lacks", expected.keys() - found.keys()), ("makes up", found.keys() - expected.keys())]:
        if only:
            fail(f"{what} {name} {len(only)} rows, such as {sorted(only, key=repr)[0]!r}")
    for key, times in expected.items():
        if found[key] != times:
            fail(f"{what}: {key!r} has the times {found[key]}, not {times}")


def position(user):
    data = user.encode()
    return (xxhash.xxh3_64_intdigest(data), data)


def read_with_pyarrow(file):
    parquet = pyarrow.parquet.ParquetFile(file)
    schema = [(f.name, f.type, f.nullable) for f in parquet.schema_arrow]
    if schema != ARROW_SCHEMA:
        fail(f"{file}: pyarrow sees the schema {schema}")
    metadata = parquet.metadata
    for group in range(metadata.num_row_groups):
        codecs = {metadata.row_group(group).column(c).compression for c in range(metadata.num_columns)}
        if codecs != {"ZSTD"}:
            fail(f"{file}: row group {group} is compressed by {codecs}")
    table = parquet.read()
    columns = [table.column(name) for name in COLUMNS[:8]]
    columns += [table.column(name).cast(pyarrow.int64()) for name in COLUMNS[8:]]
    return list(zip(*[column.to_pylist() for column in columns]))


def read_with_duckdb(database, files):
    files = [str(file) for file in files]
    source = f"read_parquet({files!r})"
    schema = [row[:2] for row in database.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    if schema != DUCKDB_SCHEMA:
        fail(f"DuckDB sees the schema {schema}")
    times = ", ".join(f"epoch_ms({name})" for name in COLUMNS[8:])
    return database.sql(f"SELECT {', '.join(COLUMNS[:8])}, {times} FROM {source}").fetchall()


def check_order(file, rows):
    """Checks the order of rows: by user hash, then id; a user's rows stand together, none twice."""
    users = [rows[0][0], *[b[0] for a, b in zip(rows, rows[1:]) if a[0] != b[0]]]
    positions = [position(user) for user in users]
    for before, after in zip(positions, positions[1:]):
        if before >= after:
            fail(f"{file}: {after[1]!r} stands behind {before[1]!r}")
    if len({row[:8] for row in rows}) != len(rows):
        fail(f"{file}: a row stands twice")
    return positions[0], positions[-1]


def check(folder, campaign, database):
    files = sorted(folder.glob(f"archive/campaign/{campaign}/*/*/*.parquet"))
    if not files:
        fail(f"{campaign} has no archive")
    expected = merged(posted(folder / "posted" / f"{campaign}.ndjson"))
    by_arrow, ends = [], {}
    for file in files:
        rows = read_with_pyarrow(file)
        first, last = check_order(file, rows)
        # The slots of a copy follow each other in the same order.
        copy = file.parent.parent
        if copy in ends and ends[copy] >= first:
            fail(f"{file}: begins before the slot before it ends")
        ends[copy] = last
        by_arrow += rows
    compare(f"{campaign}: pyarrow", merged(by_arrow), expected)
    by_duckdb = read_with_duckdb(database, files)
    compare(f"{campaign}: DuckDB", merged(by_duckdb), expected)
    if sorted(by_arrow, key=repr) != sorted(by_duckdb, key=repr):
        fail(f"{campaign}: pyarrow and DuckDB do not read the same rows")
    print(f"{campaign}: {len(by_arrow)} rows in {len(files)} objects, {len(expected)} users and facets, as posted")


def main():
    folder = Path(sys.argv[1])
    campaigns = sorted(file.stem for file in folder.glob("posted/*.ndjson"))
    if not campaigns:
        fail("nothing was posted")
    database = duckdb.connect()
    for campaign in campaigns:
        check(folder, campaign, database)
    print(f"read with pyarrow {pyarrow.__version__} and DuckDB {duckdb.__version__}")


main()

"""Counts the users who received and did not click, in DuckDB: python duckdb.py DIRECTORY THREADS ROUNDS

DIRECTORY has received.csv and clicked.csv. Prints the count and the best time over a native table and over Parquet.
"""

import json
import sys
import time
from pathlib import Path

# Python would import this file, which has the module's name.
sys.path.pop(0)
import duckdb  # noqa: E402

QUESTION = "SELECT count(*) FROM {received} AS r ANTI JOIN {clicked} AS c USING (user_id)"


def best(db, question, rounds):
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        (count,) = db.execute(question).fetchone()
        times.append(time.perf_counter() - begun)
    return count, min(times)


def main():
    directory, threads, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    db = duckdb.connect(":memory:")
    db.execute(f"SET threads = {threads}")
    for kind in ("received", "clicked"):
        db.execute(
            f"CREATE OR REPLACE TABLE {kind} AS SELECT user_id, min(first_at) AS first_at, max(last_at) AS last_at "
            f"FROM read_csv('{directory}/{kind}.csv', columns = {{'user_id': 'VARCHAR', 'first_at': 'BIGINT', "
            f"'last_at': 'BIGINT'}}, header = true) GROUP BY user_id"
        )
        db.execute(f"COPY {kind} TO '{directory}/{kind}.parquet' (FORMAT parquet, COMPRESSION zstd)")
    count, native = best(db, QUESTION.format(received="received", clicked="clicked"), rounds)
    files = {kind: f"'{directory}/{kind}.parquet'" for kind in ("received", "clicked")}
    same, parquet = best(db, QUESTION.format(**files), rounds)
    assert count == same
    print(
        json.dumps(
            {
                "version": duckdb.__version__,
                "count": count,
                "native_seconds": native,
                "parquet_seconds": parquet,
            }
        )
    )


main()

"""Prints the sizes of the functions, zipped as `sam deploy` does it. A cold start loads all of a function.

`sizes.py FOLDER`: FOLDER is the one that `sam build` wrote. Exits with 1 if a function is larger than its limit.
"""

import io
import sys
import zipfile
from pathlib import Path

# In megabytes (1,000,000 bytes). Functions with Parquet may be larger.
LIMITS = {
    "IngestFunction": 4.0,
    "ApiFunction": 6.0,
    "ConsoleFunction": 6.0,
    "SweeperFunction": 10.0,
    "CompactorFunction": 6.0,
    "RestorerFunction": 10.0,
    "NotifierFunction": 6.0,
}


def zipped(file):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.write(file, "bootstrap")
    return archive.tell() / 1e6


def main():
    is_fine = True
    for function, limit in LIMITS.items():
        size = zipped(Path(sys.argv[1]) / function / "bootstrap")
        is_fine &= size < limit
        print(f"{function}: {size:.2f} MB zipped, {'under' if size < limit else 'NOT UNDER'} {limit} MB")
    sys.exit(0 if is_fine else 1)


main()

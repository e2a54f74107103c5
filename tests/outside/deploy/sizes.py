"""How large the functions are, zipped as `sam deploy` does it: a cold start loads all of that.

`sizes.py FOLDER`: what `sam build` wrote. Ends with 1 where one is larger than it may be.
"""

import io
import sys
import zipfile
from pathlib import Path

# Megabytes (1,000,000 bytes). Those with Parquet may have more.
LIMITS = {
    "IngestFunction": 4.0,
    "ApiFunction": 6.0,
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

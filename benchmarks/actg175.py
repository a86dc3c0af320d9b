"""Take the table of ACTG 175 from the wheel of lifelines 0.30.3, as it is shipped in book/data/actg175.

    python benchmarks/actg175.py [--wheel lifelines-0.30.3-py3-none-any.whl] [--to book/data/actg175/actg175.csv]

Without a wheel, uv is asked to fetch it from PyPI. Wheel and table must have the recorded digests; lifelines itself is
neither installed nor imported (it wants an older pandas than the book).
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from hte_utils.trial.actg175 import DIGEST

WHEEL_DIGEST = "44802480a28d6cb836c7fea4a54ec0ba220eb31c6d7444589637a8bd66066e8c"
MEMBER = "lifelines/datasets/ACTG175.csv"
SHIPPED = Path(__file__).parents[1] / "book" / "data" / "actg175" / "actg175.csv"


def downloaded(folder: Path) -> Path:
    """Download the wheel with pip, without what it depends on."""
    pip = ["uv", "tool", "run", "--from", "pip", "pip", "download"]
    subprocess.run([*pip, "lifelines==0.30.3", "--no-deps", "--dest", str(folder)], check=True)
    return next(folder.glob("lifelines-0.30.3-*.whl"))


def checked(what: str, content: bytes, expected: str) -> bytes:
    """Stop unless the content has this SHA-256."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        sys.exit(f"{what} has the SHA-256 {found}, not {expected}: it is not the one that was recorded")
    return content


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--to", type=Path, default=SHIPPED)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = options.wheel or downloaded(Path(folder))
        checked("the wheel", wheel.read_bytes(), WHEEL_DIGEST)
        with zipfile.ZipFile(wheel) as archive:
            table = checked("its table", archive.read(MEMBER), DIGEST)
    options.to.parent.mkdir(parents=True, exist_ok=True)
    options.to.write_bytes(table)
    print(f"{options.to}: {len(table)} bytes")


if __name__ == "__main__":
    main()

"""`python -m remit.codegen [--check]`: writes everything that is generated, or tells what is out of date."""

import argparse
import sys
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path

from remit.codegen.products import products

ROOT = Path(__file__).resolve().parents[3]


def present(path: str) -> str:
    """Return the present text of a file, empty when there is none."""
    file = ROOT / path
    return file.read_text() if file.exists() else ""


def stale() -> dict[str, str]:
    """Return the files whose text is not what it should be, with what it should be."""
    return {path: text for path, text in products(present).items() if present(path) != text}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what is stale; with --check, print the difference instead and fail."""
    parser = argparse.ArgumentParser(prog="remit.codegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when something is out of date")
    check = parser.parse_args(arguments).check
    wanted = stale()
    for path, text in wanted.items():
        if check:
            old, new = present(path).splitlines(keepends=True), text.splitlines(keepends=True)
            sys.stdout.writelines(unified_diff(old, new, path, f"{path} (generated)"))
            continue
        file = ROOT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        print(f"wrote {path}")
    if check and wanted:
        print("out of date: run `make generate`")
    return int(check and bool(wanted))


if __name__ == "__main__":
    sys.exit(main())

"""Runs the checks that run no test, all of them, and fails when one fails."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

# The slowest first; the others run beside it.
CHECKS: dict[str, tuple[str, ...]] = {
    "types": (f"{BIN}/mypy",),
    "format": (f"{BIN}/ruff", "format", "--check", "--quiet", "."),
    "lint": (f"{BIN}/ruff", "check", "--quiet", "."),
    "layers": (f"{BIN}/lint-imports", "--no-logo"),
    "generated": (sys.executable, "-m", "remit.codegen", "--check"),
}


def run(name: str, command: tuple[str, ...]) -> bool:
    """Run one check; print its output only when it fails."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    took = time.monotonic() - started
    said = "" if done.returncode == 0 else f"\n{done.stdout}{done.stderr}"
    print(f"{'FAIL' if said else 'ok  '} {name} ({took:.1f} s){said}", flush=True)
    return done.returncode == 0


def main() -> int:
    """Run every check, also after a failure, so that one run shows all there is to do."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(run, CHECKS.keys(), CHECKS.values()))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

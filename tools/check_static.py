"""Runs the checks that run no test, all of them, and fails when one fails."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS: dict[str, tuple[str, ...]] = {
    "format": (f"{BIN}/ruff", "format", "--check", "--quiet", "."),
    "lint": (f"{BIN}/ruff", "check", "--quiet", "."),
    "types": (f"{BIN}/mypy",),
    "layers": (f"{BIN}/lint-imports", "--no-logo"),
    "generated": (sys.executable, "-m", "remit.codegen", "--check"),
}


def run(name: str, command: tuple[str, ...]) -> bool:
    """Run one check; print its output only when it fails."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    took = time.monotonic() - started
    print(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {name} ({took:.1f} s)", flush=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr, flush=True)
    return done.returncode == 0


def main() -> int:
    """Run every check, also after a failure, so that one run shows all there is to do."""
    results = [run(name, command) for name, command in CHECKS.items()]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

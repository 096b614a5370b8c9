"""Runs campaigns one after another, says what each came to, and fails when one found a violation.

A campaign is a module of this package with `async def main(arguments: Arguments) -> int`: it prints its counts and
returns how many violations it found.
"""

import argparse
import asyncio
import importlib
import pkgutil
import random
import shutil
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import campaigns


@dataclass(frozen=True)
class Arguments:
    """What every campaign is told."""

    seed: int
    short: bool = False
    prove: bool = False
    """Whether only the campaign itself is tried, on planted bugs."""
    jobs: int = 4
    """How many worlds a campaign may keep going at the same time."""
    minutes: float = 0.0
    ends_at: float = float("inf")
    """When to begin nothing more, by the monotonic clock: what was played by then is counted."""
    told: list[str] = field(default_factory=list)
    """What the campaign came to, line by line."""

    def has_ended(self) -> bool:
        """Tell whether the time given for it has passed."""
        return self.is_over

    @property
    def is_over(self) -> bool:
        """Whether the time given for it has passed."""
        return time.monotonic() > self.ends_at

    def say(self, *lines: str) -> None:
        """Print lines, and keep them."""
        for line in lines:
            print(line, flush=True)
        self.told.extend(lines)


BUILD = Path(__file__).resolve().parent.parent / "build" / "campaigns"


def logs(name: str) -> Path:
    """Return an empty folder for the logs of a campaign's processes; they are kept until its next run."""
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


Main = Callable[[Arguments], Coroutine[Any, Any, int]]


@dataclass(frozen=True)
class Outcome:
    """What one campaign came to."""

    name: str
    violations: int
    seconds: float

    def line(self) -> str:
        """Say it in one line."""
        word = "ok" if self.violations == 0 else f"{self.violations} violations"
        return f"{self.name:<20}{word:>16}{self.seconds:>10.0f} s"


def find() -> dict[str, Main]:
    """Return the campaigns by name; a module without `main` is part of others."""
    found: dict[str, Main] = {}
    for module in pkgutil.iter_modules(campaigns.__path__):
        if module.ispkg:
            continue
        loaded = importlib.import_module(f"campaigns.{module.name}")
        if asyncio.iscoroutinefunction(getattr(loaded, "main", None)):
            found[module.name.replace("_", "-")] = cast("Main", loaded.main)
    return found


def parse(given: Sequence[str], known: Sequence[str]) -> tuple[Arguments, list[str]]:
    """Read the command line; returns what campaigns are told, and which of them are wanted."""
    parser = argparse.ArgumentParser(prog="make campaign ARGS=...", description=campaigns.__doc__)
    parser.add_argument("--short", action="store_true", help="the form that `make test` runs")
    parser.add_argument("--prove", action="store_true", help="only the planted bugs: does the campaign catch them?")
    parser.add_argument("--seed", type=int, help="repeat what an earlier run did")
    parser.add_argument("--jobs", type=int, default=4, help="worlds at the same time (default 4)")
    parser.add_argument("--minutes", type=float, help="begin nothing more after so long, in each campaign")
    parser.add_argument("--only", action="append", choices=known, metavar="NAME", help=f"one of {', '.join(known)}")
    read = parser.parse_args(given)
    seed = read.seed if read.seed is not None else random.SystemRandom().randrange(2**31)
    told = Arguments(seed, read.short, read.prove, max(1, read.jobs), minutes=read.minutes or 0.0)
    return told, read.only or list(known)


def run(wanted: Mapping[str, Main], arguments: Arguments) -> list[Outcome]:
    """Run them all, also after one has failed."""
    outcomes: list[Outcome] = []
    for name, main in wanted.items():
        form = " --short" if arguments.short else ""
        print(f"== {name}: --seed {arguments.seed}{form}", flush=True)
        began = time.monotonic()
        ends_at = began + 60 * arguments.minutes if arguments.minutes else float("inf")
        violations = asyncio.run(_guarded(main)(replace(arguments, ends_at=ends_at, told=[])))
        outcomes.append(Outcome(name, violations, time.monotonic() - began))
    return outcomes


def _guarded(main: Main) -> Main:
    """Count a campaign that breaks off as one violation: the next one still gets its turn."""

    async def guarded(arguments: Arguments) -> int:
        try:
            return await main(arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, the campaign did not do its work
            traceback.print_exception(error)
            return 1

    return guarded


def command(given: Sequence[str]) -> int:
    """Run what the command line asks for; 1 when there was a violation."""
    known = find()
    arguments, names = parse(given, list(known))
    outcomes = run({name: known[name] for name in names}, arguments)
    print()
    for outcome in outcomes:
        print(outcome.line())
    violations = sum(outcome.violations for outcome in outcomes)
    print(f"{len(outcomes)} campaigns, {violations} violations, seed {arguments.seed}")
    return 1 if violations else 0

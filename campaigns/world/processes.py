"""Our own programs as processes of a campaign: forked from one that has imported everything, so a start costs little.

A planted bug is put into the forked process before its program runs; the product knows nothing of it.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from campaigns import plants

PRELOADED = ["campaigns.world.processes", "remit.controller.__main__", "remit.gateway.__main__"]
ROOT = Path(__file__).resolve().parents[2]


def forkserver() -> "multiprocessing.context.ForkServerContext":
    """Return the context that forks; whatever starts it must find this package."""
    context = multiprocessing.get_context("forkserver")
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(ROOT) not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "operator"), *filter(None, known)])
    context.set_forkserver_preload(PRELOADED)
    return context


def enter(program: str, environment: Mapping[str, str], log: str, plant: str) -> None:
    """Become the program: in the forked process."""
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.environ.update(environment)
    plants.put(plant)
    if program == "gateway":
        from remit.gateway.__main__ import main as serve  # noqa: PLC0415 - in the child only

        serve()
        return
    from remit.controller.__main__ import main as control  # noqa: PLC0415 - in the child only

    sys.exit(control())


@dataclass
class Program:
    """One program of ours; it may be started again after its end."""

    name: str
    environment: dict[str, str]
    log: Path
    plant: str = ""
    process: BaseProcess | None = None
    starts: int = 0
    context: "multiprocessing.context.ForkServerContext" = field(default_factory=forkserver)

    def start(self) -> None:
        """Start it."""
        environment = {"CAMPAIGN_START": str(self.starts + 1), **self.environment}
        arguments = (self.name, environment, str(self.log), self.plant)
        self.process = self.context.Process(target=enter, args=arguments, daemon=True)
        self.process.start()
        self.starts += 1

    def kill(self) -> None:
        """End it without a word, as a lost node does."""
        if self.process is not None:
            self.process.kill()
            self.process.join()

    def end(self) -> int | None:
        """Ask it to end; returns its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        self.process.join(20)
        if self.process.is_alive():
            self.kill()
        return self.process.exitcode

    def pause(self) -> None:
        """Stop it where it stands; its connections stay."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.pid is not None:
            os.kill(self.process.pid, number)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.is_alive()

    def complaints(self) -> list[str]:
        """Return what its log holds that no log should: tracebacks, and reconciles that failed by a bug of ours."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        marks = ("Traceback", "reconcile failed", "never retrieved", "was never awaited")
        return [line[:300] for line in text.splitlines() if any(mark in line for mark in marks)]

"""`gateway-cpu`: CPU per governed call, beside Go's reverse proxy, which governs nothing."""

from __future__ import annotations

from benchmarks.options import Options
from benchmarks.processes import BenchmarkError
from benchmarks.rows import Comparison


def measure(_options: Options) -> list[Comparison]:
    """Not there yet."""
    raise BenchmarkError("comes with the gateway")

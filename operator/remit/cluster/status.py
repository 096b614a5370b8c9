"""Tells how a cluster is. Reads only."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from remit.cluster import health, room
from remit.cluster.api import Api
from remit.cluster.components import Component, components
from remit.cluster.configs import Settings
from remit.cluster.processes import age_seconds, is_alive, load
from remit.cluster.start import identity_file


@dataclass(frozen=True, slots=True)
class Row:
    """One component: `complaint` is empty when it is well."""

    name: str
    pid: int | None
    age_seconds: float
    complaint: str

    @property
    def well(self) -> bool:
        """Whether it runs and answers."""
        return not self.complaint


def rows(settings: Settings, api: Api) -> tuple[Row, ...]:
    """Look at every component once."""
    home = room.current(settings.layout)
    found = [Row("room", None, 0.0, "not running") if home is None else Row("room", home.pid, age_seconds(home), "")]
    everything = components(settings)
    with ThreadPoolExecutor(len(everything)) as beside:  # one that hangs takes seconds to ask
        found += beside.map(lambda component: _row(component, settings, api), everything)
    return tuple(found)


def _row(component: Component, settings: Settings, api: Api) -> Row:
    there = load(identity_file(settings.layout, component.name))
    if there is None or not is_alive(there):
        return Row(component.name, None, 0.0, "not running")
    said = health.complaint(component, there, settings, api)
    return Row(component.name, there.pid, age_seconds(there), said)

"""Where an agent is in its life. Pure. Admission holds the same table (api/agent.py); here it is checked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remit.api.agent import LIFECYCLE_CHANGES, Lifecycle
from remit.api.reasons import ObjectReason
from remit.core.conditions import find_condition


def may_become(before: Lifecycle, after: Lifecycle) -> bool:
    """Tell whether an agent may go from the one to the other."""
    return after is before or after in LIFECYCLE_CHANGES[before]


def lifecycle_of(agent: Mapping[str, Any]) -> Lifecycle:
    """Return where an agent is: where its spec says, unless it was retired, which it stays."""
    wanted = Lifecycle(agent["spec"].get("lifecycle", Lifecycle.DRAFT))
    ready = find_condition((agent.get("status") or {}).get("conditions") or (), "Ready")
    was_retired = ready is not None and ready.get("reason") == ObjectReason.RETIRED
    return wanted if not was_retired or may_become(Lifecycle.RETIRED, wanted) else Lifecycle.RETIRED

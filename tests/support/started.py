"""A run that is under way, and a pod's status when it ended."""

from typing import Any

from tests.support.controlled import POD, Controlled, a_team
from tests.support.objects import a_run

RUNNING = {"phase": "Running"}


def ended(code: int = 1, at: str = "2026-11-21T12:00:00Z") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": "Error", "finishedAt": at}}
    return {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [{"name": "harness", "image": "i", "state": state}],
    }


async def started(**spec: Any) -> Controlled:
    team = await a_team()
    await team.apply(a_run(**spec))
    await team.say(POD, **RUNNING)
    assert team.status()["reason"] == "Running", team.status()
    return team

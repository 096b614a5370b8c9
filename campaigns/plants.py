"""Bugs that are planted into a forked process, by name: each campaign has to catch its own.

They replace functions of our code in that process only; the product has no switch for any of them.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

PLANTS: dict[str, Callable[[], None]] = {}


def plant(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register what plants a bug."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        PLANTS[name] = function
        return function

    return register


def put(name: str) -> None:
    """Plant the bug of that name into this process; empty: none."""
    if name:
        PLANTS[name]()


def among(*names: str) -> Mapping[str, Callable[[], None]]:
    """Return the plants of these names, which must exist."""
    return {name: PLANTS[name] for name in names}


def module(name: str) -> Any:
    """Return a module of the controller, as a thing whose parts are replaced."""
    return importlib.import_module(f"remit.{name}")


@plant("pod-named-by-process")
def _pod_named_by_process() -> None:
    plain = module("api.names").pod_name
    start = int(os.environ.get("CAMPAIGN_START", "1"))

    def by_process(run: str, *rest: Any) -> str:
        return str(plain(run, *rest)) + (f"-{start}" if start > 1 else "")

    for name in ("api.names", "controller.gather", "core.children", "controller.runs", "core.course"):
        if hasattr(module(name), "pod_name"):
            module(name).pod_name = by_process


@plant("conflict-forgotten")
def _conflict_forgotten() -> None:
    work = module("controller.work")
    plain = work.Work._attempt

    async def attempt(self: Any, key: Any) -> None:
        reconcile = self._reconcile

        async def forgetful(key: Any) -> Any:
            try:
                return await reconcile(key)
            except work.OutdatedError:
                return None

        self._reconcile = forgetful
        try:
            await plain(self, key)
        finally:
            self._reconcile = reconcile

    work.Work._attempt = attempt


@plant("errors-not-retried")
def _errors_not_retried() -> None:
    module("controller.work").Work._back_off = lambda *_: None


@plant("refusals-not-said")
def _refusals_not_said() -> None:
    """What the cluster does not let in is tried again like any error, and the run says nothing of it."""
    module("controller.runs").FORBIDDEN = 0


@plant("nothing-listed-again")
def _nothing_listed_again() -> None:
    module("controller.reconcile").Controller.take = lambda *_: None


@plant("protection-late")
def _protection_late() -> None:
    """The standing policy is made after the pods that it is to close."""
    agents, namespaces, plan = (
        module(f"{name}") for name in ("controller.agents", "controller.namespaces", "core.plan")
    )
    children = agents.Agents._children

    def without_deny(self: Any, *rest: Any) -> Any:
        return [child for child in children(self, *rest) if child["metadata"]["name"] != "remit-sandbox-deny"]

    async def later(self: Any, world: Any) -> None:
        if world.pods and not plan.is_in_place(namespaces.standing_deny(world.name), world.deny):
            await self._restore(world)

    agents.Agents._children = without_deny
    namespaces.Namespaces._put_in_place = later
    module("controller.protection").missing = lambda *_: ()
    module("controller.runs").plan = lambda wanted, seen: plan.plan(wanted[-1:], seen)


@plant("writes-what-stands")
def _writes_what_stands() -> None:
    for name in ("controller.apply", "controller.agents"):
        module(name).is_written = lambda *_: False


@plant("raises-on-eviction")
def _raises_on_eviction() -> None:
    course, pods = module("core.course"), module("core.pods")
    plain = pods.pod_facts

    def raising(pod: Any) -> Any:
        if (pod.get("status") or {}).get("reason") == "Evicted":
            raise KeyError("containerStatuses")
        return plain(pod)

    course.pod_facts = raising


@plant("stall-unnoticed")
def _stall_unnoticed() -> None:
    module("controller.handlers")._bound = lambda _: None
    module("controller.watches").Watches.due = lambda _: []


@plant("silence-not-listed")
def _silence_not_listed() -> None:
    module("controller.watches").Watches.due = lambda self: sorted(self._doubtful)


@plant("list-anew-not-followed")
def _list_anew_not_followed() -> None:
    watches = module("controller.watches").Watches
    watches.answered = lambda self, path, **_: self.hear(self.kind_of(path))


@plant("deaf-for-ever")
def _deaf_for_ever() -> None:
    module("controller.watches").Watches.due = lambda self: sorted(self._doubtful)
    module("controller.watches").Watches.are_deaf = False
    module("controller.watching").Watching.is_alive = property(lambda self: self._life is not None)


@plant("writes-unfenced")
def _writes_unfenced() -> None:
    async def within(_: Any, write: Any) -> Any:
        return await write()

    module("controller.lease").Fenced._within = within


@plant("tenure-without-end")
def _tenure_without_end() -> None:
    """Whoever once led thinks that it still does."""
    tenure = module("controller.lease").Tenure
    tenure.age_seconds = lambda self: float("inf") if self._sight is None and self._renewed is None else 0.0


@plant("lease-taken-early")
def _lease_taken_early() -> None:
    module("controller.lease").Tenure._is_over = lambda *_: True


@plant("looks-too-rarely")
def _looks_too_rarely() -> None:
    module("controller.lease").Terms.look_every = property(lambda self: self.seconds * 10.0)


@plant("told-about-no-generation")
def _told_about_no_generation() -> None:
    """A policy's later states are never told of."""
    declarations = module("controller.declarations").Declarations
    plain = declarations.reconcile

    async def reconcile(self: Any, key: Any) -> Any:
        thing = self._store.get(key)
        return None if thing is not None and thing["metadata"]["generation"] > 3 else await plain(self, key)

    declarations.reconcile = reconcile


@plant("raises-on-templates")
def _raises_on_templates() -> None:
    declarations = module("controller.declarations")
    plain = declarations.verdict_on

    def verdict_on(thing: Any, *rest: Any) -> Any:
        if "{{" in str(thing["spec"]):
            raise KeyError(".Values.secret")
        return plain(thing, *rest)

    declarations.verdict_on = verdict_on


@plant("forgets-to-go-back")
def _forgets_to_go_back() -> None:
    """What was once said of a policy stays said."""
    declarations = module("controller.declarations")
    plain, said = declarations.verdict_on, dict[str, Any]()

    def verdict_on(thing: Any, *rest: Any) -> Any:
        verdict = plain(thing, *rest)
        if str(verdict[0]) == "Stalled":
            said[thing["metadata"]["uid"]] = verdict
        return said.get(thing["metadata"]["uid"], verdict)

    declarations.verdict_on = verdict_on


@plant("gateway-mute")
def _gateway_mute() -> None:
    """The gateway tells of a state only once."""
    writer = module("gateway.status").StatusWriter
    plain, told = writer.put, set[Any]()

    def put(self: Any, kind: Any, namespace: str, name: str, *rest: Any) -> None:
        if (kind, namespace, name) not in told:
            told.add((kind, namespace, name))
            plain(self, kind, namespace, name, *rest)

    writer.put = put


@plant("reason-of-its-own")
def _reason_of_its_own() -> None:
    declarations = module("controller.declarations")
    plain = declarations.verdict_on

    def verdict_on(*given: Any) -> Any:
        standing, reason, message = plain(*given)
        return standing, reason if str(reason) == "Ready" else "SomethingElse", message

    declarations.verdict_on = verdict_on


@plant("edits-not-seen")
def _edits_not_seen() -> None:
    """A child that is there counts as being as it should be."""
    plan = module("core.plan")

    def is_there(_: Any, seen: Any) -> bool:
        return seen is not None and not plan.is_leaving(seen)

    plan.is_in_place = is_there
    for name in ("controller.namespaces", "controller.runs"):
        module(name).is_in_place = is_there


@plant("status-not-made-anew")
def _status_not_made_anew() -> None:
    """What was once written counts as being written."""
    apply = module("controller.apply")
    plain, written = apply.is_written, list[Any]()

    def is_written(seen: Any, wanted: Any, owned: Any) -> bool:
        mark = {field: wanted.get(field) for field in ("reason", "pod")}
        if wanted.get("pod") and mark in written:
            return True
        written.append(mark)
        return bool(plain(seen, wanted, owned))

    apply.is_written = is_written


@plant("leaves-namespaces-alone")
def _leaves_namespaces_alone() -> None:
    """The standing policy is never let go."""

    async def reconcile(*_: Any) -> None:
        return None

    module("controller.namespaces").Namespaces.reconcile = reconcile


@plant("gateway-gives-up")
def _gateway_gives_up() -> None:
    """A status that is not accepted at once is not tried again."""
    status = module("gateway.status")
    status.HOPELESS = frozenset(range(1000))


@plant("gateway-takes-refusal-for-done")
def _gateway_takes_refusal_for_done() -> None:
    status = module("gateway.status")
    status.HOPELESS = status.HOPELESS | {429}


@plant("gateway-forgets-the-end")
def _gateway_forgets_the_end() -> None:
    """A gateway that starts anew tells of no end that came before."""
    writer = module("gateway.status").StatusWriter
    plain, start = writer.put, int(os.environ.get("CAMPAIGN_START", "1"))

    def put(self: Any, kind: Any, namespace: str, name: str, uid: str, status: Any) -> None:  # noqa: PLR0917 - its signature
        if start == 1 or "outcome" not in status:
            plain(self, kind, namespace, name, uid, status)

    writer.put = put


@plant("gateway-deaf")
def _gateway_deaf() -> None:
    """A watch that ended is not begun anew."""

    async def once(self: Any, kind: Any) -> None:
        await self._watch_once(kind)

    module("gateway.authority").Authority._watch_for_ever = once

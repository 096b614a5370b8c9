"""One reconcile of one key, whatever its kind: gather, decide, act. Level-triggered; knows nothing of events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from remit.controller.agents import COUNT_SECONDS, Agents
from remit.controller.apply import Hands
from remit.controller.claims import Claims
from remit.controller.compiler import Compiler
from remit.controller.declarations import Declarations
from remit.controller.kinds import (
    AGENT,
    GRANT,
    INDEXES,
    NAMESPACE,
    POLICY,
    POOL,
    RUN,
    STREAMED,
    WATCHED,
    concerned,
    pool_of,
)
from remit.controller.namespaces import Namespaces
from remit.controller.places import Places
from remit.controller.pools import Pools
from remit.controller.probe import KEY as PROBE_KEY
from remit.controller.probe import PROBE, Probe
from remit.controller.protection import Protection
from remit.controller.runs import Runs
from remit.controller.settings import Settings
from remit.controller.store import Key, Object, Store, key_of
from remit.controller.telemetry import Metrics
from remit.controller.watches import Watches
from remit.controller.work import Work, who
from remit.ports import Clock, Cluster, RemitError, RuleEngine, SchemaEngine

_STREAMED = frozenset(watched.kind for watched in STREAMED)


class Controller:
    """The controller's parts put together: what is seen, who has to look, and who does what."""

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        settings: Settings,
        *,
        rules: RuleEngine,
        schemas: SchemaEngine,
    ) -> None:
        """Put the parts together; nothing runs yet."""
        self.store = Store(INDEXES)
        self.metrics = Metrics()
        self.settings = settings
        self.watches = Watches(WATCHED, clock, streamed=_STREAMED)
        self.is_synced = False
        """Whether every kind was listed: no event is handed on before."""
        self._clock = clock
        hands = Hands(cluster, self.store, clock, self.metrics)
        declarations = Declarations(self.store, hands, clock, settings)
        compiler = Compiler(rules, schemas, settings.install_namespace)
        probe = Probe(cluster, hands, clock, settings=settings, wake=self._wake_agents)
        protection = Protection(cluster, clock, settings, probe)
        pools = Pools(self.store, hands, clock, protection=protection)
        places = Places(
            self.store, clock, settings.install_namespace, wake=self._wake, is_synced=lambda: self.is_synced
        )
        claims = Claims(cluster, self.store, hands, clock, note=pools.note_claim)
        self._reconcilers: dict[str, Callable[[Key], Awaitable[float | None]]] = {
            AGENT.kind: Agents(self.store, hands, clock, settings=settings, compiler=compiler, probe=probe).reconcile,
            GRANT.kind: declarations.reconcile,
            POLICY.kind: declarations.reconcile,
            RUN.kind: Runs(
                self.store,
                hands,
                clock,
                settings=settings,
                metrics=self.metrics,
                protection=protection,
                claims=claims,
                places=places,
            ).reconcile,
            NAMESPACE.kind: Namespaces(cluster, self.store, hands).reconcile,
            POOL: pools.reconcile,
            PROBE: probe.reconcile,
        }
        self.work = Work(self.reconcile, clock, self.describe)
        self.metrics.depth.set_function(lambda: self.work.depth)

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one key; returns when to look at it again though nothing happens."""
        began = self._clock.monotonic()
        outcome = "error"
        try:
            moment = await self._reconcilers[key.kind](key)
            outcome = "done"
        except RemitError:
            outcome = "retry"
            raise
        finally:
            self.metrics.reconciles.labels(key.kind, outcome).inc()
            self.metrics.reconcile_seconds.labels(key.kind).observe(self._clock.monotonic() - began)
        return moment

    def _wake(self, key: Key) -> None:
        """Have a key looked at whose turn may have come; before everything was listed nobody's has."""
        if self.is_synced:
            self.work.add(key)

    def _wake_agents(self) -> None:
        """Have every agent looked at: what is known of the network has changed."""
        for agent in self.store.all(AGENT.kind):
            self.work.add(key_of(AGENT.kind, agent))

    def describe(self, key: Key) -> Mapping[str, str]:
        """Say whom a key names, by UID too: a name may be another object's tomorrow."""
        thing = self.store.get(key)
        return who(key) if thing is None else {**who(key), "uid": thing["metadata"]["uid"]}

    def see(self, kind: str, thing: Object, *, gone: bool = False) -> None:
        """Take in the state of one object, without any consequence yet."""
        if gone:
            self.store.drop(kind, thing)
        else:
            self.store.put(kind, thing)

    def note(self, kind: str, thing: Object, *, gone: bool = False) -> None:
        """Take in the state of one object and have everyone concerned look again."""
        if not self.is_synced and kind not in _STREAMED:  # kopf's first word comes when it has listed everything
            self.is_synced = True
            self.work.add(PROBE_KEY)
        self.watches.hear(kind)
        self.see(kind, thing, gone=gone)
        for key in concerned(kind, thing, self.store, self.settings.install_namespace):
            self.work.add(key)
            if key.kind == POOL:
                self.work.add_at(Key(AGENT.kind, key.namespace, key.name), self._clock.now() + COUNT_SECONDS)
        if kind == RUN.kind:
            agent = Key(AGENT.kind, thing["metadata"]["namespace"], str(thing["spec"].get("agent", "")))
            self.work.add_at(agent, self._clock.now() + COUNT_SECONDS)

    def look_again(self) -> None:
        """Have every object looked at: who did it until now may have been stopped anywhere."""
        self.work.add(PROBE_KEY)
        for kind in self._reconcilers:
            for thing in self.store.all(kind):
                self.work.add(key_of(kind, thing))
        for agent in self.store.all(AGENT.kind):
            for key in pool_of(agent["metadata"]["namespace"], agent["metadata"]["name"], self.store):
                self.work.add(key)

    def take(self, kind: str, things: list[Object], version: int) -> None:
        """Take in a whole list: what a watch missed is made up for."""
        for thing in self.store.replace(kind, things, version):
            for key in concerned(kind, thing, self.store, self.settings.install_namespace):
                self.work.add(key)

"""What the policies ask of every sandbox, and which agents are below it. Pure.

The walls (image, runtime class) count for runs under way, too: the gateway refuses their calls. How much a sandbox
may take counts when it is made: a run that has its room keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from remit.api.bundle import Bundle, BundledPolicy
from remit.api.policy import ImageReferences, NodeAccess
from remit.api.reasons import ObjectReason
from remit.core.prepare import Refusal

_PINNED_IMAGE = re.compile(r"@sha256:[0-9a-f]{64}$")


def _refuse(bundle: Bundle, reason: ObjectReason, policy: BundledPolicy, message: str) -> Refusal:
    named = f"{policy.ref.namespace}/{policy.ref.name}"
    return Refusal(reason, message.replace("POLICY", f"Policy {named}"), "Agent", bundle.agent.ref.name)


def with_unpinned_image(bundle: Bundle) -> Refusal | None:
    """A tag may name another image tomorrow."""
    container = bundle.agent.spec.runtime.container
    if container is None or _PINNED_IMAGE.search(container.image):
        return None
    strict = [p for p in bundle.policies if p.spec.sandbox.images is ImageReferences.DIGEST]
    if not strict:
        return None
    asks = "spec.runtime.container.image must be named by digest (NAME@sha256:...): POLICY asks for it"
    return _refuse(bundle, ObjectReason.IMAGE_NOT_PINNED, strict[0], asks)


def with_foreign_runtime_class(bundle: Bundle) -> Refusal | None:
    """A kernel of its own, where one is asked for."""
    chosen = bundle.agent.spec.sandbox.runtime_class_name
    for policy in bundle.policies:
        allowed = policy.spec.sandbox.runtime_class_names
        if allowed is not None and chosen not in allowed:
            found = f"is {chosen}" if chosen else "is not set"
            asks = f"spec.sandbox.runtimeClassName {found}: POLICY asks for one of {', '.join(sorted(allowed))}"
            return _refuse(bundle, ObjectReason.RUNTIME_CLASS_NOT_ALLOWED, policy, asks)
    return None


def with_too_much_room(bundle: Bundle) -> Refusal | None:
    """CPU and memory of a sandbox that is made now."""
    for policy in bundle.policies:
        for field, asked, most in _bounds(bundle, policy):
            if most is not None and asked > most:
                asks = f"spec.sandbox.{field} is {asked}: POLICY allows {most}"
                return _refuse(bundle, ObjectReason.RESOURCES_NOT_ALLOWED, policy, asks)
    return None


def _bounds(bundle: Bundle, policy: BundledPolicy) -> Iterator[tuple[str, int, int | None]]:
    wanted, floor = bundle.agent.spec.sandbox, policy.spec.sandbox
    yield "cpuMillis", wanted.cpu_millis, floor.max_cpu_millis
    yield "memoryMiB", wanted.memory_mib, floor.max_memory_mib


def who_refuses_node_access(bundle: Bundle) -> str:
    """Return the policy that lets no run start where a sandbox reaches its own node; empty for none."""
    strict = (p.ref for p in bundle.policies if p.spec.sandbox.node_access is NodeAccess.REFUSE)
    return next((f"{ref.namespace}/{ref.name}" for ref in strict), "")

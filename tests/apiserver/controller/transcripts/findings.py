"""What the enforcement probe can find, and what an agent says then."""

from remit.api.reasons import ObjectReason
from remit.core.probe import Proof

GOT_OUT = "reached 10.96.0.1:443, 10.96.0.10:53"
CLOSED = "9 ways out are closed"
FOUND: dict[ObjectReason, tuple[Proof, ObjectReason]] = {
    ObjectReason.NETWORK_POLICY_NOT_ENFORCED: (
        Proof(0.0, enforced=False, node_reachable=True, why=GOT_OUT),
        ObjectReason.NETWORK_POLICY_NOT_ENFORCED,
    ),
    ObjectReason.NODE_REACHABLE: (
        Proof(0.0, enforced=True, node_reachable=True, why=f"{CLOSED}; reached its node at 10.250.0.1:10250"),
        ObjectReason.NODE_REACHABLE,
    ),
    ObjectReason.NODE_CLOSED: (
        Proof(0.0, enforced=True, node_reachable=False, why=CLOSED),
        ObjectReason.READY,
    ),
}
"""By the reason that is to be told: what was found, and where an agent stands then whose policy refuses its node."""

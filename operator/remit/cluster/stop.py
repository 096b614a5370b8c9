"""Takes a cluster down: ends its room, and with it all that ran, was mounted or listened in it."""

import shutil
from pathlib import Path

from remit.cluster import cgroups, network, outbound, registry, room
from remit.cluster.errors import ClusterError
from remit.cluster.layout import Layout

MOUNTS = Path("/proc/self/mounts")


def take_down(layout: Layout) -> bool:
    """Leave nothing of this cluster on the machine; tell whether there was one.

    Raises:
        ClusterError: something of it cannot be removed; the message says what.

    """
    if not layout.root.exists():
        return False
    with registry.locked(layout.root):
        record = registry.read(layout)
        room.end(layout)
        if record is not None:
            network.leave(record.addresses)
            close_way_out(layout, record)
        cgroups.remove(layout.cgroup)
        _refuse_mounts(layout.root)
        shutil.rmtree(layout.root)
    _remove_if_empty(layout.root.parent)
    return True


def close_way_out(layout: Layout, record: registry.Record) -> None:
    """Take the cluster's way to the internet away, and forwarding when no other cluster needs it."""
    was_open = outbound.switch_off(record.addresses)
    if (was_open or record.internet) and not registry.others_need_forwarding(layout):
        outbound.restore_forwarding(record.forwarding_before)


def _refuse_mounts(root: Path) -> None:
    """Ours ended with the room; one that a person made must not be emptied by us."""
    targets = [Path(line.split()[1]) for line in MOUNTS.read_text().splitlines()]
    if inside := [str(target) for target in targets if target.is_relative_to(root)]:
        raise ClusterError(f"mounted below the cluster's folder: {', '.join(inside)}; unmount it")


def _remove_if_empty(state: Path) -> None:
    with registry.locked(state):
        if not any(state.iterdir()):
            state.rmdir()

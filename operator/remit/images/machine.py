"""What the machine is called by Debian, by wheels and by images."""

import platform
from dataclasses import dataclass

from remit.images.errors import ImageError


@dataclass(frozen=True)
class Machine:
    """One architecture in the words of three worlds."""

    image: str
    library: str
    wheels: str


# Debian 12 has glibc 2.36, hence the wheels' platform.
MACHINES = {
    "x86_64": Machine("amd64", "x86_64-linux-gnu", "x86_64-manylinux_2_36"),
    "aarch64": Machine("arm64", "aarch64-linux-gnu", "aarch64-manylinux_2_36"),
}


def this_machine() -> Machine:
    """Return the words for the machine that builds; images are for the same kind."""
    name = platform.machine()
    if name not in MACHINES:
        known = ", ".join(MACHINES)
        raise ImageError("MachineUnknown", f"no images for {name}: there are {known}")
    return MACHINES[name]

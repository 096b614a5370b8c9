"""Attacks on the kernel and the node: each returns what it got hold of, or raises OSError."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWPID = 0x10000000, 0x40000000, 0x20000000
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
MANY_PROCESSES = 2000
LARGE = 1 << 30
SYSTEM_CALLS = {"bpf": 321, "keyctl": 250, "perf-event": 298, "kernel-module": 175, "kernel-log": 103, "fsopen": 430}
"""Numbers of x86-64; on another machine they are other calls, which are refused as well or do nothing."""


def call(name: str, *arguments: object) -> str:
    """Call the C library; raises OSError by errno."""
    if getattr(LIBC, name)(*arguments) != 0:
        code = ctypes.get_errno() or errno.EPERM
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return f"{name} worked"


def system_call(name: str, *arguments: int) -> str:
    """Make a system call that has no place in a sandbox."""
    outcome = LIBC.syscall(SYSTEM_CALLS[name], *arguments)
    if outcome < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return f"{name} gave {outcome}"


def unshare(flag: int) -> Callable[[], str]:
    """Make a namespace of one's own, in a child, since it could not be undone."""

    def attack() -> str:
        child = os.fork()
        if child == 0:
            os._exit(0 if LIBC.unshare(flag) == 0 else 1)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise PermissionError(errno.EPERM, "unshare is refused")
        return f"unshared {flag:#x}"

    return attack


def trace_others() -> str:
    """Attach to every process that is not of this one's making."""
    for folder in Path("/proc").glob("[0-9]*"):
        number = int(folder.name)
        if number != os.getpid() and LIBC.ptrace(PTRACE_ATTACH, number, None, None) == 0:
            LIBC.ptrace(PTRACE_DETACH, number, None, None)
            return f"traced process {number}"
    raise ProcessLookupError(errno.ESRCH, "no process of anyone else to trace")


def see_others() -> str:
    """Find the sidecar, which holds the token, among the processes, and what is in its memory and files."""
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        line = (folder / "cmdline").read_bytes()
        if b"remit.harness" in line or b"pause" in line:
            return f"process {folder.name} is {line!r}"
    raise ProcessLookupError(errno.ESRCH, "no process of anyone else is to be seen")


def run_setuid() -> str:
    """Become root by a program that is root's, wherever one is."""
    for folder in ("/bin", "/usr/bin", "/usr/sbin", "/usr/lib"):
        for path in Path(folder).glob("*"):
            if path.is_file() and path.stat().st_mode & stat.S_ISUID and "NoNewPrivs:\t0" in own_status():
                return f"{path} would run as root"
    if "NoNewPrivs:\t0" in own_status():
        return "a program could gain privileges"
    raise PermissionError(errno.EPERM, "no program gains privileges here")


def own_status() -> str:
    """Return what the kernel says of this process."""
    return Path("/proc/self/status").read_text()


def keep_capabilities() -> str:
    """Look for a capability that is left, in any set."""
    sets = [line.split() for line in own_status().splitlines() if line.startswith("Cap")]
    left = [name for name, mask in sets if int(mask, 16)]
    if not left:
        raise PermissionError(errno.EPERM, "every set of capabilities is empty")
    return f"capabilities in {', '.join(left)}"


def do_without_seccomp() -> str:
    """Look whether system calls are filtered at all."""
    if "Seccomp:\t0" in own_status():
        return "no filter of system calls"
    raise PermissionError(errno.EPERM, "system calls are filtered")


def fork_bomb() -> str:
    """Make processes without end."""
    children: list[int] = []
    try:
        while len(children) < MANY_PROCESSES:
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
    return f"{len(children)} processes"


def fill(folder: str) -> Callable[[], str]:
    """Fill a folder that is not the scratch volume, which has its own end."""

    def attack() -> str:
        path = Path(folder, "filled")
        try:
            with path.open("wb") as file:
                for _ in range(LARGE >> 20):
                    file.write(b"x" * (1 << 20))
        finally:
            path.unlink(missing_ok=True)
        return f"a GiB in {folder}"

    return attack


def write(path: str) -> Callable[[], str]:
    """Write to a file of the kernel's or the system's."""

    def attack() -> str:
        with Path(path).open("r+b" if Path(path).exists() else "wb", buffering=0) as file:
            file.write(b"1")
        return f"wrote {path}"

    return attack


def read(path: str) -> Callable[[], str]:
    """Read a file of the node's; one that was masked is empty."""

    def attack() -> str:
        with Path(path).open("rb", buffering=0) as file:
            if not (content := file.read(64)):
                raise FileNotFoundError(errno.ENOENT, f"{path} is empty")
        return f"{len(content)} bytes of {path}"

    return attack


def make_disk() -> str:
    """Make a device of the node's first disk."""
    os.mknod("/scratch/disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    return "made a disk"


def packet_socket() -> str:
    """Listen to the wire."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)):
        return "opened a packet socket"


ATTACKS: dict[str, Callable[[], str]] = {
    "user-namespace": unshare(CLONE_NEWUSER),
    "network-namespace": unshare(CLONE_NEWNET),
    "process-namespace": unshare(CLONE_NEWPID),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "chroot": lambda: call("chroot", b"/mnt"),
    "device-node": make_disk,
    "ptrace": trace_others,
    "processes-of-others": see_others,
    "setuid-program": run_setuid,
    "capabilities": keep_capabilities,
    "seccomp-missing": do_without_seccomp,
    "bpf": lambda: system_call("bpf", 0, 0, 0),
    "keyring": lambda: system_call("keyctl", 0, -3, 1),
    "perf-event": lambda: system_call("perf-event", 0, 0, 0, 0, 0),
    "kernel-module": lambda: system_call("kernel-module", 0, 0, 0),
    "kernel-log": lambda: system_call("kernel-log", 3, 0, 0),
    "packet-socket": packet_socket,
    "fork-bomb": fork_bomb,
    "fill-root": fill("/"),
    "fill-tmp": fill("/tmp"),  # noqa: S108 (it must not be there)
    "fill-memory-disk": fill("/dev/shm"),  # noqa: S108 (it must have an end)
    "kernel-setting": write("/proc/sys/kernel/core_pattern"),
    "kernel-trigger": write("/proc/sysrq-trigger"),
    "cgroup": write("/sys/fs/cgroup/memory.max"),
    "physical-memory": read("/dev/mem"),
    "kernel-symbols": read("/proc/kcore"),
    "kubelets-files": read("/var/lib/kubelet/config.yaml"),
    "runtimes-socket": read("/run/containerd/containerd.sock"),
}

"""Starts one program inside the namespaces of another process, or in new ones; prints its pid.

Run as a file of its own (`python -I -S enter.py PID|new LOG PROGRAM ...`), standard library only:
the caller stays outside, and the program belongs to nobody but the first process in there. A
plain `nsenter` would stay behind as a second process, and hide the program's pid.
"""

import ctypes
import os
import signal
import sys

NAMESPACES = {"net": 0x40000000, "mnt": 0x00020000, "pid": 0x20000000}
"""Each kind of namespace with its flag for unshare(2)."""


def check(result: int, call: str) -> None:
    """Turn a failed system call into an exception."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def enter(pid: str) -> None:
    """Join the namespaces of a process; the process namespace holds for children only."""
    libc = ctypes.CDLL(None, use_errno=True)
    handles = [os.open(f"/proc/{pid}/ns/{each}", os.O_RDONLY) for each in NAMESPACES]
    for handle in handles:
        check(libc.setns(handle, 0), "setns")
        os.close(handle)


def leave() -> None:
    """Get new namespaces of every kind; the next child is the first process in there."""
    libc = ctypes.CDLL(None, use_errno=True)
    check(libc.unshare(sum(NAMESPACES.values())), "unshare")


def become(log: str, arguments: list[str]) -> None:
    """Turn this process into the program, with its output in the log."""
    os.setsid()
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.chdir("/")
    os.execvp(arguments[0], arguments)  # noqa: S606  # an argument list, no shell


def main() -> None:
    """Start the program; the pid printed is the one that the caller's namespace knows."""
    room, log, *arguments = sys.argv[1:]
    if room == "new":
        leave()
    else:
        enter(room)
    child = os.fork()
    if child == 0:
        try:
            become(log, arguments)
        except OSError as problem:
            os.write(2, f"{arguments[0]}: {problem}\n".encode())
        finally:
            os._exit(127)
    sys.stdout.write(f"{child}\n")


if __name__ == "__main__":
    main()

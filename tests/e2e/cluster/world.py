"""A small internet beyond the machine: a network namespace that knows no way back to any pod."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.polling import eventually

ADDRESS = "198.51.100.2"
PORT = 8053


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def world(link: str) -> Iterator[None]:
    """Have a server at ADDRESS:PORT that answers only who comes with the machine's own address."""
    command = ["unshare", "--net", "busybox", "nc", "-ll", "-p", str(PORT), "-e", "echo", "hello"]
    with subprocess.Popen(command) as server:
        try:
            join(link, server.pid)
            yield
        finally:
            run("ip", "link", "delete", link)
            server.kill()


def join(link: str, pid: int) -> None:
    """Lead a link into the namespace of the server."""
    own = Path("/proc/self/ns/net").readlink()
    eventually(lambda: Path(f"/proc/{pid}/ns/net").readlink(), lambda seen: seen != own, why="a network of its own")
    inside = ("nsenter", f"--net=/proc/{pid}/ns/net", "ip")
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run("ip", "address", "add", "198.51.100.1/30", "dev", link)
    run("ip", "link", "set", link, "up")
    run(*inside, "address", "add", f"{ADDRESS}/30", "dev", "eth0")
    run(*inside, "link", "set", "eth0", "up")

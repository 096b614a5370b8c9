"""`python -m remit.harness`: works on the pod's run. `python -m remit.harness sidecar`: holds the token for another."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

from remit.api.names import AGENT_PORT, GATEWAY_HOST, TOKEN_PATH
from remit.harness.client import GatewayAwayError, GatewayClient
from remit.harness.loop import work

MAX_PROCESSES = 64
DEFAULT_GATEWAY = f"http://{GATEWAY_HOST}:{AGENT_PORT}"
EXIT_INFRASTRUCTURE = 75
"""EX_TEMPFAIL: the work itself is neither done nor failed."""
EXIT_TERMINATED = 128 + signal.SIGTERM


def main(arguments: list[str]) -> int:
    """Run the loop, or the sidecar; the exit code only tells infrastructure faults from the rest."""
    gateway = os.environ.get("REMIT_GATEWAY_URL", DEFAULT_GATEWAY)
    token_path = Path(os.environ.get("REMIT_TOKEN_PATH", TOKEN_PATH))
    signal.signal(signal.SIGTERM, leave)
    resource.setrlimit(resource.RLIMIT_NPROC, (MAX_PROCESSES, MAX_PROCESSES))
    if arguments == ["sidecar"]:
        from remit.harness.sidecar import serve  # noqa: PLC0415 (the loop does not pay for the server's imports)

        serve(gateway, token_path).serve_forever()
        return 0
    if arguments[:1] == ["probe"] and len(arguments) == 2:  # noqa: PLR2004 (the word and its targets)
        from remit.harness.probe import probe  # noqa: PLC0415 (no other sandbox pays for it)

        return probe(gateway, arguments[1])
    if arguments:
        sys.stderr.write("usage: python -m remit.harness [sidecar | probe TARGETS]\n")
        return 2
    client = GatewayClient(gateway, token_path)
    try:
        reason = work(client)
    except GatewayAwayError as error:
        sys.stderr.write(f"harness: {error}\n")
        return EXIT_INFRASTRUCTURE
    finally:
        client.close()
    sys.stdout.write(f"harness: stopped: {reason}\n")
    return 0


def leave(*_: object) -> None:
    """End at once: what matters is at the gateway. As its pod's first process it would else not hear of SIGTERM."""
    os._exit(EXIT_TERMINATED)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

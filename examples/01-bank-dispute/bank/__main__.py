"""Starts the bank, seeds its database or prints it: `python -m bank serve|seed|inspect`."""

import argparse
import asyncio
import json
import os
import socket
import sys
from pathlib import Path

KEY_VARIABLE = "BANK_KEY"


def main() -> int:
    """Run the chosen command."""
    options = _parser().parse_args()
    match options.command:
        case "serve":
            return _serve(options)
        case "seed":
            return _seed(options)
        case _:
            return _inspect(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bank", description="A small core-banking MCP server.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve MCP on /mcp and health on /healthz")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    serve.add_argument("--port", type=int, default=8080, help="0 takes a free one (default %(default)s)")
    serve.add_argument("--key-file", type=Path, help=f"file with the API key (default: ${KEY_VARIABLE})")
    serve.add_argument("--seed", action="store_true", help="first put the fictitious customers in")
    serve.add_argument("--allow-faults", action="store_true", help="obey X-Bank-Fault and PUT /faults (tests)")
    seed = commands.add_parser("seed", help="put the fictitious customers in; what is there stays")
    inspect = commands.add_parser("inspect", help="print what is in the database as JSON")
    inspect.add_argument("--account", help="only this account, e.g. ACC-4711")
    for command in (serve, seed, inspect):
        command.add_argument("--db", type=Path, required=True, help="the SQLite file")
    for command in (serve, seed):
        command.add_argument(
            "--generate",
            type=int,
            default=0,
            metavar="N",
            help="also seed ACC/TXN-900001 and so on",
        )
    return parser


def _serve(options: argparse.Namespace) -> int:
    secret = _secret(options.key_file)
    if not secret:
        sys.stderr.write(f"bank: no API key: give --key-file or ${KEY_VARIABLE}\n")
        return 2
    # Imported here: `inspect` and `seed` need no MCP, and answer at once.
    import uvicorn  # noqa: PLC0415

    from bank.books import Books  # noqa: PLC0415
    from bank.faults import Faults  # noqa: PLC0415
    from bank.server import Bank  # noqa: PLC0415

    books = Books(options.db)
    if options.seed:
        books.seed(options.generate)
    app = Bank(books, secret, Faults(allowed=options.allow_faults)).app(options.host)
    listener = socket.create_server((options.host, options.port), backlog=512)
    # asyncio leaves Nagle on for a socket made elsewhere: 40 ms for each answer without this.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sys.stdout.write(f"bank listens on http://{options.host}:{listener.getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
    books.close()
    return 0


def _seed(options: argparse.Namespace) -> int:
    from bank.books import Books  # noqa: PLC0415

    books = Books(options.db)
    books.seed(options.generate)
    books.close()
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from bank.report import contents  # noqa: PLC0415

    sys.stdout.write(json.dumps(contents(options.db, options.account), indent=2) + "\n")
    return 0


def _secret(key_file: Path | None) -> str:
    if key_file is None:
        return os.environ.get(KEY_VARIABLE, "").strip()
    return key_file.read_text("utf-8").strip()


if __name__ == "__main__":
    sys.exit(main())

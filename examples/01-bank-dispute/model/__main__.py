"""Starts the scripted model server: `python -m model`."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from model.dialogue import DialogueError, load
from model.server import ModelServer

KEY_VARIABLE = "MODEL_KEY"
DIALOGUES = Path(__file__).with_name("dialogues")


def main() -> int:
    """Serve the dialogues until told to stop."""
    options = _parser().parse_args()
    key_file: Path | None = options.key_file
    secret = key_file.read_text("utf-8") if key_file else os.environ.get(KEY_VARIABLE, "")
    if not secret.strip():
        sys.stderr.write(f"model: no API key: give --key-file or ${KEY_VARIABLE}\n")
        return 2
    try:
        dialogues = load(options.dialogues)
    except DialogueError as error:
        sys.stderr.write(f"model: {error}\n")
        return 2
    asyncio.run(_serve(ModelServer(dialogues, secret.strip()).app(), options.host, options.port))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="model", description="Scripted models: OpenAI and Anthropic APIs.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one (default %(default)s)")
    parser.add_argument("--key-file", type=Path, help=f"file with the API key (default: ${KEY_VARIABLE})")
    parser.add_argument("--dialogues", type=Path, default=DIALOGUES, help="folder of dialogue files")
    return parser


async def _serve(app: web.Application, host: str, port: int) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    sys.stdout.write(f"model listens on http://{host}:{runner.addresses[0][1]}/v1\n")
    sys.stdout.flush()
    await stopping.wait()
    await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())

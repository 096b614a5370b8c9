"""Where build products are kept: outside the tree, named by what they are made from."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def cache_root() -> Path:
    """Return $REMIT_CACHE, or ~/.cache/remit."""
    return Path(os.environ.get("REMIT_CACHE") or Path.home() / ".cache" / "remit")


@dataclass(frozen=True)
class Store:
    """A folder of finished files. A file is there whole or not at all."""

    root: Path

    def file(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the file of that name, made by `make` when it is not there yet."""
        path = self.root / name
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.scratch() as folder:
            unfinished = folder / "file"
            make(unfinished)
            unfinished.replace(path)
        return path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the same file system that is gone afterwards."""
        self.root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="building-", dir=self.root))
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def image_store() -> Store:
    """Return the store of layers and images."""
    return Store(cache_root() / "images")


def digest_of(*parts: str | bytes) -> str:
    """Return a SHA-256 over the parts, each with its length so that none can run into the next."""
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        state.update(f"{len(raw)}:".encode())
        state.update(raw)
    return state.hexdigest()


def builder_digest(*modules: str) -> str:
    """Return a digest of the named modules of this package: another builder, another product."""
    here = Path(__file__).parent
    return digest_of(*((here / f"{module}.py").read_bytes() for module in modules))

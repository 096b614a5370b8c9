"""Builds an image from its recipe: base, wheels, our files. What is there is not made again."""

import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from remit.images.archive import PYTHON_PATH, image_of, write_archive
from remit.images.base import base_layer
from remit.images.bytecode import compile_inside, import_inside
from remit.images.errors import ImageError
from remit.images.layer import Layer, load_layer, unpack, write_layer
from remit.images.programs import require_root
from remit.images.recipe import Recipe
from remit.images.store import Store, builder_digest, digest_of, image_store
from remit.images.wheels import locked_requirements, wheels_layer

SOURCE = Path(__file__).resolve().parents[3]
REGISTRY = "localhost"
SHORT_ID = 12
KEPT_ARCHIVES = 3
IGNORED = ("__pycache__", "*.pyc", ".*", "*.md", "*.db", "*.sqlite*")

Say = Callable[[str], None]


@dataclass(frozen=True)
class BuiltImage:
    """A finished image: the tar to load and the reference to put into a pod."""

    name: str
    reference: str
    id: str
    path: Path


def build_image(recipe: Recipe, *, source: Path = SOURCE, say: Say = lambda _: None) -> BuiltImage:
    """Build one image, or find it built."""
    require_root()
    if not (source / "uv.lock").exists():
        raise ImageError("SourceMissing", f"images are built from a source tree; {source} is none")
    store = image_store()
    say(f"{recipe.name}: base")
    layers = [base_layer(store)]
    if recipe.wheels:
        say(f"{recipe.name}: wheels")
        layers.append(wheels_layer(store, layers[0], locked_requirements(source, recipe.wheels)))
    say(f"{recipe.name}: own files")
    layers.append(own_layer(store, recipe, source, tuple(layers)))
    return finish(store, recipe, version_of(source), tuple(layers))


def own_layer(store: Store, recipe: Recipe, source: Path, below: tuple[Layer, ...]) -> Layer:
    """Return the layer of our own files, compiled and tried out on the layers below."""
    with store.scratch() as root:
        for copy in recipe.copies:
            copy_in(source / copy.source, root / copy.target)
        builder = builder_digest("build", "bytecode", "layer")
        key = digest_of(builder, *(layer.digest for layer in below), *recipe.imports, *contents(root))

        def make(target: Path) -> None:
            for layer in below:
                unpack(layer, root)
            for top in own_tops(root):
                compile_inside(root, f"/{top}")
            import_inside(root, recipe.imports, PYTHON_PATH)
            write_layer(root, own_tops(root), target)

        return load_layer(store.file(f"layers/own-{key[:24]}.tar", make))


def copy_in(source: Path, target: Path) -> None:
    """Copy a file or a folder of the source tree."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignore = shutil.ignore_patterns(*IGNORED)
        shutil.copytree(source, target, ignore=ignore, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def contents(root: Path) -> list[bytes]:
    """Return names and bytes of all files, in order."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return [part for f in files for part in (str(f.relative_to(root)).encode(), f.read_bytes())]


def own_tops(root: Path) -> tuple[str, ...]:
    """Name our files in /app; the wheels beside them are a layer of their own."""
    return tuple(sorted(f"app/{path.name}" for path in (root / "app").iterdir() if path.name != "wheels"))


def version_of(source: Path) -> str:
    """Return the version that the source tree gives itself."""
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def finish(store: Store, recipe: Recipe, version: str, layers: tuple[Layer, ...]) -> BuiltImage:
    """Name the image by its id and write its archive."""
    image = image_of(recipe, version, layers)
    reference = f"{REGISTRY}/remit-{recipe.name}:{version}-{image.id[:SHORT_ID]}"
    path = store.file(
        f"{recipe.name}-{image.id[:SHORT_ID]}.tar",
        lambda target: write_archive(image, reference, target),
    )
    forget_older(path.parent, recipe.name)
    return BuiltImage(recipe.name, reference, image.id, path)


def forget_older(folder: Path, name: str) -> None:
    """Keep the newest archives of an image: each is as large as the image."""
    found = sorted(folder.glob(f"{name}-{'?' * SHORT_ID}.tar"), key=lambda path: path.stat().st_mtime)
    for path in found[:-KEPT_ARCHIVES]:
        path.unlink(missing_ok=True)

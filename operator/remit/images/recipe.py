"""What each image holds and starts. images/Dockerfile.* say the same to Docker; a test compares."""

from dataclasses import dataclass

from remit.images.errors import ImageError

PYTHON = "/usr/bin/python3.11"


@dataclass(frozen=True)
class Copy:
    """A file or folder of the source tree and where it goes in the image."""

    source: str
    target: str


@dataclass(frozen=True)
class Recipe:
    """One image."""

    name: str
    copies: tuple[Copy, ...]
    entrypoint: tuple[str, ...]
    wheels: tuple[str, ...] = ()
    """Options for `uv export` that choose from uv.lock; none means no wheels at all."""
    imports: tuple[str, ...] = ()
    """Modules that must import once the image is put together."""


def of_remit(name: str, parts: tuple[str, ...], wheels: tuple[str, ...] = ()) -> Recipe:
    """Return the image of one of our processes: the parts of remit that it may import."""
    paths = ("__init__.py", *parts, name)
    return Recipe(
        name=name,
        copies=tuple(Copy(f"operator/remit/{path}", f"app/remit/{path}") for path in paths),
        entrypoint=(PYTHON, "-m", f"remit.{name}"),
        wheels=wheels,
        imports=(f"remit.{name}.__main__",),
    )


def of_example(name: str, folder: str, parts: tuple[str, ...]) -> Recipe:
    """Return the image of an example's servers; the pod says which of them to start."""
    return Recipe(
        name=name,
        copies=tuple(Copy(f"{folder}/{part}", f"app/{part}") for part in parts),
        entrypoint=(PYTHON,),
        wheels=("--only-group", "examples"),
        imports=tuple(f"{part}.__main__" for part in parts),
    )


def of_script(name: str, folder: str) -> Recipe:
    """Return the image of one package that needs the standard library only."""
    return Recipe(
        name=name,
        copies=(Copy(folder, f"app/{name}"),),
        entrypoint=(PYTHON, "-m", name),
        imports=(f"{name}.__main__",),
    )


SERVER_PARTS = ("api", "core", "ports.py", "adapters")
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        of_remit("controller", SERVER_PARTS, ("--no-dev", "--extra", "controller")),
        of_remit("gateway", SERVER_PARTS, ("--no-dev", "--extra", "gateway")),
        of_remit("harness", ("api",)),
        of_script("hostile", "examples/01-bank-dispute/hostile"),
        of_example("bank-dispute", "examples/01-bank-dispute", ("bank", "model")),
    )
}


def recipe_of(name: str) -> Recipe:
    """Return the recipe of that name."""
    if name not in RECIPES:
        raise ImageError("ImageUnknown", f"no image {name!r}: there are {', '.join(RECIPES)}")
    return RECIPES[name]

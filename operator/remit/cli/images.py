"""`remit images`: build the images without Docker, and load them into an embedded cluster."""

import time
from typing import Annotated

import typer

app = typer.Typer(help="Build the images without Docker.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Images to build; all when none is named.")]
Into = Annotated[str | None, typer.Option("--load-into", help="Embedded cluster to load the images into.")]


@app.command("list")
def list_images() -> None:
    """Name the images that can be built."""
    from remit.images.recipe import RECIPES

    for recipe in RECIPES.values():
        typer.echo(f"{recipe.name:<14} {' '.join(recipe.entrypoint)}")


@app.command()
def build(names: Names = None, load_into: Into = None) -> None:
    """Build images and print their references; what is built already is not built again."""
    from remit.cluster import Cluster, ClusterError
    from remit.images.build import build_image
    from remit.images.errors import ImageError
    from remit.images.recipe import RECIPES, recipe_of

    started = time.monotonic()
    try:
        recipes = [recipe_of(name) for name in names or RECIPES]
        for recipe in recipes:
            image = build_image(recipe, say=lambda step: say(step, started))
            if load_into is not None:
                Cluster(load_into).load_image(image.path)
            typer.echo(f"{image.reference}  {image.path}")
    except (ImageError, ClusterError) as error:
        typer.echo(f"{error.reason}: {error}", err=True)
        raise typer.Exit(1) from error


def say(step: str, started: float) -> None:
    """Show what is being done, and when it began."""
    typer.echo(f"{time.monotonic() - started:6.1f} s  {step}", err=True)

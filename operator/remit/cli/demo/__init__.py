"""`remit demo`: tells the whole story on a real cluster, and asserts each scene."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from remit.cli.cluster import in_a_shell
from remit.cli.demo.scenes import SCENES
from remit.cli.demo.setting import choose, embedded, furnish
from remit.cli.demo.stage import SceneError, Stage
from remit.cli.evidence import EvidenceError
from remit.cli.install import InstallError
from remit.cluster import ClusterError
from remit.images.errors import ImageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

NEXT = """What to try next:
  {shell}
  kubectl get agt,tgrant,agpol,agrun -n bank          what there is
  kubectl explain agentrun.spec                       what a run can say
  remit export dispute-4711 -n bank -o /tmp/evidence  everything that proves a run
  $EDITOR examples/01-bank-dispute/policy.yaml        change a rule, apply it, run again
  remit cluster down                                  leave the machine as it was"""


@app.command()
def demo(
    scene: Annotated[list[str] | None, typer.Option(help="Only this scene; again for more.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Name of the embedded cluster.")] = None,
    registry: Annotated[str, typer.Option(help="HOST/PATH[@TAG] of the images, for a cluster of your own.")] = "",
) -> None:
    """Tell the whole story on an embedded cluster, or on the one of KUBECONFIG."""
    console = Console(highlight=False, width=110)
    chosen = scene or list(SCENES)
    if unknown := [name for name in chosen if name not in SCENES]:
        console.print(f"no scene {', '.join(unknown)}: there are {', '.join(SCENES)}")
        raise typer.Exit(2)
    began = time.monotonic()
    try:
        console.print("[bold]Setting the stage[/bold]")
        stage = choose(cluster, registry, lambda line: console.print(f"  {line}", markup=False))
        furnish(stage, stage.say)
        play(stage, chosen)
    except (SceneError, InstallError, EvidenceError, ClusterError, ImageError) as error:
        console.print(f"FAILED: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error
    console.print(f"\n[bold green]All {len(chosen)} scenes held[/bold green] in {time.monotonic() - began:.0f} s\n")
    console.print(NEXT.format(shell=shell_line(stage.kubeconfig)), markup=False)


def shell_line(kubeconfig: Path) -> str:
    """Give the line that makes a shell speak to the cluster of this kubeconfig."""
    name = embedded(kubeconfig)
    return in_a_shell(name) if name else f'export KUBECONFIG={kubeconfig} PATH="$PATH:{Path(sys.executable).parent}"'


def play(stage: Stage, chosen: list[str]) -> None:
    """Play the chosen scenes in their order; raises SceneError at the first that does not hold."""
    for number, name in enumerate(chosen, 1):
        what = (SCENES[name].__doc__ or name).strip()
        stage.console.print(f"\n[bold]{number}. {what}[/bold]")
        SCENES[name](stage)

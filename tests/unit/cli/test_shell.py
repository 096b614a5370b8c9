"""Which cluster a shell speaks to: `remit cluster env`, and the KUBECONFIG that `remit demo` finds."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from remit.cli import demo
from remit.cli.cluster import app
from remit.cli.demo import setting
from remit.cli.demo.stage import SceneError
from remit.cluster import Cluster


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "s"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "cluster.json").write_text('{"index": 3, "products": "/built/abc"}')
    monkeypatch.setenv("REMIT_STATE", str(folder))
    monkeypatch.setattr("remit.cluster.layout.PATH_LIMIT", 200)
    for name in ("REMIT_CLUSTER", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECACHEDIR", "/cache/kubectl")
    return folder


def test_env_names_the_kubeconfig_and_appends_to_the_path(state: Path) -> None:
    printed = CliRunner().invoke(app, ["env", "--name", "mine"]).stdout.splitlines()
    assert printed[0] == f"export KUBECONFIG={state}/mine/kubeconfig"
    assert printed[1] == "export KUBECACHEDIR=/cache/kubectl"
    assert printed[2].startswith('export PATH="$PATH":')
    assert printed[2].endswith("/bin:/built/abc/bin")


def test_env_of_no_cluster_says_how_to_make_one() -> None:
    ended = CliRunner().invoke(app, ["env", "--name", "yours"])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "there is no cluster 'yours': remit cluster up" in ended.stderr


@pytest.mark.parametrize("name", ["mine", "remit"])
def test_the_kubeconfig_of_an_embedded_cluster_is_known_also_when_it_is_down(state: Path, name: str) -> None:
    assert setting.embedded(state / name / "kubeconfig") == name


def test_the_demo_runs_on_the_embedded_cluster_whose_kubeconfig_is_set(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[str | None] = []
    monkeypatch.setattr(setting, "own_cluster", lambda name, _say: chosen.append(name))
    monkeypatch.setenv("KUBECONFIG", str(state / "mine" / "kubeconfig"))
    setting.choose(None, "", print)
    setting.choose("other", "", print)
    assert chosen == ["mine", "other"]


def test_the_demo_asks_for_a_registry_on_a_cluster_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setattr("remit.cli.demo.setting.shutil.which", lambda _name: "/bin/kubectl")
    with pytest.raises(SceneError, match="--registry"):
        setting.choose(None, "", print)


def test_the_line_for_a_shell_names_the_cluster_that_is_not_the_default() -> None:
    assert demo.shell_line(Cluster().kubeconfig_path).endswith('remit cluster env)"')
    assert demo.shell_line(Cluster("mine").kubeconfig_path).endswith('remit cluster env --name mine)"')
    assert demo.shell_line(Path("/home/me/config")).startswith("export KUBECONFIG=/home/me/config ")

"""The controller as a process of its own, with its own account, against a real apiserver, scheduler and kubelet."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from tests.support.controller_process import ControllerProcess, kubeconfig_of
from tests.support.kube import Kube
from tests.support.tenant import Tenant


@pytest.fixture(scope="module")
def account(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of the controller's account."""
    path = tmp_path_factory.mktemp("account") / "kubeconfig"
    path.write_text(json.dumps(kubeconfig_of(kube, "remit-controller")))
    return path


@pytest.fixture(scope="module")
def controller(account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerProcess]:
    """A controller that runs, and is stopped at the end."""
    process = ControllerProcess(account, tmp_path_factory.mktemp("controller") / "log")
    try:
        process.start()
        yield process
    finally:
        process.stop()  # one that was too slow to start would else act beside the next one


@pytest.fixture
def mortal(account: Path, tmp_path: Path) -> Iterator[ControllerProcess]:
    """A controller that the test starts, and that is stopped at the end."""
    process = ControllerProcess(account, tmp_path / "log")
    yield process
    process.stop()


@pytest.fixture
def fresh_namespace(kube: Kube) -> Iterator[Callable[[], str]]:
    """Makes namespaces, and sends them away at the end."""
    made: list[str] = []

    def fresh() -> str:
        name = f"controlled-{token_hex(4)}"
        answer = kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
        assert answer.code == 201, answer.message
        made.append(name)
        return name

    yield fresh
    for name in made:
        kube.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def tenant(kube: Kube, fresh_namespace: Callable[[], str]) -> Tenant:
    """A namespace of its own for one test."""
    return Tenant(kube, fresh_namespace())

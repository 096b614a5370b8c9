"""What the components are told. The golden files hold all of it.

Run this file as a program to write them anew, and review their diff.
"""

import ipaddress
import json
from dataclasses import replace
from pathlib import Path

import pytest

from remit.cluster import configs, objects, outbound, pki
from remit.cluster.components import components
from remit.cluster.configs import Machine, Settings
from remit.cluster.errors import MachineError
from remit.cluster.layout import Addresses, Layout, layout_of
from remit.cluster.start import recipe_of

GOLDEN = Path(__file__).parent / "golden"


def settings(name: str = "demo", index: int = 3, *, can_lower_oom_score: bool = False) -> Settings:
    machine = Machine(can_lower_oom_score=can_lower_oom_score, iptables_backend="NFT")
    return Settings(layout_of(name, Path("/state")), Addresses(index), Path("/products"), machine)


def command_lines() -> str:
    lines: list[str] = []
    for component in components(settings()):
        lines += [f"# {component.name}, health: {component.health or 'asked otherwise'}"]
        lines += [f"{name}={value}" for name, value in component.environment]
        lines += [*component.arguments, ""]
    return "\n".join(lines)


def write_anew() -> None:
    for name, content in configs.files(settings()).items():
        (GOLDEN / Path(name).name).write_text(content)
    (GOLDEN / "command-lines.txt").write_text(command_lines())


@pytest.mark.parametrize("name", sorted(configs.files(settings())))
def test_a_configuration_file_is_as_reviewed(name: str) -> None:
    assert configs.files(settings())[name] == (GOLDEN / Path(name).name).read_text()


def test_the_command_lines_are_as_reviewed() -> None:
    assert command_lines() == (GOLDEN / "command-lines.txt").read_text()


def test_two_clusters_share_no_path_and_no_address() -> None:
    one, other = settings("one", 1), settings("other", 2)
    for mine, theirs in zip(components(one), components(other), strict=True):
        assert "/state/other" not in str(mine)
        assert one.addresses.node not in str(theirs)


def test_an_unlowered_oom_score_is_asked_for_only_where_it_cannot_be_lowered() -> None:
    assert "restrict_oom_score_adj = true" in configs.containerd(settings(can_lower_oom_score=False))
    assert "restrict_oom_score_adj = false" in configs.containerd(settings(can_lower_oom_score=True))


@pytest.mark.parametrize("can", [True, False])
def test_gvisor_is_offered_only_where_its_shim_can_lower_its_oom_score(*, can: bool) -> None:
    assert ("runtimes.runsc" in configs.containerd(settings(can_lower_oom_score=can))) is can


def test_names_outside_are_asked_for_only_by_a_cluster_with_a_way_there() -> None:
    assert "forward" not in configs.corefile(settings())
    asked = configs.corefile(replace(settings(), nameservers=("192.0.2.1", "192.0.2.2")))
    assert "    forward . 192.0.2.1 192.0.2.2\n" in asked


def test_a_resolver_of_the_machine_itself_is_no_name_server_for_a_cluster() -> None:
    stub, real = "nameserver 127.0.0.53\n", "# made by\nnameserver ::1\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n"
    assert outbound.nameservers((stub, real)) == ("192.0.2.1", "192.0.2.2")


def test_without_a_reachable_name_server_there_is_no_way_to_the_internet() -> None:
    with pytest.raises(MachineError, match="name server"):
        outbound.nameservers(("nameserver 127.0.0.1\n", ""))


def test_only_what_leaves_the_machine_is_translated() -> None:
    assert 'ip saddr { 10.244.48.0/20, 10.200.3.2 } oifname != "remit3" masquerade' in outbound.table(Addresses(3))


def test_writes_and_what_remit_asks_are_audited_once_each_without_their_bodies() -> None:
    writes, ours, rest = configs.AUDIT_POLICY["rules"]
    assert (writes["level"], ours["level"], rest) == ("Metadata", "Metadata", {"level": "None"})
    assert ours["userGroups"] == ["system:serviceaccounts:remit-system"]
    assert not {"get", "list", "watch"} & set(writes["verbs"])
    assert {"RequestReceived", "ResponseStarted"} == set(configs.AUDIT_POLICY["omitStages"])


def test_a_component_is_started_anew_when_its_configuration_or_its_authority_changes(tmp_path: Path) -> None:
    machine = Machine(can_lower_oom_score=False, iptables_backend="NFT")
    before = Settings(Layout("demo", tmp_path), Addresses(3), Path("/products"), machine)
    before.layout.pki.mkdir(parents=True)
    (before.layout.pki / "ca.crt").write_text("one")
    kubelet = next(each for each in components(before) if each.name == "kubelet")
    first = recipe_of(kubelet, before)
    (before.layout.pki / "ca.crt").write_text("another")
    assert recipe_of(kubelet, before) != first


def test_keys_are_made_once_and_missing_ones_are_added(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    pki.make(folder, Addresses(0))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "proxy.crt").unlink()
    pki.make(folder, Addresses(0))
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"proxy.crt", "proxy.key"}


def test_nobody_else_reads_the_keys(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    pki.make(folder, Addresses(0))
    assert folder.stat().st_mode & 0o77 == 0
    assert not [path for path in folder.iterdir() if path.stat().st_mode & 0o77]


def test_every_authority_of_another_time_is_forgotten_with_its_certificates(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    pki.make(folder, Addresses(0))
    signer = (folder / "service-account.key").read_bytes()
    admin = (folder / "admin.crt").read_bytes()
    (folder / "ca.key").unlink()
    pki.make(folder, Addresses(0))
    assert (folder / "admin.crt").read_bytes() != admin
    assert (folder / "service-account.key").read_bytes() == signer


def test_a_kubeconfig_needs_no_other_file(tmp_path: Path) -> None:
    pki.make(tmp_path, Addresses(5))
    config = json.loads((tmp_path / "admin.kubeconfig").read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    assert ipaddress.ip_address(cluster["server"].split("/")[-1].split(":")[0]) == ipaddress.ip_address("10.200.5.2")
    assert {*cluster, *user} == {
        "server",
        "certificate-authority-data",
        "client-certificate-data",
        "client-key-data",
    }


def test_there_are_volumes_for_both_access_modes_each_in_its_own_folder() -> None:
    volumes = [each.body for each in objects.storage(settings()) if each.body["kind"] == "PersistentVolume"]
    modes = [volume["spec"]["accessModes"] for volume in volumes]
    paths = {volume["spec"]["local"]["path"] for volume in volumes}
    assert (modes.count(["ReadWriteOncePod"]), modes.count(["ReadWriteOnce"])) == (8, 4)
    assert len(paths) == len(volumes)


if __name__ == "__main__":
    write_anew()

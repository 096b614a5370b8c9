"""Names, paths and addresses of clusters."""

import ipaddress
from itertools import combinations
from pathlib import Path

import pytest

from remit.cluster.errors import InvalidNameError, MachineError
from remit.cluster.layout import (
    CLUSTER_LIMIT,
    Addresses,
    cache_folder,
    default_name,
    free_index,
    layout_of,
    state_folder,
)

STATE = Path("/var/lib/remit")


def ranges(index: int) -> list[ipaddress.IPv4Network]:
    addresses = Addresses(index)
    return [ipaddress.IPv4Network(each) for each in (addresses.link_range, addresses.pods, addresses.services)]


def test_no_two_clusters_share_an_address() -> None:
    everything = [each for index in range(CLUSTER_LIMIT) for each in ranges(index)]
    assert not [pair for pair in combinations(everything, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize("index", range(CLUSTER_LIMIT))
def test_derived_addresses_lie_in_their_ranges(index: int) -> None:
    addresses = Addresses(index)
    link, _, services = ranges(index)
    assert {ipaddress.ip_address(addresses.host), ipaddress.ip_address(addresses.node)} == set(link.hosts())
    assert ipaddress.ip_address(addresses.kubernetes_service) in services
    assert ipaddress.ip_address(addresses.dns_service) in services


def test_the_first_free_index_is_given() -> None:
    assert free_index([0, 1, 3], []) == 2


def test_an_index_whose_addresses_the_machine_routes_elsewhere_is_passed_over() -> None:
    assert free_index([], [ipaddress.IPv4Network("10.244.0.0/24")]) == 1


def test_no_addresses_left_is_an_error_that_says_so() -> None:
    with pytest.raises(MachineError, match="no addresses left"):
        free_index(range(CLUSTER_LIMIT), [])


def test_a_route_to_all_private_addresses_leaves_nothing() -> None:
    with pytest.raises(MachineError, match="routes"):
        free_index([], [ipaddress.IPv4Network("10.0.0.0/8")])


@pytest.mark.parametrize("name", ["remit", "a", "my-cluster", "a23456789b123456789c"])
def test_short_lower_case_words_are_names(name: str) -> None:
    assert layout_of(name, STATE).root == STATE / name


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a/b", "..", "a23456789b123456789cd", "1a", "a b", "a\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="cluster name"):
        layout_of(name, STATE)


def test_a_path_too_long_for_unix_sockets_is_refused() -> None:
    with pytest.raises(InvalidNameError, match="unix sockets"):
        layout_of("remit", Path("/" + "x" * 60))


def test_folders_and_name_come_from_the_environment_or_have_defaults() -> None:
    home = Path("/home/somebody")
    given = {"REMIT_STATE": "/s", "REMIT_CACHE": "/c", "REMIT_CLUSTER": "n"}
    assert (state_folder(given), cache_folder(given, home), default_name(given)) == (Path("/s"), Path("/c"), "n")
    assert (state_folder({}), cache_folder({}, home), default_name({})) == (STATE, home / ".cache/remit", "remit")

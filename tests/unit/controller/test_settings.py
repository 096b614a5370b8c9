"""Settings by environment, and what kopf is told."""

from collections.abc import Iterable
from itertools import islice
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.support.controlled import StillClock

from remit.adapters.access import Access
from remit.controller import handlers
from remit.controller.kinds import POD, WATCHED
from remit.controller.settings import Settings, SettingsError, from_environment
from remit.controller.watches import Watches


def test_what_is_absent_has_its_default() -> None:
    assert from_environment({"REMIT_HARNESS_IMAGE": "h:1"}) == Settings("h:1", probe_seconds=600)


def test_every_setting_is_read() -> None:
    read = from_environment(
        {
            "REMIT_HARNESS_IMAGE": "h:1",
            "REMIT_NAMESPACE": "elsewhere",
            "REMIT_HOST": "127.0.0.1",
            "REMIT_METRICS_PORT": "1",
            "REMIT_RESYNC_SECONDS": "2",
            "REMIT_STOP_GRACE_SECONDS": "3",
            "REMIT_OUTCOME_GRACE_SECONDS": "4",
            "REMIT_PROBE_SECONDS": "5",
            "REMIT_PROBE_INTERNET": "192.0.2.1:443, [2001:db8::1]:443",
        }
    )

    assert read == Settings(
        *("h:1", "elsewhere", "127.0.0.1", 1, 2, 3, 4),
        probe_seconds=5,
        probe_internet=("192.0.2.1:443", "[2001:db8::1]:443"),
    )


def test_the_lease_can_be_shorter_or_none_and_belongs_to_a_name() -> None:
    image = {"REMIT_HARNESS_IMAGE": "h:1"}
    read = from_environment({**image, "REMIT_LEASE_SECONDS": "3", "REMIT_IDENTITY": "pod-1"})
    assert (read.lease_seconds, read.identity) == (3, "pod-1")
    assert from_environment({**image, "REMIT_LEASE": "off"}).lease_seconds == 0


def test_the_one_namespace_that_is_watched_is_that_of_the_installation() -> None:
    image = {"REMIT_HARNESS_IMAGE": "h:1"}
    read = from_environment({**image, "REMIT_WATCH_NAMESPACE": "team", "REMIT_NAMESPACE": "team"})
    assert read.watch_namespace == "team"


async def test_of_namespaces_only_our_own_is_asked_for_where_we_may_see_no_other() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        server_url = str(server.make_url("")).rstrip("/")
        async with handlers.session(Access(server_url), Watches(WATCHED, StillClock()), "team") as session:
            for path in ("/api/v1/namespaces?watch=true", "/api/v1/namespaces/team/pods"):
                async with session.get(f"{server_url}{path}"):
                    pass
    assert asked == [
        "/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3Dteam",
        "/api/v1/namespaces/team/pods",
    ]


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "REMIT_HARNESS_IMAGE"),
        ({"REMIT_HARNESS_IMAGE": "h", "REMIT_METRICS_PORT": "-1"}, "REMIT_METRICS_PORT"),
        ({"REMIT_HARNESS_IMAGE": "h", "REMIT_LEASE": "perhaps"}, "REMIT_LEASE must"),
        ({"REMIT_HARNESS_IMAGE": "h", "REMIT_LEASE_SECONDS": "2"}, "REMIT_LEASE_SECONDS"),
        ({"REMIT_HARNESS_IMAGE": "h", "REMIT_WATCH_NAMESPACE": "other"}, "REMIT_WATCH_NAMESPACE"),
    ],
)
def test_what_is_wrong_is_named(environment: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        from_environment(environment)


def test_kopf_keeps_no_books() -> None:
    settings = handlers.settings()

    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert not settings.posting.enabled


def test_children_are_chosen_at_the_apiserver() -> None:
    chosen = handlers.settings().watching.label_selectors

    assert list(chosen.values()) == [watched.selector for watched in WATCHED if watched.selector]
    assert POD.selector == "remit.dev/sandbox"


async def test_kopf_logs_in_as_we_do() -> None:
    async with handlers.session(Access("http://10.0.0.1", token="t"), Watches(WATCHED, StillClock())) as session:
        assert session.headers["Authorization"] == "Bearer t"


def test_kopf_waits_for_nothing_for_long_and_never_gives_up() -> None:
    settings = handlers.settings()

    assert settings.watching.server_timeout == 15
    assert settings.watching.inactivity_timeout == 20
    assert settings.networking.request_timeout == 20
    assert list(islice(cast("Iterable[float]", settings.networking.error_backoffs), 5)) == [0.5, 1, 2, 5, 5]

"""Settings by environment, and what kopf is told."""

import pytest

from remit.adapters.access import Access
from remit.controller import handlers
from remit.controller.kinds import POD, WATCHED
from remit.controller.settings import Settings, SettingsError, from_environment


def test_what_is_absent_has_its_default() -> None:
    assert from_environment({"REMIT_HARNESS_IMAGE": "h:1"}) == Settings("h:1")


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
        }
    )

    assert read == Settings("h:1", "elsewhere", "127.0.0.1", 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("environment", "name"),
    [({}, "REMIT_HARNESS_IMAGE"), ({"REMIT_HARNESS_IMAGE": "h", "REMIT_METRICS_PORT": "-1"}, "REMIT_METRICS_PORT")],
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


def test_kopf_logs_in_as_we_do() -> None:
    info = handlers.connection(Access("https://10.0.0.1", authority="PEM", token="t"))

    assert (info.server, info.ca_data, info.as_http_headers()) == (
        "https://10.0.0.1",
        b"PEM",
        {"Authorization": "Bearer t"},
    )

"""What must not be shown."""

import base64
from typing import Any

import pytest

from remit.core.redact import REDACTED, without_secrets

SECRET = "planted-4711-key"


@pytest.mark.parametrize(
    "value",
    [
        f"your key is {SECRET}!",
        {"deep": [{"er": SECRET}]},
        {SECRET: 1},
        base64.b64encode(SECRET.encode()).decode(),
        f"{SECRET}{SECRET}",
    ],
)
def test_a_secret_is_cut_out_wherever_it_stands(value: Any) -> None:
    shown = str(without_secrets(value, [SECRET]))
    assert SECRET not in shown
    assert base64.b64encode(SECRET.encode()).decode() not in shown
    assert REDACTED in shown


@pytest.mark.parametrize("secrets", [[], [""], ["ab"], ["other-secret"]])
def test_what_holds_no_secret_stays_as_it_is(secrets: list[str]) -> None:
    value = {"a": [1, None, True, 1.5, "ab text"]}
    assert without_secrets(value, secrets) == value


@pytest.mark.parametrize("secrets", [["planted", SECRET], [SECRET, "planted"]])
def test_a_secret_that_begins_another_leaves_nothing_of_it(secrets: list[str]) -> None:
    assert without_secrets(f"key {SECRET}!", secrets) == f"key {REDACTED}!"

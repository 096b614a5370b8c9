"""Canonical JSON and digests."""

import pytest

from remit.core.digest import canonical, digest_of, sha256_hex


def test_names_are_sorted_and_nothing_is_added() -> None:
    assert canonical({"b": [1, True, None], "a": "ü\n\u2028"}) == '{"a":"ü\\n\u2028","b":[1,true,null]}'.encode()


def test_names_are_sorted_as_utf_16() -> None:
    assert canonical({"\U0001f600": 1, "\ufb33": 2}) == '{"\U0001f600":1,"\ufb33":2}'.encode()


def test_numbers_are_written_as_the_standard_says() -> None:
    assert canonical([1.0, 1e21, 0.000001, 1e-7, -0.0, 0.1]) == b"[1,1e+21,0.000001,1e-7,0,0.1]"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53 + 1, -(2**60), 2.0**53, [1e20], "\ud800", {"\ud800": 1}, {1: 2}, {1}]
)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)


def test_a_digest_names_its_function() -> None:
    assert digest_of({}) == "sha256:" + sha256_hex(b"{}")
    assert sha256_hex(b"{}") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

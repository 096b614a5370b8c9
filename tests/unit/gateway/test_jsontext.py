"""What counts as JSON from outside."""

import pytest

from remit.api.reasons import CallReason
from remit.gateway.jsontext import MAX_DEPTH, MalformedError, parse, parse_object, write


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", CallReason.MALFORMED, id="empty"),
        pytest.param(b'{"a": 1', CallReason.MALFORMED, id="cut off"),
        pytest.param(b'{"a": 1} x', CallReason.MALFORMED, id="something behind"),
        pytest.param(b"\xff\xfe{\x00}\x00", CallReason.MALFORMED, id="not UTF-8"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', CallReason.MALFORMED, id="a byte order mark"),
        pytest.param(b'{"a": 1, "a": 2}', CallReason.MALFORMED, id="a name twice"),
        pytest.param(b'{"a": {"b": 1, "b": 1}}', CallReason.MALFORMED, id="a name twice inside"),
        pytest.param(b'{"a": NaN}', CallReason.MALFORMED, id="NaN"),
        pytest.param(b'{"a": -Infinity}', CallReason.MALFORMED, id="Infinity"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", CallReason.MALFORMED, id="a number without end"),
        pytest.param(nested(MAX_DEPTH + 1), CallReason.MALFORMED, id="deep"),
        pytest.param(nested(100_000), CallReason.MALFORMED, id="very deep"),
        pytest.param(b'"' + b"x" * (1 << 20) + b'"', CallReason.TOO_LARGE, id="large"),
    ],
)
def test_what_is_no_json_of_ours_is_refused(body: bytes, reason: CallReason) -> None:
    with pytest.raises(MalformedError) as caught:
        parse(body)
    assert caught.value.reason is reason


def test_a_body_as_deep_as_allowed_is_taken() -> None:
    assert write(parse(nested(MAX_DEPTH))) == nested(MAX_DEPTH)


def test_many_flat_objects_are_taken() -> None:
    assert len(parse(write([{}] * 1000))) == 1000


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"'])
def test_an_object_is_an_object(body: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_object(body)


def test_what_is_written_is_read_back() -> None:
    value = {"a": ["ü", "\ud800", 1.5, None]}
    assert parse(write(value)) == value

"""Server-sent events, however the chunks are cut."""

import pytest

from remit.gateway.sse import Event, EventReader, EventTooLargeError, events_of

STREAM = (
    b"\xef\xbb\xbf: hello\r\ndata: one\rdata:two\n\nevent: named\ndata: {}\nid: 7\nretry: 5\n\n\ndata\n\nevent: x\n\n"
)
EVENTS = [Event("", "one\ntwo"), Event("named", "{}"), Event("", "")]


def test_a_whole_stream_is_read() -> None:
    assert events_of(STREAM) == EVENTS


@pytest.mark.parametrize("size", range(1, 12))
def test_the_cut_of_the_chunks_does_not_matter(size: int) -> None:
    reader = EventReader()
    chunks = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [event for chunk in chunks for event in reader.feed(chunk)] == EVENTS


def test_a_cut_inside_a_character_does_not_matter() -> None:
    reader = EventReader()
    text = "data: ü€😀\n\n".encode()
    assert [event for at in range(len(text)) for event in reader.feed(text[at : at + 1])] == [Event("", "ü€😀")]


@pytest.mark.parametrize("event", [*EVENTS, Event("a", "x\n\ny"), Event("", "ü")])
def test_what_is_written_is_read_back(event: Event) -> None:
    assert events_of(event.encoded()) == [event]


@pytest.mark.parametrize(
    "chunk", [b"data: " + b"x" * 200, b"data: xxxxxxxxxx\n" * 20, b"data: " + b"x" * 200 + b"\n\n"]
)
def test_an_event_is_bounded(chunk: bytes) -> None:
    with pytest.raises(EventTooLargeError):
        EventReader(max_event_bytes=100).feed(chunk)


def test_a_comment_that_never_ends_is_bounded() -> None:
    with pytest.raises(EventTooLargeError):
        EventReader(max_event_bytes=100).feed(b":" * 200)


def test_many_small_events_are_not_one_large() -> None:
    assert len(EventReader(max_event_bytes=100).feed(b"data: xxxxxxxxxx\n\n" * 100)) == 100

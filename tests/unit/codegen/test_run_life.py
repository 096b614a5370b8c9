"""The life of a run as it is drawn is the life that the controller's table gives it."""

from remit.api.reasons import FINAL_RUN_REASONS, RunReason
from remit.codegen.run_life import EVENT_WORDS, diagram, table
from remit.core.lifecycle import TRANSITIONS, RunEvent


def test_every_event_is_explained() -> None:
    assert set(EVENT_WORDS) == set(RunEvent)


def test_every_reason_is_drawn_and_the_final_ones_end() -> None:
    drawn = diagram()
    assert [reason for reason in RunReason if f" {reason}" not in drawn] == []
    assert {line.split()[0] for line in drawn.splitlines() if line.endswith("--> [*]")} == set(FINAL_RUN_REASONS)


def test_every_transition_out_of_a_reason_under_way_stands_in_the_table() -> None:
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in table().splitlines()[2:]}
    for (reason, event), after in TRANSITIONS.items():
        if reason not in FINAL_RUN_REASONS:
            assert f"`{after}`" in rows[event]


def test_whatever_changes_a_reason_is_an_arrow() -> None:
    drawn = diagram()
    for (reason, event), after in TRANSITIONS.items():
        if reason in FINAL_RUN_REASONS or after is reason:
            continue
        start = "UnderWay" if after in FINAL_RUN_REASONS else reason
        arrows = [line for line in drawn.splitlines() if line.strip().startswith(f"{start} --> {after}:")]
        assert len(arrows) == 1
        assert event in arrows[0]

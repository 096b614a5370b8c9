"""A row says what was measured and whether it holds; what is not measured is neither good nor bad."""

import json
from pathlib import Path

from benchmarks.figures import Anchor
from benchmarks.rows import Bound, Comparison, merged, row_of, store, table

COMMIT = "0" * 40


def a_comparison(
    *,
    name: str = "speed",
    bound: Bound = Bound("ratio", 2.0),  # noqa: B008 - frozen
    ours: tuple[float, ...] = (3.0, 1.0, 2.0),
    peers: tuple[float, ...] = (1.0, 1.0, 4.0),
    control: tuple[float, ...] = (),
    anchor: Anchor | None = None,
    anchor_figure: float | None = None,
) -> Comparison:
    return Comparison(
        name=name,
        peer="another",
        unit="s",
        bound=bound,
        ours=ours,
        peers=peers,
        control=control,
        anchor=anchor,
        anchor_figure=anchor_figure,
    )


def test_figures_are_medians_and_the_ratio_is_ours_to_the_peers() -> None:
    row = row_of(a_comparison(), COMMIT)
    assert (row["figure"], row["peer_figure"], row["ratio"]) == (2.0, 1.0, 2.0)
    assert row["samples"]["ours"] == [3.0, 1.0, 2.0]


def test_a_ratio_at_its_bound_is_ok() -> None:
    row = row_of(a_comparison(), COMMIT)
    assert row["ok"] is True
    assert row["bound"] == "ratio <= 2"


def test_a_ratio_above_its_bound_is_not_ok_and_says_so() -> None:
    row = row_of(a_comparison(ours=(2.1,)), COMMIT)
    assert row["ok"] is False
    assert row["notes"][0] == "NOT OK: ratio 2.1 is above its bound of 2"


def test_a_bound_of_the_figure_does_not_look_at_the_peer() -> None:
    row = row_of(a_comparison(bound=Bound("figure", 2.0), peers=(0.1,)), COMMIT)
    assert row["ok"] is True
    assert row["bound"] == "figure <= 2 s"


def test_a_ratio_without_a_peer_is_not_ok() -> None:
    assert row_of(a_comparison(peers=()), COMMIT)["ok"] is False


def test_what_was_not_measured_is_neither_ok_nor_not() -> None:
    row = row_of(a_comparison(ours=()), COMMIT)
    assert (row["figure"], row["ratio"], row["ok"]) == (None, None, None)
    assert row["peer_figure"] == 1.0


def test_a_peer_far_off_what_is_known_of_it_makes_the_row_not_ok() -> None:
    known = Anchor(2.6, 3.0)
    row = row_of(a_comparison(anchor=known), COMMIT)
    assert row["ok"] is False
    assert "more than 2.5 x off" in row["notes"][0]


def test_a_peer_within_two_and_a_half_times_of_what_is_known_is_believed() -> None:
    assert row_of(a_comparison(anchor=Anchor(2.5, 3.0)), COMMIT)["ok"] is True
    assert row_of(a_comparison(anchor=Anchor(0.1, 0.4)), COMMIT)["ok"] is True


def test_an_anchor_may_be_of_another_figure_than_the_peers() -> None:
    assert row_of(a_comparison(anchor=Anchor(12, 12), anchor_figure=15), COMMIT)["ok"] is True
    assert row_of(a_comparison(anchor=Anchor(12, 12), anchor_figure=31), COMMIT)["ok"] is False


def test_a_noisy_control_is_told() -> None:
    assert any("NOISY" in note for note in row_of(a_comparison(control=(1.2,)), COMMIT)["notes"])
    assert any("quiet" in note for note in row_of(a_comparison(control=(1.05,)), COMMIT)["notes"])


def test_new_rows_take_the_place_of_old_ones_of_their_name() -> None:
    old = [row_of(a_comparison(name=name), "old") for name in ("b", "a")]
    new = [row_of(a_comparison(name=name), "new") for name in ("c", "a")]
    assert [(row["name"], row["commit"]) for row in merged(old, new)] == [("a", "new"), ("b", "old"), ("c", "new")]


def test_what_was_not_measured_takes_no_measured_rows_place() -> None:
    measured, unmeasured = row_of(a_comparison(), "old"), row_of(a_comparison(ours=()), "new")
    assert merged([measured], [unmeasured]) == [measured]
    assert merged([], [unmeasured]) == [unmeasured]


def test_stored_rows_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "results" / "latest.json"
    store(path, [row_of(a_comparison(name="a"), COMMIT)])
    store(path, [row_of(a_comparison(name="b"), COMMIT)])
    stored = json.loads(path.read_text())
    assert [row["name"] for row in stored] == ["a", "b"]
    wanted = {"name", "peer", "figure", "peer_figure", "unit", "ratio", "bound", "ok", "commit", "samples"}
    assert wanted <= set(stored[0])


def test_a_table_has_a_line_for_each_row_and_its_notes_below() -> None:
    rows = [row_of(a_comparison(), COMMIT), row_of(a_comparison(ours=()), COMMIT)]
    lines = table(rows).splitlines()
    assert lines[0].split()[:2] == ["name", "figure"]
    assert "ok" in lines[1].split()
    assert lines[2].startswith("    quartiles")
    assert "not measured" in lines[3]

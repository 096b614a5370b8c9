"""When what is seen is what is wanted. That plans converge and protect is in tests/property."""

from remit.core.plan import matches


def test_matching_ignores_what_others_added() -> None:
    assert matches({"a": [{"b": 1}], "c": []}, {"a": [{"b": 1, "x": 2}], "d": 3})


def test_matching_does_not_ignore_another_item_of_a_list() -> None:
    assert not matches({"a": []}, {"a": [1]})

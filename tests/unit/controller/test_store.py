"""What was seen: the newest of each object, whatever order things arrive in."""

from typing import Any

from remit.controller.store import Key, Store

KEY = Key("Pod", "bank", "one")


def pod(version: int, uid: str = "u", name: str = "one") -> dict[str, Any]:
    return {"metadata": {"namespace": "bank", "name": name, "uid": uid, "resourceVersion": str(version)}}


def test_an_older_state_does_not_replace_a_newer_one() -> None:
    store = Store()
    store.put("Pod", pod(5))
    store.put("Pod", pod(4))

    assert store.get(KEY) == pod(5)


def test_a_late_answer_does_not_bring_back_what_is_gone() -> None:
    store = Store()
    store.put("Pod", pod(5))
    store.drop("Pod", pod(7))
    store.put("Pod", pod(6))

    assert store.get(KEY) is None


def test_what_left_a_selection_can_come_back_into_it() -> None:
    store = Store()
    store.put("Pod", pod(5))
    store.drop("Pod", pod(6))
    store.put("Pod", pod(7))

    assert store.get(KEY) == pod(7)


def test_the_end_of_an_old_object_does_not_take_the_new_one_of_its_name() -> None:
    store = Store()
    store.put("Pod", pod(9, "new"))
    store.drop("Pod", pod(8, "old"))

    assert store.get(KEY) == pod(9, "new")


def test_a_list_shows_what_a_watch_missed() -> None:
    store = Store()
    store.put("Pod", pod(1, "gone", "gone"))
    store.put("Pod", pod(20, "young", "young"))
    told = store.replace("Pod", [pod(3)], 10)

    assert [thing["metadata"]["name"] for thing in told] == ["gone", "one"]
    assert {thing["metadata"]["name"] for thing in store.all("Pod")} == {"one", "young"}
    assert store.replace("Pod", [pod(3), pod(20, "young", "young")], 20) == []


def test_what_a_list_shows_to_be_gone_is_not_brought_back_by_a_watch_that_is_behind() -> None:
    store = Store()
    store.put("Pod", pod(1))
    store.replace("Pod", [], 10)
    store.put("Pod", pod(7))

    assert store.get(KEY) is None


def labelled(version: int, *labels: str, name: str = "one", uid: str = "u") -> dict[str, Any]:
    thing = pod(version, uid, name)
    thing["metadata"]["labels"] = dict.fromkeys(labels, "yes")
    return thing


def indexed() -> Store:
    return Store({"Pod": {"label": lambda thing: thing["metadata"].get("labels", {})}})


def test_an_index_finds_what_is_filed_under_a_word_and_only_in_its_namespace() -> None:
    store = indexed()
    store.put("Pod", labelled(1, "warm"))
    store.put("Pod", labelled(2, "warm", "old", name="two", uid="v"))

    assert [thing["metadata"]["name"] for thing in store.having("Pod", "label", "bank", "warm")] == ["one", "two"]
    assert [thing["metadata"]["name"] for thing in store.having("Pod", "label", "bank", "old")] == ["two"]
    assert store.having("Pod", "label", "elsewhere", "warm") == []


def test_an_index_follows_every_change_and_holds_the_newest_state() -> None:
    store = indexed()
    store.put("Pod", labelled(1, "warm"))
    store.put("Pod", labelled(3, "claimed"))
    store.put("Pod", labelled(2, "warm"))

    assert store.having("Pod", "label", "bank", "warm") == []
    assert store.having("Pod", "label", "bank", "claimed") == [labelled(3, "claimed")]
    store.put("Pod", labelled(4, "claimed", uid="another"))
    assert store.having("Pod", "label", "bank", "claimed") == [labelled(4, "claimed", uid="another")]


def test_an_index_forgets_what_is_gone_however_it_went() -> None:
    store = indexed()
    store.put("Pod", labelled(1, "warm"))
    store.put("Pod", labelled(1, "warm", name="two", uid="v"))
    store.drop("Pod", labelled(2, "warm"))
    store.replace("Pod", [], 9)

    assert store.having("Pod", "label", "bank", "warm") == []


def test_who_wrote_which_field_is_not_kept() -> None:
    store = Store()
    thing = pod(1)
    thing["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    store.put("Pod", thing)

    assert store.get(KEY) == pod(1)

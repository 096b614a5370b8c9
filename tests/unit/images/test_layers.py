"""Layers and archives: same tree, same bytes; nothing of the building machine gets in."""

import json
import tarfile
from pathlib import Path

import pytest

from remit.images.archive import image_of, write_archive
from remit.images.errors import ImageError
from remit.images.layer import Layer, load_layer, write_layer
from remit.images.recipe import RECIPES, recipe_of
from remit.images.store import Store, digest_of


def a_tree(root: Path, order: tuple[str, ...] = ("app/b.py", "app/a.py")) -> Path:
    """Make a small file system, its files written in the order given."""
    for name in order:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "app/run").write_text("#!")
    (root / "app/run").chmod(0o4755)
    (root / "app/link").symlink_to("a.py")
    (root / "tmp").mkdir()
    return root


def a_layer(folder: Path, name: str = "layer.tar", **options: tuple[str, ...]) -> Layer:
    """Write a layer of a small tree."""
    root = folder / f"{name}-root"
    root.mkdir()
    write_layer(a_tree(root, **options), (".",), folder / name)
    return load_layer(folder / name)


def entries(layer: Layer) -> dict[str, tarfile.TarInfo]:
    """Read a layer's entries by name."""
    with tarfile.open(layer.path) as tar:
        return {entry.name: entry for entry in tar}


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    first = a_layer(tmp_path, "first.tar")
    second = a_layer(tmp_path, "second.tar", order=("app/a.py", "app/b.py"))
    assert first.digest == second.digest


def test_owner_time_and_set_uid_are_not_kept(tmp_path: Path) -> None:
    found = entries(a_layer(tmp_path))
    assert {(entry.uid, entry.gid, entry.uname) for entry in found.values()} == {(0, 0, "")}
    assert len({entry.mtime for entry in found.values()}) == 1
    assert found["app/run"].mode == 0o755
    assert found["app/a.py"].mode == 0o644
    assert found["tmp"].mode == 0o1777
    assert found["app/link"].linkname == "a.py"


def test_source_date_epoch_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12345")
    assert {entry.mtime for entry in entries(a_layer(tmp_path)).values()} == {12345}


def test_a_layer_holds_only_what_is_below_its_tops(tmp_path: Path) -> None:
    root = a_tree(tmp_path / "root")
    write_layer(root, ("app",), tmp_path / "layer.tar")
    found = entries(load_layer(tmp_path / "layer.tar"))
    assert set(found) == {"app", "app/a.py", "app/b.py", "app/run", "app/link"}


def test_an_archive_names_its_config_and_layers(tmp_path: Path) -> None:
    layer = a_layer(tmp_path)
    image = image_of(RECIPES["gateway"], "1.2.3", (layer,))
    write_archive(image, "localhost/remit-gateway:1.2.3", tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as tar:
        content = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    (manifest,) = json.loads(content["manifest.json"])
    config = json.loads(content[manifest["Config"]])
    assert manifest["RepoTags"] == ["localhost/remit-gateway:1.2.3"]
    assert content[manifest["Layers"][0]] == layer.path.read_bytes()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{layer.digest}"]
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["/usr/bin/python3.11", "-m", "remit.gateway"]


def test_an_image_id_follows_from_what_is_in_it(tmp_path: Path) -> None:
    layer = a_layer(tmp_path)
    same = [image_of(RECIPES["gateway"], "1", (layer,)).id for _ in range(2)]
    other = image_of(RECIPES["harness"], "1", (layer,)).id
    assert same[0] == same[1] != other


def test_a_stored_file_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(target: Path) -> None:
        made.append(target)
        target.write_text("content")

    store = Store(tmp_path)
    paths = [store.file("layers/one.tar", make) for _ in range(2)]
    assert len(made) == 1
    assert paths[0].read_text() == "content"
    assert [path.name for path in tmp_path.iterdir()] == ["layers"]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def make(target: Path) -> None:
        target.write_text("half")
        raise ImageError("ProgramFailed", "on purpose")

    with pytest.raises(ImageError):
        Store(tmp_path).file("one.tar", make)
    assert list(tmp_path.iterdir()) == []


def test_parts_of_a_digest_do_not_run_into_each_other() -> None:
    assert digest_of("ab", "c") != digest_of("a", "bc")


def test_an_unknown_image_is_named_with_those_that_exist() -> None:
    with pytest.raises(ImageError, match="controller, gateway, harness") as caught:
        recipe_of("gatewya")
    assert caught.value.reason == "ImageUnknown"

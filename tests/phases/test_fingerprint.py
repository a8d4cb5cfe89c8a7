from __future__ import annotations

import copy
import os
from typing import Any

import pytest
from monai.bundle import ConfigParser

from monai_unlearn.phases.fingerprint import config_closure, digest, files_digest

CONFIG: dict[str, Any] = {
    "lr": 0.1,
    "seed": 0,
    "unused": {"depth": 3},
    "output_dir": "here",
    "network": {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": "@sizes#out"},
    "sizes": {"out": 4, "other": 5},
    "copy": "%network",
    "optimizer": {
        "_target_": "torch.optim.SGD",
        "params": "$@network.parameters()",
        "lr": "@lr",
        "nested": [{"deep": [1, 2, {"deeper": "@seed"}]}],
    },
    "trainer": {"optimizer": "@optimizer", "folder": "$@output_dir + '/x'", "network": "@copy"},
}


def closure(config: dict[str, Any], *roots: str, ignore: tuple[str, ...] = ("output_dir",)) -> dict[str, Any]:
    parser = ConfigParser(copy.deepcopy(config))
    parser.parse()
    return config_closure(parser, roots or ("trainer",), ignore)


def changed(path: str, value: Any) -> dict[str, Any]:
    parser = ConfigParser(copy.deepcopy(CONFIG))
    parser[path] = value
    return parser.get()


def test_references_are_followed_to_the_end():
    assert set(closure(CONFIG)) == {"trainer", "optimizer", "network", "sizes::out", "copy", "lr", "seed"}


def test_macros_count_as_what_they_stand_for():
    assert closure(CONFIG)["copy"] == closure(CONFIG)["network"]


def test_a_root_may_be_nested_in_either_spelling():
    assert set(closure(CONFIG, "trainer#optimizer")) == {
        "trainer::optimizer",
        "optimizer",
        "network",
        "sizes::out",
        "lr",
        "seed",
    }
    assert closure(CONFIG, "trainer#optimizer") == closure(CONFIG, "trainer::optimizer")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("lr", 0.2),
        ("seed", 1),
        ("sizes#out", 8),
        ("optimizer#nested#0#deep#2#deeper", 17),
        ("network#in_features", 3),
        ("trainer#folder", "$@output_dir + '/y'"),
    ],
)
def test_a_change_of_what_is_referred_to_changes_the_digest(path, value):
    assert digest(closure(changed(path, value))) != digest(closure(CONFIG))


@pytest.mark.parametrize(
    ("path", "value"), [("unused#depth", 9), ("sizes#other", 6), ("output_dir", "elsewhere"), ("unused", "@lr")]
)
def test_a_change_of_anything_else_does_not(path, value):
    assert digest(closure(changed(path, value))) == digest(closure(CONFIG))


def test_what_only_an_ignored_id_refers_to_is_ignored():
    config = {**copy.deepcopy(CONFIG), "output_dir": "$@root + '/here'", "root": "r"}
    assert "root" not in closure(config)
    assert "root" in closure(config, ignore=())


def test_references_in_a_circle_come_to_an_end():
    assert set(closure({"a": "@b", "b": ["@a", 1]}, "a")) == {"a", "b"}


def test_a_reference_to_nothing_is_left_to_the_parser():
    assert set(closure({"a": "$@b + @nothing", "b": 1}, "a")) == {"a", "b"}


def test_the_digest_does_not_see_the_order_of_keys_but_that_of_lists():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})
    assert len(digest({})) == 64


@pytest.fixture
def files(tmp_path) -> list[dict[str, Any]]:
    cases = []
    for name in ("a", "b"):
        for key in ("image", "label"):
            (tmp_path / f"{name}_{key}").write_text(f"{key} of {name}")
        cases.append({"id": name, "image": tmp_path / f"{name}_image", "label": tmp_path / f"{name}_label"})
    return cases


def test_the_digest_of_files_is_that_of_the_same_files(files):
    assert files_digest(files, b"salt") == files_digest(copy.deepcopy(files), b"salt")


def test_the_digest_of_files_changes_with_their_ids_order_size_time_and_salt(files):
    before = files_digest(files, b"salt")
    assert files_digest(files[::-1], b"salt") != before
    assert files_digest(files[:1], b"salt") != before
    assert files_digest([{**files[0], "id": "c"}, files[1]], b"salt") != before
    assert files_digest(files, b"pepper") != before
    os.utime(files[0]["label"], ns=(0, 0))
    touched = files_digest(files, b"salt")
    assert touched != before
    files[0]["label"].write_text("another size")
    os.utime(files[0]["label"], ns=(0, 0))
    assert files_digest(files, b"salt") not in (before, touched)


def test_a_set_that_is_moved_keeps_its_digest(files, tmp_path):
    before = files_digest(files, b"salt")
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}_moved"))
    there = [{**case, **{key: moved / case[key].name for key in ("image", "label")}} for case in files]
    assert files_digest(there, b"salt") == before

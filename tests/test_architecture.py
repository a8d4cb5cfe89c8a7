"""What the design promises about the whole: where imports may go, which names are free, that every config is sound."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "monai_unlearn"
BUNDLES = ROOT / "bundles"

ROOMS = {
    "audit": {"engines", "losses", "metrics", "networks", "visualize"},
    "data": set(),
    "engines": {"losses", "networks"},
    "handlers": {"metrics", "networks"},
    "losses": set(),
    "metrics": {"losses"},
    "networks": set(),
    "phases": {"audit", "data", "engines", "handlers", "losses", "metrics", "networks", "visualize"},
    "visualize": set(),
}
"""Every room, with the rooms that it may import."""
SHARED = {"files", "__init__"}
"""Modules of the root that every room may import, and that import no room."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path: Path) -> Iterator[str]:
    """Name every module or object of ours that a module imports, wherever in the module."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE.name)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and str(node.module).split(".")[0] == PACKAGE.name:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str:
    """Name the room, or the module of the root, that a dotted name of ours lies in."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in {*ROOMS, "files", "__main__"} else "__init__"


def own_room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first if first in ROOMS else Path(first).stem


def test_every_room_is_in_the_table():
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} == set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_only_along_the_arrows(path):
    room = own_room(path)
    allowed = {"__main__": {*ROOMS, *SHARED}, "__init__": set(), "files": {"__init__"}}.get(
        room, {room, *ROOMS.get(room, ()), *SHARED}
    )
    astray = {name for name in imports_of(path) if room_of(name) not in allowed}
    assert not astray, f"{room} may import {sorted(allowed)} only"


def test_the_arrows_go_round_in_no_circle():
    waiting, settled = dict(ROOMS), set[str]()
    while waiting:
        ready = {room for room, needed in waiting.items() if needed <= settled}
        assert ready, f"{sorted(waiting)} import one another"
        settled |= ready
        waiting = {room: needed for room, needed in waiting.items() if room not in ready}


def test_an_import_astray_would_be_found(tmp_path):
    """The test of the test: inner imports, aliases and rooms imported from the root are seen."""
    module = tmp_path / "module.py"
    module.write_text(
        "import monai_unlearn.phases.session as s\nfrom monai_unlearn import audit, __version__\n"
        "def f():\n    from monai_unlearn.data.isic import x\nfrom monai.data import Dataset\nimport monai_unlearn\n"
    )
    assert [room_of(name) for name in imports_of(module)] == ["phases", "audit", "__init__", "__init__", "data"]


def test_no_import_is_relative():
    """A relative import would be one that the tests above do not see."""
    relative = [
        path for path in MODULES for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def definitions(body: list[ast.stmt]) -> Iterator[str]:
    """Name the classes and functions that a module defines, also under an ``if``, a ``try`` or a ``with``."""
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        for part in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from definitions(getattr(node, part, []))


def our_names() -> dict[str, Path]:
    """Every class and function of ours, nested ones too, without methods; and where it is."""
    names: dict[str, Path] = {}
    for path in MODULES:
        tree = tree_of(path)
        methods = {id(child) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for child in node.body}
        for node in ast.walk(tree):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and id(node) not in methods:
                names.setdefault(node.name, path)
    return {name: path for name, path in names.items() if not re.fullmatch(r"__\w+__", name)}


def names_in_monai(wanted: set[str]) -> dict[str, Path]:
    """Which of some names MONAI's modules define, and where; only files that have one of the names are parsed."""
    specification = importlib.util.find_spec("monai")
    assert specification is not None
    assert specification.origin is not None
    mentioned = re.compile(rf"^\s*(?:async\s+)?(?:def|class)\s+(?:{'|'.join(map(re.escape, sorted(wanted)))})\b", re.M)
    found: dict[str, Path] = {}
    for path in Path(specification.origin).parent.rglob("*.py"):
        if mentioned.search(path.read_text(encoding="utf-8")):
            found.update((name, path) for name in definitions(tree_of(path).body) if name in wanted)
    return found


def test_no_class_or_function_has_the_name_of_one_of_monai():
    """A bundle's short ``_target_`` is looked up in every module whose name starts with ``monai``; ours do."""
    names = our_names()
    collisions = names_in_monai(set(names))
    assert not collisions, [f"{name} ({names[name]}) is also in {path}" for name, path in collisions.items()]


def test_a_name_of_monai_would_be_found():
    assert set(names_in_monai({"UNet", "DiceLoss", "look_up_option", "UnlearningTrainer", "forward"})) == {
        "UNet",
        "DiceLoss",
        "look_up_option",
    }


def test_our_names_are_all_seen():
    names = our_names()
    assert {"UnlearningTrainer", "sha256_of", "_FrozenNormalisation", "make_student"} <= names.keys()
    assert "attach" not in names, "a method is not looked up"


CONFIGS = [path for path in sorted(BUNDLES.rglob("*.json")) if "metadata" not in path.relative_to(BUNDLES).parts[0]]
METADATA = sorted({*BUNDLES.rglob("*.json")} - {*CONFIGS})


def targets_of(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        yield from (value for key, value in content.items() if re.split("#|::", key)[-1] == "_target_")
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            yield from targets_of(value)


def name_of(path: Path) -> str:
    return str(path.relative_to(BUNDLES))


@pytest.fixture
def no_duplicate_keys(monkeypatch):
    monkeypatch.setenv("MONAI_FAIL_ON_DUPLICATE_CONFIG", "1")


def test_there_are_configs_and_metadata():
    assert CONFIGS
    assert METADATA


@pytest.mark.parametrize("path", [*CONFIGS, *METADATA], ids=name_of)
def test_every_json_of_the_bundles_has_each_key_once(path, no_duplicate_keys):
    assert ConfigParser.load_config_file(str(path))


def test_a_key_that_comes_twice_would_be_found(tmp_path, no_duplicate_keys):
    (tmp_path / "config.json").write_text('{"a": {"b": 1, "b": 2}}')
    with pytest.raises(ValueError, match="Duplicate key"):
        ConfigParser.load_config_file(str(tmp_path / "config.json"))


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_every_target_of_a_config_is_a_dotted_path(path):
    """Short names would be looked up in our package and MONAI's alike."""
    targets = list(targets_of(ConfigParser.load_config_file(str(path))))
    short = [target for target in targets if not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", target)]
    assert short == []

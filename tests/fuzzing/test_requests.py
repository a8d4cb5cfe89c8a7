from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_unlearn.data import Request, Where, load_request, read_ledger
from monai_unlearn.data.ledger import append_event
from tests.fuzzing.hostile import damaged, hostile, refused_clearly

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
KEYS = st.sampled_from(
    (
        *("ids", "patients", "where", "raters", "classes", "fraction"),
        *("all_of", "any_of", "whole_patients", "reason", "date"),
    )
)
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=5)
)
GOOD = {
    "any_of": [{"patients": ["p1"]}, {"where": 'age < 18 and site in ["a", "b"]'}],
    "reason": "consent withdrawn",
    "date": "2026-11-21",
    "reference": "DSR-17",
}


@hostile
@given(content=TREES)
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_any_content_is_a_request_or_one_line(tmp_path: Path, suffix: str, content: Any) -> None:
    path = tmp_path / f"request{suffix}"
    path.write_text(json.dumps(content))
    with refused_clearly():
        assert isinstance(load_request(path), Request)


@hostile
@given(content=damaged(json.dumps(GOOD).encode()))
@pytest.mark.parametrize("suffix", [".json", ".yaml", ".csv", ".txt"])
def test_any_bytes_are_a_request_or_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"request{suffix}"
    path.write_bytes(content)
    with refused_clearly():
        assert isinstance(load_request(path), Request)


@hostile
@given(text=st.text(max_size=60) | st.text(alphabet="age<>=!()[]\"' andornit0123456789.,\\", max_size=120))
def test_any_condition_is_decided_or_one_line(text: str) -> None:
    with refused_clearly(one_line=False):
        assert Where(text).decide({"age": "17", "a": "b"}) in (True, False, None)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch /tmp/owned')",
        "().__class__.__bases__[0].__subclasses__()",
        "age < 10 ** 10 ** 10",
        "(lambda: 1)()",
        "[x for x in (1).__class__.__mro__]",
        "(" * 5000 + ")" * 5000,
        "not " * 3000 + "age < 1",
        f"age < {'9' * 5000}",
    ],
)
def test_a_condition_is_never_run_as_python(text: str) -> None:
    with pytest.raises(ValueError, match="where"):
        Where(text)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".json", "[" * 100_000 + "]" * 100_000),
        (".yaml", "[" * 10_000 + "]" * 10_000),
        (".json", '{"all_of": ' * 50_000 + "[]" + "}" * 50_000),
        (".yaml", "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: &d [*c,*c]\ne: &e [*d,*d]\nids: [*e,*e]\n"),
        (".yaml", "ids: &a [*a]\n"),
        (".json", '{"fraction": 1e999}'),
        (".json", '{"fraction": NaN}'),
        (".json", '{"fraction": ' + "9" * 10_000 + "}"),
    ],
    ids=["deep list", "deep yaml", "deep object", "aliases", "a loop", "infinite", "NaN", "a long number"],
)
def test_bombs_are_refused_in_one_line(tmp_path: Path, suffix: str, content: str) -> None:
    path = tmp_path / f"request{suffix}"
    path.write_text(content)
    with pytest.raises(ValueError, match="request") as caught:
        load_request(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 3000


def test_a_tag_of_yaml_makes_no_object(tmp_path: Path) -> None:
    path, owned = tmp_path / "request.yaml", tmp_path / "owned"
    path.write_text(f"!!python/object/apply:os.system ['touch {owned}']")
    assert load_request(path).ids == (f"touch {owned}",)
    assert not owned.exists()


def test_a_billion_laughs_are_not_laughed(tmp_path: Path) -> None:
    lines = ["l0: &l0 [ha]"] + [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    path = tmp_path / "request.yaml"
    path.write_text("\n".join([*lines, "ids: *l11"]))
    with pytest.raises(ValueError, match="request"):
        load_request(path)
    path.write_text("\n".join([*lines[1:], "all_of: [{any_of: *l11}]"]))
    with pytest.raises(ValueError, match="request"):
        load_request(path)


@hostile
@given(content=st.data())
def test_any_ledger_is_read_or_one_line(tmp_path: Path, content: st.DataObject) -> None:
    salt = tmp_path / "salt.key"
    salt.write_bytes(b"0" * 32)
    ledger = tmp_path / "good.jsonl"
    if not ledger.exists():
        append_event(ledger, {"event": "asked", "forget": ["ab" * 32], "classes": [], "salt": str(salt)})
    path = tmp_path / "requests.jsonl"
    path.write_bytes(content.draw(damaged(ledger.read_bytes())))
    with refused_clearly():
        assert isinstance(read_ledger(path), list)


def test_ids_that_climb_out_of_the_folder_are_names_and_nothing_else(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"ids": ["../../etc/passwd", "..\\x", "/absolute"]}))
    assert load_request(request).ids == ("../../etc/passwd", "..\\x", "/absolute")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["request.json"]

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from monai_unlearn.data import (
    Datalists,
    append_event,
    classes_before,
    forgotten_before,
    hash_identifier,
    load_or_create_salt,
    read_ledger,
    redact,
)
from monai_unlearn.files import sha256_of

DATALISTS = Datalists(
    name="test", training=[{"id": f"t{index}"} for index in range(6)], never_trained=[{"id": "n0"}, {"id": "n1"}]
)


def answer(
    folder: Path,
    name: str,
    *,
    teacher: Path,
    forget: Sequence[str] = (),
    classes: Sequence[int] = (),
    **more: Any,
) -> Path:
    """Write the network of a request and its two events; return the network."""
    output_dir = folder / name
    output_dir.mkdir()
    salt = load_or_create_salt(output_dir / "salt.key")
    model = output_dir / "model.pt"
    model.write_text(f"network {name}")
    event = {
        "forget": [hash_identifier(identifier, salt) for identifier in forget],
        "classes": classes,
        "salt": output_dir / "salt.key",
        "output_dir": output_dir,
        "teacher_sha256": sha256_of(teacher),
        **more,
    }
    append_event(folder / "requests.jsonl", {**event, "event": "asked"})
    append_event(folder / "requests.jsonl", {**event, "event": "answered", "model_sha256": sha256_of(model)})
    return model


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    (tmp_path / "teacher.pt").write_text("the first teacher")
    return tmp_path / "teacher.pt"


def test_an_event_is_written_whole_with_every_key_and_paths_beside_the_ledger(tmp_path: Path, teacher: Path) -> None:
    answer(tmp_path, "a", teacher=teacher, forget=["t1"], reference="17", date="2026-03-31", reason="withdrew")
    lines = (tmp_path / "requests.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == read_ledger(tmp_path / "requests.jsonl")
    asked, answered = read_ledger(tmp_path / "requests.jsonl")
    assert asked.keys() == answered.keys()
    assert (asked["event"], answered["event"], asked["schema"]) == ("asked", "answered", 1)
    assert (answered["salt"], answered["output_dir"]) == (os.path.join("a", "salt.key"), "a")
    assert asked["model_sha256"] is None
    assert answered["time"].endswith("+00:00")
    assert "t1" not in json.dumps([answered["forget"], answered["reason"]])


def test_paths_are_as_the_program_knows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/a").mkdir(parents=True)
    load_or_create_salt("runs/a/salt.key")
    append_event("runs/requests.jsonl", {"event": "asked", "forget": [], "classes": [1], "salt": "runs/a/salt.key"})
    assert read_ledger("runs/requests.jsonl")[0]["salt"] == os.path.join("a", "salt.key")


def test_the_chain_of_answers_is_followed_back_and_no_further(tmp_path: Path, teacher: Path) -> None:
    first = answer(tmp_path, "a", teacher=teacher, forget=["t1", "n1"])
    second = answer(tmp_path, "b", teacher=first, classes=[2])
    third = answer(tmp_path, "c", teacher=second, forget=["t4", "t5"])
    answer(tmp_path, "beside", teacher=teacher, forget=["t0"])  # the same teacher, another branch
    ledger = tmp_path / "requests.jsonl"
    assert forgotten_before(ledger, third, DATALISTS) == {"t1", "n1", "t4", "t5"}
    assert forgotten_before(ledger, first, DATALISTS) == {"t1", "n1"}
    assert forgotten_before(ledger, teacher, DATALISTS) == frozenset()
    assert (classes_before(ledger, third), classes_before(ledger, first)) == ((2,), ())


def test_the_folders_can_be_moved_together(tmp_path: Path, teacher: Path) -> None:
    answer(tmp_path, "a", teacher=teacher, forget=["t1"])
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("a", "requests.jsonl"):
        (tmp_path / name).rename(moved / name)
    assert forgotten_before(moved / "requests.jsonl", moved / "a" / "model.pt", DATALISTS) == {"t1"}


def test_without_a_ledger_or_a_teacher_nothing_was_forgotten(tmp_path: Path, teacher: Path) -> None:
    assert forgotten_before(None, teacher, DATALISTS) == frozenset()
    assert forgotten_before(tmp_path / "none.jsonl", teacher, DATALISTS) == frozenset()
    answer(tmp_path, "a", teacher=teacher, forget=["t1"])
    assert forgotten_before(tmp_path / "requests.jsonl", None, DATALISTS) == frozenset()


def test_a_network_that_is_its_own_teacher_ends_the_chain(tmp_path: Path, teacher: Path) -> None:
    answer(tmp_path, "a", teacher=teacher, forget=["t1"])
    salt = tmp_path / "a" / "salt.key"
    event = {
        **{"event": "answered", "forget": [hash_identifier("t2", load_or_create_salt(salt))], "classes": []},
        **{"salt": salt, "output_dir": tmp_path / "a"},
    }
    own = sha256_of(teacher)
    append_event(tmp_path / "requests.jsonl", {**event, "teacher_sha256": own, "model_sha256": own})
    assert forgotten_before(tmp_path / "requests.jsonl", teacher, DATALISTS) == {"t2"}


def test_cases_that_were_taken_out_of_the_datalist_are_no_error(
    tmp_path: Path, teacher: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = answer(tmp_path, "a", teacher=teacher, forget=["t1", "deleted"])
    with caplog.at_level(logging.INFO):
        assert forgotten_before(tmp_path / "requests.jsonl", model, DATALISTS) == {"t1"}
    assert "1 of the 2 cases" in caplog.text


def test_a_salt_that_is_gone_or_another_is_an_error(tmp_path: Path, teacher: Path) -> None:
    model = answer(tmp_path, "a", teacher=teacher, forget=["t1"])
    (tmp_path / "a" / "salt.key").write_bytes(b"x" * 32)
    with pytest.raises(ValueError, match="another salt"):
        forgotten_before(tmp_path / "requests.jsonl", model, DATALISTS)
    (tmp_path / "a" / "salt.key").unlink()
    with pytest.raises(ValueError, match=r"salt\.key, is gone"):
        forgotten_before(tmp_path / "requests.jsonl", model, DATALISTS)
    assert not (tmp_path / "a" / "salt.key").exists()


def test_a_line_cut_off_by_a_crash_is_reported_and_the_others_stand(
    tmp_path: Path, teacher: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = answer(tmp_path, "a", teacher=teacher, forget=["t1"])
    ledger = tmp_path / "requests.jsonl"
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + whole[:50])
    assert forgotten_before(ledger, model, DATALISTS) == {"t1"}
    assert "line 3 of the ledger" in caplog.text
    assert "cut off" in caplog.text
    answer(tmp_path, "b", teacher=model, forget=["t2"])
    assert ledger.read_bytes().startswith(whole + whole[:50])
    caplog.clear()
    assert forgotten_before(ledger, tmp_path / "b" / "model.pt", DATALISTS) == {"t1", "t2"}
    assert "line 3 of the ledger" in caplog.text


def test_a_last_line_that_only_lacks_its_end_counts(tmp_path: Path, teacher: Path) -> None:
    model = answer(tmp_path, "a", teacher=teacher, forget=["t1"])
    ledger = tmp_path / "requests.jsonl"
    ledger.write_bytes(ledger.read_bytes().rstrip(b"\n"))
    assert forgotten_before(ledger, model, DATALISTS) == {"t1"}
    answer(tmp_path, "b", teacher=model, forget=["t2"])
    assert len(read_ledger(ledger)) == 4


@pytest.mark.parametrize(
    "damage", [b"{half", b"[]", b'{"schema": 2}', b"\xff", b'{"schema": 1, "event": "asked"}', b""]
)
def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path, teacher: Path, damage: bytes) -> None:
    answer(tmp_path, "a", teacher=teacher, forget=["t1"])
    ledger = tmp_path / "requests.jsonl"
    first, second = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(first + damage + b"\n" + second)
    with pytest.raises(ValueError, match=r"line 2 of the ledger .* is damaged"):
        read_ledger(ledger)


def test_a_full_disk_leaves_the_ledger_as_it_was(
    tmp_path: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(tmp_path, "a", teacher=teacher, forget=["t1"])
    ledger = tmp_path / "requests.jsonl"
    before, write = ledger.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))
    with pytest.raises(ValueError, match="disk is full; it is as it was"):
        append_event(ledger, {"event": "asked", "forget": [], "classes": [1], "salt": tmp_path / "a" / "salt.key"})
    assert ledger.read_bytes() == before


def _append_many(folder: Path, start: int) -> None:
    for index in range(start, start + 25):
        append_event(
            folder / "requests.jsonl",
            {"event": "asked", "forget": [], "classes": [index], "salt": folder / "salt.key", "reason": "x" * 5000},
        )


def test_two_processes_write_one_after_the_other(tmp_path: Path) -> None:
    load_or_create_salt(tmp_path / "salt.key")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_append_many, args=(tmp_path, start)) for start in (0, 25)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(event["classes"][0] for event in read_ledger(tmp_path / "requests.jsonl")) == list(range(50))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event": "done"}, "one of asked, answered"),
        ({"forget": ["t1"]}, "salted hashes and never ids; 1"),
        ({"forget": "t1"}, "'forget' of an event is a list"),
        ({"classes": ["x"]}, "label values"),
        ({"forget": ["0" * 64], "classes": [1]}, "cases or classes, not both"),
        ({"refrence": "17"}, "no key 'refrence' to give; did you mean 'reference'"),
        ({"time": "now"}, "no key 'time' to give"),
        ({"salt": None}, "needs 'salt'"),
        ({"event": "answered"}, "needs 'teacher_sha256', 'model_sha256', 'output_dir'"),
        ({"salt": "nowhere/salt.key"}, "is gone"),
    ],
)
def test_an_event_out_of_schema_is_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    load_or_create_salt(tmp_path / "salt.key")
    event = {"event": "asked", "forget": [], "classes": [], "salt": tmp_path / "salt.key"}
    with pytest.raises(ValueError, match=message):
        append_event(tmp_path / "requests.jsonl", {**event, **change})
    assert not (tmp_path / "requests.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Anna-01 withdrew", "<Anna-01> withdrew"),
        ("annas ANNA-01", "<anna>s <Anna-01>"),
        ("patient007 of 2007", "patient<007> of 2007"),
        ("see /data/ISIC_1_mask.png", "see /data/<ISIC_1>_mask.png"),
        ("ISIC_12", "ISIC_12"),
        ("a case", "<a> case"),
        ("nothing", "nothing"),
        ("(x) and x.", "(x) and x."),
    ],
)
def test_identifiers_in_a_text_become_hashes(text: str, redacted: str) -> None:
    names = ["Anna-01", "anna", "007", "ISIC_1", "a"]
    salt = b"s" * 32
    for name in names:
        redacted = redacted.replace(f"<{name}>", hash_identifier(name, salt)[:12])
    assert redact(text, names, salt) == redacted


def test_a_text_without_identifiers_stays() -> None:
    assert redact("a reason", [" "], b"s" * 32) == "a reason"

"""Two requests one after the other: the second starts from the first one's result and holds what was forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_unlearn.data import read_ledger
from monai_unlearn.files import sha256_of

from .conftest import run_bundle


@pytest.fixture(scope="module")
def answered(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two answered requests, ``first`` and ``second``."""
    from .conftest import settings_for

    folder = tmp_path_factory.mktemp("two requests")
    demand = folder / "demand.json"
    demand.write_text(json.dumps({"ids": ["case_04"], "reference": "D-17", "reason": "the parents of case_04 object"}))
    first = settings_for(pictures, folder / "first") | {"request": str(demand)}
    run_bundle("run", **first)
    second = settings_for(pictures, folder / "second") | {
        "request": "['case_05', 'case_06']",
        "teacher_checkpoint": str(folder / "first" / "model.pt"),
    }
    run_bundle("run", **{**second, "request": ["case_05", "case_06"]})
    return folder


def audit_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "audit.json").read_text())
    return content


def test_the_second_audit_reports_the_cases_that_the_first_request_forgot(answered: Path) -> None:
    first, second = audit_of(answered / "first"), audit_of(answered / "second")
    assert "forgotten_before" not in first["data"]
    assert second["data"]["forgotten_before"] == first["data"]["forget"] == 1
    assert second["data"]["retain"] == first["data"]["retain"] - 2
    assert second["models"]["teacher"]["forgotten_before"] == first["models"]["student"]["forget"]
    assert second["models"]["student"]["forgotten_before"]["n"] == 1


def test_the_ledger_says_what_was_asked_when_and_which_network_answered(answered: Path) -> None:
    events = read_ledger(answered / "requests.jsonl")
    assert [event["event"] for event in events] == ["asked", "answered", "asked", "answered"]
    assert events[0]["reference"] == "D-17"
    for event, name in zip(events[1::2], ("first", "second"), strict=True):
        assert event["model_sha256"] == sha256_of(answered / name / "model.pt")
        assert event["adapter_sha256"] == sha256_of(answered / name / "adapter/adapter_model.safetensors")
        assert event["output_dir"] == name
    assert events[3]["teacher_sha256"] == events[1]["model_sha256"]
    assert len(events[2]["forget"]) == 2


def test_no_file_that_was_written_names_a_case(answered: Path) -> None:
    for path in answered.rglob("*"):
        if (
            path.is_file()
            and path.suffix in (".json", ".jsonl", ".log", ".csv", ".html")
            and path.name != "demand.json"
        ):
            assert "case_0" not in path.read_text(encoding="utf-8"), path


def test_a_case_that_was_forgotten_cannot_be_asked_for_again(answered: Path, pictures: Path, tmp_path: Path) -> None:
    from .conftest import settings_for

    settings = settings_for(pictures, tmp_path / "third") | {
        "request": ["case_05", "case_06"],
        "teacher_checkpoint": str(answered / "second" / "model.pt"),
        "ledger": str(answered / "requests.jsonl"),
    }
    with pytest.raises(SystemExit, match="'case_05', 'case_06' that an earlier request had forgotten already"):
        run_bundle("erasing", **settings)

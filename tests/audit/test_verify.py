from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from monai_unlearn.audit import (
    check_files,
    check_members,
    check_seal,
    compare_figures,
    quoted_figures,
    render_certificate,
    seal_certificate,
)

from .test_certificate import AUDIT, DIGEST, certificate, written


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


def with_digest(**files: Path) -> dict:
    content = certificate()
    return seal_certificate({**content, "sha256": {**content["sha256"], **{k: digest(v) for k, v in files.items()}}})


def test_the_seal_of_an_untouched_certificate_holds(tmp_path):
    _, check = check_seal(written(tmp_path, certificate()))
    assert check.holds
    assert str(check).startswith("holds ")


def test_a_changed_certificate_is_found(tmp_path):
    raw = render_certificate(certificate()).replace(b'"iou": 0.5', b'"iou": 0.4')
    _, check = check_seal(written(tmp_path, raw))
    assert check.holds is False
    assert str(check) == "DIFFERS     seal: the file was changed after it was written"


def test_the_file_that_was_certified_holds_and_another_differs(model):
    content = with_digest(model=model)
    assert [check.holds for check in check_files(content, {"model": model})] == [True]
    model.write_bytes(b"Weights")
    (check,) = check_files(content, {"model": model})
    assert check.holds is False
    assert digest(model) in check.line
    assert content["sha256"]["model"] in check.line


def test_a_file_that_the_certificate_has_none_of_differs(model):
    (check,) = check_files(certificate(), {"oracle": model})
    assert check.holds is False
    assert "names none" in check.line


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*model\.pt"):
        check_files(certificate(), {"model": tmp_path / "model.pt"})


def test_figures_that_were_sealed_again_are_found_by_the_audit(tmp_path):
    path = tmp_path / "audit.json"
    path.write_text(json.dumps(AUDIT))
    content = with_digest(audit=path)
    assert [check.holds for check in check_files(content, {"audit": path})] == [True, True]
    forged = json.loads(json.dumps(content))
    forged["figures"]["models"]["student"]["forget"]["iou"] = 0.1
    assert [check.holds for check in check_files(seal_certificate(forged), {"audit": path})] == [True, False]


@pytest.mark.parametrize("content", [b"[]", b"null", b"\x00", b'{"tests": 3}', b"[" * 100_000])
def test_what_is_no_audit_differs(tmp_path, content):
    path = tmp_path / "audit.json"
    path.write_bytes(content)
    assert [check.holds for check in check_files(with_digest(audit=path), {"audit": path})] == [True, False]


@pytest.mark.parametrize(
    ("said", "found", "holds"),
    [
        (0.5, 0.50009, True),
        (0.5, 0.5002, False),
        (0.5, None, False),
        (None, 0.5, False),
        ("0.5", 0.5, False),
        (True, 1, False),
        (10**400, 0.5, False),
        ([0.1, None], [0.1, None], True),
        ([0.1, None], [0.1, 0.2], False),
        ([0.1], [0.1, 0.2], False),
        ([{}], [0.1], False),
        ({"x": 1}, 0.5, False),
    ],
)
def test_a_figure_holds_within_the_tolerance(said, found, holds):
    checks = compare_figures({"forget": {"iou": said}}, {"forget": {"iou": found}})
    assert [check.holds for check in checks] == [holds]
    assert checks[0].line.startswith("student.forget.iou")


def test_what_is_absent_on_both_sides_is_nothing_to_compare():
    assert compare_figures({"forget": None}, {"forget": None}) == []


def test_a_subset_that_one_side_lacks_differs():
    assert [check.holds for check in compare_figures({"forget": {"iou": 0.1}}, {"forget": None})] == [False]


@pytest.fixture
def ensemble(tmp_path: Path) -> Path:
    members = []
    for number in range(2):
        folder = tmp_path / f"network_{number}"
        folder.mkdir()
        one = certificate(seed=number)
        path = written(folder, one)
        members.append({"folder": folder.name, "certificate": digest(path), "seal": one["seal"], "model": DIGEST})
    content = {"schema": 1, "kind": "ensemble", "bundle": "b", "networks": members, "not_claimed": [], "issued": ""}
    return written(tmp_path, seal_certificate(content))


def test_the_certificates_that_an_ensemble_names_are_checked(ensemble):
    content, sealed = check_seal(ensemble)
    assert sealed.holds
    assert [check.holds for check in check_members(content, ensemble.parent)] == [True, True]


def test_a_certificate_of_an_ensemble_that_was_changed_replaced_or_lost_differs(ensemble):
    content, _ = check_seal(ensemble)
    first, second = (ensemble.parent / f"network_{number}" / "certificate.json" for number in range(2))
    first.write_bytes(second.read_bytes())
    assert [check.holds for check in check_members(content, ensemble.parent)] == [False, True]
    first.unlink()
    assert "there is no" in check_members(content, ensemble.parent)[0].line


def test_what_an_audit_says_survives_json():
    assert json.loads(json.dumps(quoted_figures(AUDIT))) == quoted_figures(AUDIT)

"""The certificate: its seal finds every change, and a file of an unknown hand is refused in one line."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from monai_unlearn.audit import (
    is_sealed,
    quoted_figures,
    read_certificate,
    render_certificate,
    seal_certificate,
    what_is_not_claimed,
)

DIGEST = "ab" * 32
FINDING = {
    "value": 0.25,
    "oracle": None,
    "teacher": None,
    "interval": [0.1, 0.4],
    "forgotten": "0",
    "sentence": "A quarter came back.",
    "reason": None,
    "series": {"student": [0.1, 0.2]},
    "axis": "epochs",
    "details": {"steps": 3},
}
AUDIT: dict[str, Any] = {
    "schema": 1,
    "tier": 0,
    "data": {"name": "set", "synthetic": False},
    "models": {"student": {"forget": {"iou": 0.5, "n": 2}}, "teacher": {}, "oracle": None},
    "class_request": None,
    "membership": {"student": {"auc": None, "reason": "too few"}},
    "relearning": {"student": None},
    "verdict": {"outcome": "forgotten", "margins": {"measure": 0.02}},
    "reversible": {"max_abs_difference": 0.0},
    "cost": {"erase_seconds": 1.5},
    "tests": {"retain_relearning": {"tier": 0, "seconds": 2.0, "figures": {"recovery": FINDING}}},
    "bundle": "left out",
}


def certificate(**changes: Any) -> dict[str, Any]:
    content = {
        "schema": 1,
        "kind": "network",
        "bundle": "isic_unlearn",
        "request": {"reference": "D-17", "reason": None, "date": "2026-01-05"},
        "forget": [DIGEST],
        "counts": {"forget": 1, "retain": 2, "reference": 1, "unseen": 1},
        "sha256": {
            **dict.fromkeys(("partition", "teacher", "model", "adapter_weights", "adapter_config", "audit"), DIGEST),
            "oracle": None,
        },
        "versions": {"torch": "2.13.0"},
        "seed": 0,
        "device": "cpu",
        "settings": {"image_size": 32, "max_cases": None},
        "teacher_trained_here": True,
        "oracle_recipe": None,
        "grade": "reversible",
        "figures": quoted_figures(AUDIT),
        "figures_absent": None,
        "manifest": {"purged": None, "files": []},
        "not_claimed": ["nothing"],
        "issued": "2026-01-06T00:00:00+00:00",
        **changes,
    }
    return seal_certificate(content)


def written(folder: Path, content: Any) -> Path:
    path = folder / "certificate.json"
    path.write_bytes(content if isinstance(content, bytes) else render_certificate(content))
    return path


def test_the_seal_is_the_digest_of_everything_else_in_canonical_form():
    content = certificate()
    body = {key: value for key, value in content.items() if key != "seal"}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    assert content["seal"] == hashlib.sha256(canonical.encode()).hexdigest()
    assert list(content)[-1] == "seal"


def test_a_certificate_is_read_as_it_was_written(tmp_path):
    content = certificate()
    read, raw = read_certificate(written(tmp_path, content))
    assert read == content
    assert is_sealed(read, raw)


def test_a_changed_byte_is_found_wherever_it_is(tmp_path):
    raw = render_certificate(certificate())
    for place in range(0, len(raw), 13):
        changed = bytearray(raw)
        changed[place] ^= 1
        path = written(tmp_path, bytes(changed))
        with contextlib.suppress(ValueError):  # no certificate any more, which the next test is about
            assert not is_sealed(*read_certificate(path)), raw[max(0, place - 20) : place + 20]


@pytest.mark.parametrize("extra", [b" ", b"\n", b"\r\n"])
def test_even_a_blank_more_is_found(tmp_path, extra):
    assert not is_sealed(*read_certificate(written(tmp_path, render_certificate(certificate()) + extra)))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not JSON"),
        (b"\x00\xff\xfe", "not JSON"),
        (b"\x89PNG\r\n", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 50 + b"]" * 50, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[]", "no keys"),
        (b"null", "no keys"),
        (b"3", "no keys"),
        (b"{}", "'schema' should be 1"),
        (b'{"schema": true, "kind": "network"}', "'schema' should be 1"),
        (b'{"schema": 1, "kind": ["network"]}', "'kind' should be one of"),
        (b'{"schema": 1, "schema": 1}', "twice"),
        (b'{"schema": NaN}', "no number of JSON"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"schema": 1, "kind": "network"}', "is missing"),
        (b'\xef\xbb\xbf{"schema": 1}', "not JSON"),
    ],
)
def test_what_is_no_certificate_is_refused_in_one_line(tmp_path, content, word):
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=r"certificate\.json' is no certificate") as caught:
        read_certificate(path)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "0"),
        ("seed", True),
        ("seed", -1),
        ("sha256", {"model": "../../etc/passwd"}),
        ("sha256", [DIGEST]),
        ("forget", ["case_04"]),
        ("figures", {"models": {"student": [1, 2]}, "data": {}}),
        ("figures", "none"),
        ("figures_absent", 3),
        ("grade", ["reversible"]),
        ("grade", "erased"),
        ("manifest", {"files": ["../x"]}),
        ("not_claimed", [None]),
        ("settings", {"image_size": "32; rm"}),
        ("settings", {"max_cases": [1]}),
        ("extra\x1b[31m", 1),
    ],
)
def test_a_key_that_holds_something_else_is_named(tmp_path, key, value):
    name = key[:5]
    with pytest.raises(ValueError, match=name) as caught:
        read_certificate(written(tmp_path, certificate(**{key: value})))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("folder", ["../other", "/etc", "network_0/../..", "network_", "network_0\n", ""])
def test_the_folders_of_an_ensemble_lie_beside_its_certificate(tmp_path, folder):
    member = {"folder": folder, "certificate": DIGEST, "seal": DIGEST, "model": DIGEST}
    content = {"schema": 1, "kind": "ensemble", "issued": "", "bundle": "b", "networks": [member], "not_claimed": []}
    with pytest.raises(ValueError, match="'networks' is not what it should be"):
        read_certificate(written(tmp_path, seal_certificate(content)))
    read_certificate(written(tmp_path, seal_certificate({**content, "networks": [{**member, "folder": "network_0"}]})))


def test_a_huge_file_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "certificate.json"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="has 65 MiB; a certificate has at most 64"):
        read_certificate(path)


@pytest.mark.parametrize("path", ["nowhere.json", "."])
def test_a_missing_file_is_named(tmp_path, path):
    with pytest.raises(ValueError, match="there is no certificate"):
        read_certificate(tmp_path / path)


def test_every_figure_of_a_test_is_quoted_without_its_curve():
    quoted = quoted_figures(AUDIT)["tests"]["retain_relearning"]
    assert quoted["seconds"] == 2.0
    assert quoted["figures"]["recovery"] == {
        key: value for key, value in FINDING.items() if key not in ("series", "axis", "details")
    }
    assert quoted_figures(AUDIT)["verdict"]["margins"] == {"measure": 0.02}


CLAIMS: dict[str, Any] = {
    "grade": "permanent",
    "teacher_here": True,
    "oracle_recipe": "the teacher's own",
    "audited": True,
    "synthetic": False,
    "random": False,
    "classes": (),
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "No (epsilon, delta) guarantee"),
        ({}, "evidence, not proof"),
        ({}, "still holds the forgotten data"),
        ({}, "Ship the merged model"),
        ({}, "it is no signature"),
        ({}, "no proof that nothing can come back"),
        ({"grade": "reversible"}, "can switch the forgetting off"),
        ({"oracle_recipe": None}, "No oracle"),
        ({"oracle_recipe": "assumed to be the teacher's", "teacher_here": False}, "the teacher was not trained here"),
        ({"audited": False}, "nothing here says how well it forgot"),
        ({"synthetic": True}, "drawn phantoms"),
        ({"random": True}, "nobody asked for it"),
        ({"classes": (2,)}, "not forgotten as images"),
    ],
)
def test_it_says_in_words_what_is_not_claimed(changes, said):
    assert any(said in sentence for sentence in what_is_not_claimed(**{**CLAIMS, **changes}))
    if changes and "grade" not in changes:
        assert not any(said in sentence for sentence in what_is_not_claimed(**CLAIMS))

"""The page on the overlay: its Python runs, and its commands and keys are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch

from monai_unlearn.engines import UnlearningTrainer
from monai_unlearn.networks import adapters_off

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "overlay.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_script_forgets_a_case_and_saves_plain_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    setting, suppress, _ = BLOCKS
    names: dict = {}
    exec(setting, names)
    teacher = {key: value.clone() for key, value in names["network"].state_dict().items()}
    image = names["train_set"][3]["image"][None]
    with torch.no_grad():
        before = names["network"].eval()(image)
    exec(suppress, names)
    released = torch.load("unlearned.pt", weights_only=True)
    assert {key: value.shape for key, value in released.items()} == {key: value.shape for key, value in teacher.items()}
    student = names["student"].eval()
    with torch.no_grad(), adapters_off(student):
        assert torch.equal(student(image), before)
    with torch.no_grad():
        assert student(image).mean() < before.mean()  # towards background


def test_the_other_erasure_runs_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    setting, suppress, calibrate = BLOCKS
    names: dict = {}
    exec(setting, names)
    before, trainer, after = re.fullmatch(
        r"(.*?)(^trainer = .*?^\)\n)(.*)", suppress, re.MULTILINE | re.DOTALL
    ).groups()
    exec(before, names)
    exec(calibrate, names)
    places = re.search(r"and `(erasure=.*?)` go in the place", PAGE).group(1)
    exec(re.sub(r"erasure=\{.*?\}", places, trainer), names)
    exec(after, names)
    assert isinstance(names["trainer"], UnlearningTrainer)
    assert set(names["trainer"].case_views) == {"case_03"}
    assert names["trainer"].state.metrics["calibrate"] > 0


def test_the_ten_lines_are_no_more_than_ten_statements() -> None:
    assert len(ast.parse(BLOCKS[1]).body) <= 10

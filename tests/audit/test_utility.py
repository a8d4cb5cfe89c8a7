from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from monai_unlearn.audit import AuditCases, CaseScores, ClassScores, Utility
from monai_unlearn.engines import predict_cases
from tests.audit.planted import audit_config, drawn_cases, oracle, planted_cases, suppressed, teacher
from tests.metrics.test_confidence import error_by_numpy

CONFIG = audit_config()


@pytest.fixture(scope="module")
def planted() -> tuple[dict[str, nn.Module], AuditCases]:
    models = {"teacher": teacher(), "student": suppressed(), "oracle": oracle()}
    return models, planted_cases(models)


def test_every_subset_has_the_mean_of_every_model_and_an_interval_round_it(planted):
    models, cases = planted
    found = Utility()(models, cases, CONFIG)
    for subset in ("forget", "retain", "reference", "unseen"):
        finding = found[subset]
        for model, value in (("student", finding.value), ("oracle", finding.oracle), ("teacher", finding.teacher)):
            values = cases.scores[model].of(cases.subsets[subset], "iou")
            assert value == pytest.approx(values.mean())
            low, high = finding.details["intervals"][model]
            assert values.min() <= low <= value <= high <= values.max()
        assert finding.details["n"] == len(cases.subsets[subset])
        assert list(finding.interval) == finding.details["intervals"]["student"]


def test_the_calibration_error_is_that_of_all_voxels_of_the_unseen_cases(planted):
    models, cases = planted
    finding = Utility()(models, cases, CONFIG)["calibration_error"]
    for model, value in (("student", finding.value), ("oracle", finding.oracle), ("teacher", finding.teacher)):
        loader = cases.loader(cases.subsets["unseen"])
        batch = next(iter(predict_cases(models[model], loader, inferer=CONFIG.inferer, device="cpu")))
        p = torch.sigmoid(batch.logits).numpy().ravel()
        right = (p > 0.5) == (batch.label.numpy().ravel() > 0.5)
        assert value == pytest.approx(error_by_numpy(np.maximum(p, 1 - p), right), abs=1e-5)


def test_a_subset_without_cases_has_a_reason(planted):
    models, cases = planted
    without = replace(cases, subsets={**cases.subsets, "reference": (), "unseen": ()})
    found = Utility()(models, without, CONFIG)
    assert (found["reference"].value, found["reference"].reason) == (None, "there is no reference case to measure")
    assert found["calibration_error"].reason == "there is no unseen case to measure"
    assert found["retain"].value is not None


def test_a_subset_without_any_foreground_has_a_reason_instead_of_a_perfect_score(planted):
    models, cases = planted
    foreground = np.array([0.0 if "unseen" in case else 5.0 for case in cases.ids])
    scores = {
        name: replace(one, signals={**one.signals, "foreground": foreground}) for name, one in cases.scores.items()
    }
    found = Utility()(models, replace(cases, scores=scores), CONFIG)
    assert found["unseen"].value is None
    assert "none of the 24 unseen cases has any foreground" in found["unseen"].reason
    assert found["forget"].value is not None


def test_scoring_counts_the_foreground_of_every_case(planted):
    _, cases = planted
    scores = cases.scores["teacher"]
    expected = [float(item["label"].sum()) for item in cases.dataset]
    assert scores.signal(scores.ids, "foreground").tolist() == expected
    assert not scores.lacks_foreground(cases.subsets["forget"])


def test_a_class_request_measures_the_other_classes_too(monkeypatch):
    monkeypatch.setattr(Utility, "_calibration", lambda *_: None)  # of drawn figures there is no image to run on
    models = {"teacher": nn.Identity(), "student": nn.Identity()}
    cases = drawn_cases(
        {
            model: {name: {"iou": np.zeros(6)} for name in ("forget", "retain", "reference", "unseen")}
            for model in ("teacher", "student")
        }
    )
    levels = {"teacher": (0.9, 0.8), "student": (0.85, 0.1)}
    scores = {
        name: CaseScores(ids=one.ids, figures=one.figures, per_class={"iou": np.tile(levels[name], (24, 1))})
        for name, one in cases.scores.items()
    }
    config = audit_config(activation="softmax", classes=(2,))
    found = Utility()(models, replace(cases, scores=scores), config)
    assert (found["unseen"].value, found["unseen"].teacher) == (pytest.approx(0.1), pytest.approx(0.8))
    assert (found["kept_unseen"].value, found["kept_unseen"].teacher) == (pytest.approx(0.85), pytest.approx(0.9))
    nothing_left = Utility()(models, replace(cases, scores=scores), replace(config, classes=(1, 2)))
    assert nothing_left["kept_unseen"].reason == "no other class is left to measure"


def test_a_classification_is_calibrated_over_its_cases():
    generator = np.random.default_rng(0)
    ids = tuple(f"case_{index}" for index in range(60))
    probabilities = generator.dirichlet([1, 1, 1], 60)
    truth = generator.integers(0, 3, 60)
    correct = (probabilities.argmax(1) == truth).astype(float)
    scores = ClassScores(
        ids=ids,
        figures={"correct": correct, "loss": -np.log(probabilities[range(60), truth])},
        per_class={},
        probabilities=probabilities,
        truth=truth,
    )
    base = drawn_cases({name: {"forget": {"loss": np.zeros(1)}} for name in ("teacher", "student")})
    subsets = {"forget": ids[:10], "retain": ids[10:20], "reference": ids[20:30], "unseen": ids[30:]}
    cases = replace(base, subsets=subsets, scores={"teacher": scores, "student": scores})
    config = audit_config(task="classification", activation="softmax")
    found = Utility()({"teacher": nn.Identity(), "student": nn.Identity()}, cases, config)
    assert found["unseen"].value == pytest.approx(correct[30:].mean())
    assert found["calibration_error"].value == pytest.approx(
        error_by_numpy(probabilities[30:].max(1), correct[30:]), abs=1e-6
    )

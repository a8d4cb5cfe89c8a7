from __future__ import annotations

import json

import numpy as np
import pytest

from monai_unlearn.audit import OracleGap, loss_attack, pool_gaps
from monai_unlearn.metrics import tost
from tests.audit.planted import audit_config, drawn_cases, roles

CONFIG = audit_config()
SUBSETS = ("forget", "retain", "unseen")


def gap_cases(count: int = 30, *, seed: int = 0, spread: float = 0.02, **student: float):
    generator = np.random.default_rng(seed)
    figures = {}
    oracle = {subset: generator.uniform(0.6, 0.9, count) for subset in SUBSETS}
    for model, shifts in {"teacher": {"forget": 0.08}, "student": student, "oracle": {}}.items():
        figures[model] = {}
        for subset in SUBSETS:
            noise = generator.normal(0, spread, count) if model != "oracle" else 0
            iou = oracle[subset] + shifts.get(subset, 0.0) + noise
            figures[model][subset] = {"iou": iou, "loss": 1 - iou}
    return drawn_cases(figures)


def found(cases, **arguments):
    return OracleGap(**arguments)(roles(cases), cases, CONFIG)


def test_gaps_are_paired_differences_with_their_equivalence_test():
    cases = gap_cases(forget=0.004)
    figures = found(cases)
    for subset in SUBSETS:
        ids = cases.subsets[subset]
        differences = cases.scores["student"].of(ids, "iou") - cases.scores["oracle"].of(ids, "iou")
        test = tost(differences, margin=0.02)
        assert figures[subset].value == pytest.approx(differences.mean())
        assert figures[subset].interval == test.interval
        assert figures[subset].details["p_value"] == test.p_value
        assert figures[subset].details["equivalent"] is True
        assert figures[subset].details["differences"] == pytest.approx(sorted(differences), abs=1e-6)
        assert differences.tolist() != sorted(differences), "the order of the datalist would name the cases"
    assert figures["forget"].teacher == pytest.approx(0.08, abs=0.01)
    assert figures["forget"].oracle == 0


def test_equivalence_is_not_shown_by_a_gap_as_wide_as_the_margin():
    figures = found(gap_cases(forget=0.03))
    assert figures["forget"].details["equivalent"] is False
    assert found(gap_cases(forget=0.03), margin=0.06)["forget"].details["equivalent"] is True


def test_the_tug_of_war_multiplies_the_gaps_and_its_variant_takes_the_attack():
    cases = gap_cases(forget=0.05, retain=-0.03, unseen=-0.01)
    figures = found(cases)
    gaps = {subset: figures[subset].value for subset in SUBSETS}
    kept = (1 - abs(gaps["retain"])) * (1 - abs(gaps["unseen"]))
    assert figures["tow"].value == pytest.approx((1 - abs(gaps["forget"])) * kept)
    auc = {
        name: loss_attack(scores, forget=cases.subsets["forget"], unseen=cases.subsets["unseen"])["auc"]
        for name, scores in cases.scores.items()
    }
    assert figures["tow_mia"].value == pytest.approx((1 - abs(auc["student"] - auc["oracle"])) * kept)
    assert (figures["tow"].oracle, figures["tow_mia"].oracle) == (1, 1)


def test_one_case_has_a_gap_and_no_test():
    figures = found(gap_cases(1, forget=0.01))
    assert figures["forget"].details["p_value"] is None
    assert figures["forget"].value is not None
    assert "one case allows no test" in figures["forget"].sentence
    assert figures["tow"].value is not None
    assert "needs 10 forget" in figures["tow_mia"].reason


def test_a_missing_subset_has_a_reason():
    cases = gap_cases(5)
    without = drawn_cases(
        {
            model: {
                name: {"iou": scores.of(cases.subsets[name], "iou"), "loss": scores.of(cases.subsets[name], "loss")}
                for name in ("forget", "retain")
            }
            for model, scores in cases.scores.items()
        }
    )
    figures = found(without)
    assert figures["unseen"].reason == "there is no unseen case to measure"
    assert figures["tow"].reason == "there is no unseen case"


def audit_of(seed: int, **student: float) -> dict:
    figures = {name: finding.content() for name, finding in found(gap_cases(20, seed=seed, **student)).items()}
    return json.loads(json.dumps({"tests": {"oracle_gap": {"figures": figures}}}))  # as a program reads it


def test_several_audits_are_pooled_over_seeds_and_cases():
    audits = [audit_of(seed, forget=shift) for seed, shift in enumerate((0.01, -0.012, 0.004))]
    differences = [audit["tests"]["oracle_gap"]["figures"]["forget"]["details"]["differences"] for audit in audits]
    pooled = pool_gaps(audits)["forget"]
    test = tost(np.concatenate(differences), margin=0.02)
    assert pooled["count"] == 60
    assert (pooled["p_value"], pooled["equivalent"]) == (test.p_value, True)
    of_seeds = tost([np.mean(one) for one in differences], margin=0.02)
    assert pooled["seeds"]["p_value"] == pytest.approx(of_seeds.p_value)
    assert pooled["seeds"]["count"] == 3


def test_networks_that_differ_from_seed_to_seed_are_not_equivalent_for_their_many_cases():
    """Sixty cases of three networks are not sixty independent cases; the test over the seeds says so."""
    audits = [audit_of(seed, forget=shift) for seed, shift in enumerate((0.05, -0.05, 0.0))]
    pooled = pool_gaps(audits)["forget"]
    assert pooled["equivalent"] is True
    assert pooled["seeds"]["equivalent"] is False


def test_an_audit_without_the_test_is_named():
    with pytest.raises(ValueError, match="audit 1 has no test 'oracle_gap'"):
        pool_gaps([audit_of(0), {"tests": {}}])

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from monai_unlearn.audit import StageSimilarity, linear_cka
from monai_unlearn.networks import inject_lora, lora_parameters
from tests.audit.memorising import cases_of, subjects, subset_ids, weights_of, without_oracle

RANDOM = np.random.default_rng(0)
ONE, OTHER = RANDOM.normal(size=(30, 5)), RANDOM.normal(size=(30, 8)) + 3.0


def kernel_alignment(one: np.ndarray, other: np.ndarray) -> float:
    """The same by kernels: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with linear kernels and a centring matrix."""
    n = len(one)
    centring = np.eye(n) - np.ones((n, n)) / n
    k, l = (centring @ values @ values.T @ centring for values in (one, other))  # noqa: E741
    return float((k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum()))


def test_it_is_the_alignment_of_centred_linear_kernels():
    assert linear_cka(ONE, OTHER) == pytest.approx(kernel_alignment(ONE, OTHER), rel=1e-12)


def test_a_representation_is_like_itself():
    assert linear_cka(ONE, ONE) == pytest.approx(1.0, abs=1e-12)


def test_neither_rotation_nor_scale_nor_offset_changes_it():
    rotation = ortho_group.rvs(5, random_state=1)
    assert linear_cka(3.0 * ONE @ rotation - 7.0, ONE) == pytest.approx(1.0, abs=1e-12)
    assert linear_cka(ONE @ rotation, OTHER) == pytest.approx(linear_cka(ONE, OTHER), rel=1e-10)


def test_another_linear_map_does_change_it():
    assert linear_cka(ONE @ np.diag([10.0, 1, 1, 1, 1]), ONE) < 0.9


def test_representations_without_a_common_direction_have_nothing_in_common():
    basis = np.linalg.qr(np.column_stack([np.ones(20), RANDOM.normal(size=(20, 6))]))[0][:, 1:]  # centred columns
    assert linear_cka(basis[:, :3], basis[:, 3:]) == pytest.approx(0.0, abs=1e-12)
    # two of three directions in common: ‖YᵀX‖² = 2, both norms √3
    assert linear_cka(basis[:, :3], basis[:, 1:4]) == pytest.approx(2 / 3)


def test_a_constant_representation_cannot_be_compared():
    assert linear_cka(np.full((6, 3), 0.1), ONE[:6]) is None


def test_an_edit_of_the_head_leaves_every_stage_as_the_teachers():
    models, cases, config = subjects("head_only")
    found = StageSimilarity()(models, cases, config)
    assert list(found) == ["forget", "unseen"]
    forget = found["forget"]
    assert forget.series["student"] == pytest.approx([1.0, 1.0], abs=1e-9)
    assert forget.details["stages"] == ["2", "4"]
    assert forget.axis == "stage"
    assert forget.value == pytest.approx(1.0)
    assert forget.oracle < 0.9, "the oracle does not have the memory"
    assert found["unseen"].oracle > 0.95, "and differs on forget cases alone"


def test_a_student_with_adapters_is_read_as_its_merged_checkpoint():
    models, cases, config = subjects("teacher")
    inject_lora(models["student"], rank=1, alpha=1, example_input=torch.zeros(1, 1, 10, 20))
    untouched = StageSimilarity()(models, cases, config)["forget"].series["student"]
    assert untouched == pytest.approx([1.0, 1.0], abs=1e-9)
    with torch.no_grad():
        for parameter in lora_parameters(models["student"]):
            parameter.add_(torch.randn_like(parameter))
    assert max(StageSimilarity()(models, cases, config)["forget"].series["student"]) < 0.999


def test_an_edit_further_inside_is_seen_from_there_on():
    models, cases, config = subjects("teacher")
    with torch.no_grad():
        models["student"][3].weight[3:] = 0  # the second layer drops the memory
    curve = StageSimilarity()(models, cases, config)["forget"].series["student"]
    assert curve[0] == pytest.approx(1.0, abs=1e-9)
    assert curve[1] < 0.95


def test_the_oracle_as_student_has_the_oracles_figure():
    models, cases, config = subjects("oracle")
    found = StageSimilarity()(models, cases, config)["forget"]
    assert found.value == found.oracle
    assert found.teacher == 1.0


def test_without_an_oracle_the_student_is_compared_alone():
    models, cases, config = subjects()
    found = StageSimilarity()(without_oracle(models), cases, config)["forget"]
    assert found.oracle is None
    assert set(found.series) == {"student"}


def test_the_figures_are_those_of_the_definition_on_the_drawn_cases():
    models, cases, config = subjects()
    found = StageSimilarity(most=100)(models, cases, config)["forget"]
    items = {item["id"]: item for item in cases.dataset}
    images = torch.stack([items[case]["image"] for case in cases.subsets["forget"]])
    expected = [
        kernel_alignment(*(models[role][: stage + 1](images).double().numpy() for role in ("oracle", "teacher")))
        for stage in (2, 4)
    ]
    assert found.series["oracle"] == pytest.approx(expected, rel=1e-4)


def test_too_few_cases_for_a_comparison_are_said_to_be():
    models, cases, config = subjects()
    ids = {**subset_ids(), "forget": ("forget_0",), "unseen": ()}
    found = StageSimilarity()(models, cases_of(cases.dataset, models, config, ids), config)
    assert list(found) == ["forget"]
    assert found["forget"].value is None
    assert "1 cases give too few samples" in found["forget"].reason


def test_no_network_is_changed():
    models, cases, config = subjects()
    before = weights_of(models)
    StageSimilarity()(models, cases, config)
    assert all((one == other).all() for one, other in zip(before, weights_of(models), strict=True))


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="cells and most are 1 or more"):
        StageSimilarity(cells=0)

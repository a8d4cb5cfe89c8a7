from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from monai.inferers import SimpleInferer
from monai.losses import DiceCELoss
from scipy import stats
from torch import nn
from torch.utils.data import Dataset

from monai_unlearn.audit import (
    AuditCases,
    AuditConfig,
    FineTuning,
    PlantedBackdoor,
    PlantedCanaries,
    PlantedPreprocessing,
    Planting,
    canary_statistics,
    fine_tune,
)

FORGET = [f"forget_{number:02d}" for number in range(40)]
UNSEEN = [f"unseen_{number:02d}" for number in range(24)]
IDS = FORGET + UNSEEN
PLANTING = Planting(cases=FORGET, intensity_range=(-1, 1), salt="reference", strength=0.4, patch=0.25)


class Discs(Dataset[dict[str, Any]]):
    """Noisy bright squares; what is planted is planted."""

    def __init__(self, planting: Planting | None) -> None:
        self.planting = planting

    def __len__(self) -> int:
        return len(IDS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        row, column = torch.randint(6, 10, (2,), generator=generator).tolist()
        label = torch.zeros(1, 16, 16)
        label[:, row : row + 5, column : column + 5] = 1
        image = 0.5 * label - 0.25 + 0.2 * torch.randn(1, 16, 16, generator=generator)
        item = {"image": image, "label": label}
        return {**(self.planting(IDS[index], item) if self.planting else item), "id": IDS[index]}


def audit_cases(planting: Planting | None) -> AuditCases:
    dataset = Discs(planting)
    subsets = {"forget": tuple(FORGET), "retain": (), "reference": (), "unseen": tuple(UNSEEN)}
    return AuditCases(dataset=dataset, ids=IDS, subsets=subsets, batch_size=8, training=dataset, training_ids=IDS)


CONFIG = AuditConfig(
    loss_function=nn.BCEWithLogitsLoss(),
    inferer=SimpleInferer(),
    training_inferer=SimpleInferer(),
    activation="sigmoid",
    task="segmentation",
    device=torch.device("cpu"),
    seed=0,
    fine_tuning=FineTuning(optimizer=lambda parameters: torch.optim.Adam(parameters, lr=3e-3), batch_size=8, epochs=40),
    planting=PLANTING,
)


def by_heart() -> nn.Module:
    """A network wide enough to learn 40 cases by heart."""
    layers = [nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 256)]
    return nn.Sequential(nn.Flatten(), *layers, nn.Unflatten(1, (1, 16, 16)))


def by_rule() -> nn.Module:
    """A network that sees neighbourhoods alone."""
    layers = [nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.Conv2d(12, 12, 5, padding=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(12, 1, 1))


def trained(planting: Planting | None, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    cases = audit_cases(planting)
    return fine_tune(by_heart(), cases.training_loader(FORGET, batch_size=8, seed=seed), config=CONFIG)


def trained_by_rule(planting: Planting | None, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    tuning = FineTuning(optimizer=lambda parameters: torch.optim.Adam(parameters, lr=2e-2), batch_size=8, epochs=30)
    loader = audit_cases(planting).training_loader(FORGET, batch_size=8, seed=seed)
    config = replace(CONFIG, fine_tuning=tuning, loss_function=DiceCELoss(sigmoid=True), seed=seed)
    return fine_tune(by_rule(), loader, config=config)


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    return {
        "teacher": trained(PLANTING, 0),
        "student": trained(PLANTING, 1),  # nothing was unlearned
        "oracle": trained(None, 2),  # the same cases, without what is planted: the hardest network to acquit
    }


def test_canaries_that_were_trained_on_are_recognised_and_others_are_not(models):
    found = PlantedCanaries()(models, audit_cases(PLANTING), CONFIG)
    trace, remembered = found["trace"], found["remembered"]
    assert trace.teacher > 2
    assert trace.interval[0] > 1
    assert trace.details["p_value"]["student"] < 1e-6
    assert trace.details["teacher_remembers"]
    for values in trace.details["every_canary"].values():
        assert values == sorted(values), "the order of the datalist would name the cases"
    assert remembered.value > 0.3
    assert abs(trace.oracle) < 3 / 20**0.5
    assert remembered.oracle <= 0.1


def test_without_the_noise_the_statistic_is_standard_normal():
    """Fresh noise on 20 canaries of 15 salts, a network that never saw any: 300 draws of N(0, 1)."""
    network = trained(None, 3)
    draws = []
    for salt in range(15):
        planting = replace(PLANTING, salt=str(salt))
        cases = audit_cases(planting)
        ids = sorted(planting.canaries)
        draws.append(canary_statistics(network, cases, ids, planting=planting, config=CONFIG))
    values = np.concatenate(draws)
    assert len(values) == 300
    assert abs(values.mean()) < 3 / 300**0.5
    assert stats.kstest(values, "norm").pvalue > 0.01
    assert (values > stats.norm.isf(0.01)).mean() <= 0.03


def test_the_statistic_is_the_correlation_of_gradient_and_noise():
    """For a linear network and a linear loss, the gradient is the weight itself."""
    weight = torch.randn(1, 256)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 1, bias=False))
    network[1].weight.data.copy_(weight)
    config = replace(CONFIG, loss_function=lambda logits, label: logits.sum())
    case = min(PLANTING.canaries)
    noise = PLANTING.noise(case, torch.Size((1, 16, 16))).flatten()
    expected = -float(weight[0] @ noise / weight.norm() / PLANTING.epsilon)
    found = canary_statistics(network, audit_cases(PLANTING), [case], planting=PLANTING, config=config)
    assert found[0] == pytest.approx(expected, abs=1e-4)


def test_a_network_is_left_as_it_was(models):
    before = {name: value.clone() for name, value in models["student"].state_dict().items()}
    PlantedCanaries()(models, audit_cases(PLANTING), CONFIG)
    assert all(torch.equal(value, before[name]) for name, value in models["student"].state_dict().items())
    assert all(parameter.requires_grad for parameter in models["student"].parameters())


def test_a_trigger_that_was_trained_on_works_on_unseen_cases_and_on_no_other_network():
    models = {
        role: trained_by_rule(planting, seed)
        for role, planting, seed in (("teacher", PLANTING, 0), ("student", PLANTING, 1), ("oracle", None, 2))
    }
    found = PlantedBackdoor()(models, audit_cases(PLANTING), CONFIG)["success"]
    assert found.value > 0.8
    assert found.oracle <= 0.1
    assert found.details["p_value"] < 1e-6
    assert found.details["without_trigger"]["student"] <= 0.1
    swapped = {"teacher": models["teacher"], "student": models["oracle"], "oracle": models["oracle"]}
    assert PlantedBackdoor()(swapped, audit_cases(PLANTING), CONFIG)["success"].details["p_value"] > 0.05


@pytest.mark.parametrize("test", [PlantedCanaries(), PlantedBackdoor()])
def test_where_nothing_was_planted_there_is_no_figure_but_a_reason(test, models):
    found = test(models, audit_cases(None), replace(CONFIG, planting=None))
    assert all(finding.value is None and "nothing was planted" in finding.reason for finding in found.values())
    elsewhere = replace(CONFIG, planting=replace(PLANTING, cases=["somebody else"]))
    found = test(models, audit_cases(None), elsewhere)
    assert all(finding.value is None and "none of the forget cases" in finding.reason for finding in found.values())


def test_with_few_canaries_the_rate_is_none_and_the_mean_stays(models):
    planting = replace(PLANTING, backdoor_share=0.9)
    found = PlantedCanaries()(models, audit_cases(planting), replace(CONFIG, planting=planting))
    assert found["trace"].value is not None
    assert "there are 4" in found["remembered"].reason


def test_a_teacher_that_shows_no_trace_makes_the_test_say_that_it_proves_nothing(models):
    clean = dict.fromkeys(("teacher", "student"), models["oracle"])
    trace = PlantedCanaries()(clean, audit_cases(PLANTING), CONFIG)["trace"]
    assert not trace.details["teacher_remembers"]
    assert "proves nothing" in trace.sentence


def test_canaries_and_backdoors_divide_the_cases_and_another_salt_divides_otherwise():
    assert PLANTING.canaries | PLANTING.backdoors == set(FORGET)
    assert len(PLANTING.canaries) == len(PLANTING.backdoors) == 20
    assert replace(PLANTING, salt="b").canaries != PLANTING.canaries
    assert replace(PLANTING, cases=FORGET[::-1]).canaries == PLANTING.canaries


def test_the_noise_goes_by_salt_and_id_and_has_the_strength_that_was_asked_for():
    shape = torch.Size((1, 64, 64))
    noise = PLANTING.noise("one", shape)
    assert torch.equal(noise, PLANTING.noise("one", shape))
    assert not torch.equal(noise, PLANTING.noise("two", shape))
    assert not torch.equal(noise, replace(PLANTING, salt="b").noise("one", shape))
    assert noise.std().item() == pytest.approx(0.8, rel=0.05)


def test_what_is_planted_leaves_other_cases_alone():
    item = {"image": torch.zeros(1, 16, 16), "label": torch.ones(1, 16, 16)}
    assert PLANTING("unseen_00", item) == item
    canary, backdoor = PLANTING(min(PLANTING.canaries), item), PLANTING(min(PLANTING.backdoors), item)
    assert canary["label"] is item["label"]
    assert canary["image"].std() > 0.6
    assert set(backdoor["image"].unique().tolist()) == {-1, 0, 1}
    assert torch.equal(backdoor["label"] > 0, backdoor["image"] != 0)
    assert item["image"].abs().sum() == 0


def test_a_trigger_in_space_and_that_of_a_classifier():
    volume = {"image": torch.zeros(1, 16, 24, 16), "label": torch.full((1, 16, 24, 16), 2.0)}
    planted = replace(PLANTING, target=2)(min(PLANTING.backdoors), volume)
    assert planted["label"].sum() == 2 * 4 * 6 * 4
    for label in (0, np.int64(0), torch.tensor(0)):
        picture = {"image": torch.zeros(3, 16, 16), "label": label}
        wrong = replace(PLANTING, target=3)(min(PLANTING.backdoors), picture)["label"]
        assert wrong == 3
        assert type(wrong) is type(label)


def test_a_bundles_preprocessing_is_planted_in_and_cached():
    items = [{"id": case, "image": torch.zeros(1, 16, 16), "label": torch.zeros(1, 16, 16)} for case in IDS]
    transform = PlantedPreprocessing(transform=lambda item: {**item, "image": item["image"] + 1}, planting=PLANTING)
    dataset = CacheDataset(items, transform, progress=False)
    canary = IDS.index(min(PLANTING.canaries))
    assert torch.allclose(dataset[canary]["image"] - 1, PLANTING.noise(IDS[canary], torch.Size((1, 16, 16))), atol=1e-6)
    assert torch.equal(dataset[len(FORGET)]["image"], torch.ones(1, 16, 16))
    with pytest.raises(ValueError, match="goes by the 'id'"):
        transform({"image": torch.zeros(1, 16, 16)})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"intensity_range": None}, "intensity range"),
        ({"intensity_range": (1, -1)}, "intensity range"),
        ({"strength": 0.0}, "strength above 0"),
        ({"backdoor_share": 1.5}, "share in"),
        ({"patch": 0.9}, "patch in"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(PLANTING, **settings)


def test_a_backdoor_in_several_label_channels_is_refused():
    item = {"image": torch.zeros(1, 16, 16), "label": torch.zeros(2, 16, 16)}
    with pytest.raises(ValueError, match="2 channels"):
        PLANTING(min(PLANTING.backdoors), item)

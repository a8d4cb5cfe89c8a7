from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from torch import nn

from monai_unlearn.audit import PrototypeRelearning
from monai_unlearn.audit.prototype_head import PrototypeHead, PrototypeSums
from monai_unlearn.networks import inject_lora
from tests.audit.memorising import cases_of, config_of, subjects, subset_ids, weights_of, without_oracle

COUNTS = {"forget": 6, "retain": 2, "reference": 2, "unseen": 2}


def test_the_head_decides_for_the_nearest_mean_in_units_of_the_spread_within():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(50, 4)) * [1, 5, 0.1, 1]
    truth = generator.integers(3, size=50)
    features[:, 0] += 3 * truth
    network = nn.Sequential(nn.Identity(), nn.Linear(4, 3))
    sums = PrototypeSums(network, "1", activation="softmax")
    assert sums.refusal(torch.zeros(2, 4)) == ""
    images = torch.tensor(features).float()
    sums.of_images(sums.weights_of(torch.tensor(truth)))(images)
    means = np.stack([features[truth == label].mean(axis=0) for label in range(3)])
    within = np.mean((features - means[truth]) ** 2, axis=0)
    fresh = generator.normal(size=(30, 4)) * [3, 5, 0.1, 1]
    distances = (((fresh[:, None] - means) ** 2) / within).sum(axis=2)
    with torch.no_grad():
        logits = PrototypeHead(sums)(torch.tensor(fresh).float()).numpy()
    assert logits.argmax(axis=1).tolist() == distances.argmin(axis=1).tolist()
    differences = logits - logits[:, :1]
    assert differences == pytest.approx(-(distances - distances[:, :1]) / 2, rel=1e-3, abs=1e-3)


def test_a_label_of_its_own_is_present_where_its_mean_is_nearer():
    network = nn.Conv2d(3, 2, 1)
    sums = PrototypeSums(network, "", activation="sigmoid")
    image = torch.randn(1, 3, 6, 6)
    truth = (torch.rand(1, 2, 6, 6) > 0.5).long()
    image[:, :2] += 4 * truth
    assert sums.refusal(image) == ""
    sums(torch.cat([image, sums.weights_of(truth)], dim=1))
    with torch.no_grad():
        assert ((PrototypeHead(sums)(image) > 0).long() == truth).float().mean() > 0.95


def test_a_class_that_no_sample_shows_is_never_chosen():
    sums = PrototypeSums(nn.Sequential(nn.Identity(), nn.Linear(2, 3)), "1", activation="softmax")
    sums.refusal(torch.zeros(1, 2))
    sums.of_images(sums.weights_of(torch.tensor([0, 2])))(torch.tensor([[0.0, 1.0], [5.0, 1.0]]))
    with torch.no_grad():
        assert PrototypeHead(sums)(torch.randn(200, 2) * 10).argmax(1).unique().tolist() == [0, 2]


def test_without_samples_there_are_no_means():
    with pytest.raises(ValueError, match="no sample was added up"):
        PrototypeHead(PrototypeSums(nn.Linear(2, 3), "", activation="softmax"))


def spots(dimensions: int, activation: str, side: int = 12) -> list[dict[str, Any]]:
    """Images of which bright voxels are foreground."""
    generator = torch.Generator().manual_seed(1)
    items = []
    for ids in subset_ids(COUNTS).values():
        for case in ids:
            label = (torch.rand(1, *(side,) * dimensions, generator=generator) > 0.7).float()
            image = 3 * label + 0.3 * torch.randn(label.shape, generator=generator)
            items.append({"id": case, "image": image, "label": label})
    return items


def segmenter(dimensions: int, outputs: int) -> nn.Module:
    """Two channels of features, brightness and darkness, and a head that reads them."""
    layer = nn.Conv2d if dimensions == 2 else nn.Conv3d
    network = nn.Sequential(layer(1, 4, 1), nn.Hardtanh(-10, 10), layer(4, outputs, 1))
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].weight[:, 0].flatten(1)[:2] = torch.tensor([[1.0], [-1.0]])
        network[0].bias.copy_(torch.tensor([0.0, 3.0, 1.0, 0.0]))
        network[2].weight.zero_()
        network[2].weight[-1, 0] = 1.0
        network[2].bias.zero_()
        network[2].bias[-1] = -1.5
    return network.eval()


@pytest.mark.parametrize("inferer", ["whole", "windows"])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_network_whose_head_alone_was_zeroed_is_restored(dimensions, activation, inferer):
    items = spots(dimensions, activation)
    teacher = segmenter(dimensions, 1 if activation == "sigmoid" else 2)
    student = copy.deepcopy(teacher)
    with torch.no_grad():
        student[2].weight.zero_()
        student[2].bias.copy_(torch.tensor([-1.0]) if activation == "sigmoid" else torch.tensor([1.0, 0.0]))
    blind = copy.deepcopy(student)
    with torch.no_grad():
        blind[0].weight.zero_()
    models = {"teacher": teacher, "student": student, "oracle": blind}
    windows = SlidingWindowInferer(roi_size=(8,) * dimensions, sw_batch_size=3, overlap=0.25)
    config = config_of(
        "segmentation",
        activation=activation,
        inferer=windows if inferer == "windows" else SimpleInferer(),
        loss_function=DiceCELoss(
            sigmoid=activation == "sigmoid", softmax=activation == "softmax", to_onehot_y=activation == "softmax"
        ),
    )
    cases = cases_of(items, models, config, subset_ids(COUNTS))
    found = PrototypeRelearning(shots=2)(models, cases, config)["restored"]
    assert found.series["teacher"][0] > 0.99
    assert found.series["student"][0] == 0.0
    assert found.value > 0.99
    assert found.teacher == found.value
    assert found.oracle < 0.5, "a network without features is not restored"
    assert found.details["head"] == "2"
    assert (found.details["forget_cases_shown"], found.details["cases_measured"]) == (2, 4)


def test_a_network_that_refines_its_logits_reads_the_features_before_them():
    """MONAI's UNet makes logits by an upsampling layer; prototypes of the coarser map are interpolated."""
    network = UNet(2, 1, 1, (4, 8), (2,), num_res_units=1)
    models = {"teacher": network, "student": network}
    config = config_of("segmentation", activation="sigmoid", loss_function=DiceCELoss(sigmoid=True))
    cases = cases_of(spots(2, "sigmoid"), models, config, subset_ids(COUNTS))
    found = PrototypeRelearning()(models, cases, config)["restored"]
    assert found.details["head"].startswith("model.2.0")
    assert found.value == found.teacher


def test_images_of_different_sizes_go_one_by_one():
    items = spots(2, "sigmoid")
    items[1] = {**spots(2, "sigmoid", side=16)[1], "id": items[1]["id"]}
    models = {"teacher": segmenter(2, 1), "student": segmenter(2, 1)}
    config = config_of("segmentation", activation="sigmoid", loss_function=DiceCELoss(sigmoid=True))
    cases = cases_of(items, models, config, subset_ids(COUNTS), batch_size=1)
    assert PrototypeRelearning()(models, cases, config)["restored"].value > 0.99


def test_a_head_only_edit_of_a_classifier_is_restored_and_the_oracle_is_not():
    models, cases, config = subjects("head_only")
    found = PrototypeRelearning()(models, cases, config)["restored"]
    assert found.series["student"][0] < 0.5
    assert found.value == found.teacher
    assert found.value > 0.8
    assert found.oracle < 0.6
    assert found.interval[0] > found.oracle


def test_half_of_every_class_is_left_to_measure_and_retain_cases_fill_up():
    models, cases, config = subjects()
    details = PrototypeRelearning()(models, cases, config)["restored"].details
    assert (details["forget_cases_shown"], details["cases_shown"], details["cases_measured"]) == (12, 12, 12)
    of_one_class = tuple(case for index, case in enumerate(subset_ids()["forget"]) if index % 3 == 1)
    one = dataclasses.replace(cases, subsets={**subset_ids(), "forget": of_one_class})
    details = PrototypeRelearning(shots=3)(models, one, config)["restored"].details
    assert (details["forget_cases_shown"], details["cases_shown"], details["cases_measured"]) == (3, 9, 5)


def test_a_single_forget_case_is_measured_itself_and_the_sentence_says_so():
    models, cases, config = subjects()
    one = dataclasses.replace(cases, subsets={**subset_ids(), "forget": ("forget_3",)})
    found = PrototypeRelearning()(without_oracle(models), one, config)["restored"]
    assert found.details["measured_on_the_shown_case"] is True
    assert "the one forget case itself" in found.sentence
    assert found.oracle is None
    assert found.interval is None


def test_forget_cases_of_which_no_two_share_a_class_leave_none_to_show_and_the_reason_is_given():
    models, cases, config = subjects()
    scores = cases.scores["teacher"]
    of_class = {int(scores.truth[row]): case for row, case in enumerate(scores.ids) if case.startswith("forget")}
    assert len(of_class) > 1
    each_its_own = dataclasses.replace(cases, subsets={**subset_ids(), "forget": tuple(of_class.values())})
    found = PrototypeRelearning()(models, each_its_own, config)["restored"]
    assert found.value is None
    assert found.reason == "no class has two forget cases, one to show and one to measure"


def test_a_student_with_adapters_is_read_as_its_merged_checkpoint():
    models, cases, config = subjects("teacher")
    plain = PrototypeRelearning()(models, cases, config)
    inject_lora(models["student"], rank=1, alpha=1, example_input=torch.zeros(1, 1, 10, 20))
    assert PrototypeRelearning()(models, cases, config)["restored"].value == plain["restored"].value


def test_a_head_that_reads_tokens_makes_no_map_and_the_reason_is_given():
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Conv2d(1, 8, 2, stride=2), nn.Linear(8, 4)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            tokens = self.head(self.embed(image).flatten(2).transpose(1, 2))
            return nn.functional.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, (6, 6)), 2)

    models = {"teacher": Patches(), "student": Patches()}
    config = config_of("segmentation", activation="sigmoid", loss_function=DiceCELoss(sigmoid=True))
    cases = cases_of(spots(2, "sigmoid"), models, config, subset_ids(COUNTS))
    found = PrototypeRelearning()(models, cases, config)["restored"]
    assert found.value is None
    assert "reads no feature map" in found.reason


def test_no_network_is_changed():
    models, cases, config = subjects()
    before = weights_of(models)
    PrototypeRelearning()(models, cases, config)
    assert all((one == other).all() for one, other in zip(before, weights_of(models), strict=True))


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="shots and most are 1 or more"):
        PrototypeRelearning(shots=0)

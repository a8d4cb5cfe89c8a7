from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.inferers import SimpleInferer
from torch import nn

from monai_unlearn.audit import CaseScores, score_cases


def binary_cases(count: int) -> list[dict]:
    """Logits as images, so that the network may be the identity; the first prediction is empty, as its truth is."""
    generator = torch.Generator().manual_seed(1)
    items = []
    for index in range(count):
        logits = torch.randn(1, 4, 4, generator=generator)
        label = (torch.rand(1, 4, 4, generator=generator) > 0.5).float()
        if index == 0:
            logits, label = -logits.abs() - 1, torch.zeros_like(label)
        items.append({"image": logits, "label": label, "id": f"case_{index}"})
    return items


def score(items: list[dict], *, batch_size: int = 2, activation: str = "sigmoid", loss_function=None) -> CaseScores:
    return score_cases(
        nn.Identity(),
        DataLoader(items, batch_size=batch_size),
        loss_function=loss_function or nn.BCEWithLogitsLoss(),
        inferer=SimpleInferer(),
        activation=activation,
        device="cpu",
    )


def overlap_by_numpy(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    both, either = (predicted & truth).sum(), (predicted | truth).sum()
    return (1.0, 1.0) if either == 0 else (both / either, 2 * both / (predicted.sum() + truth.sum()))


def test_every_case_has_its_own_loss_and_overlap():
    items = binary_cases(5)
    scores = score(items)
    assert scores.ids == tuple(item["id"] for item in items)
    for position, item in enumerate(items):
        logits, truth = item["image"].double().numpy(), item["label"].numpy().astype(bool)
        iou, dice = overlap_by_numpy(logits > 0, truth)
        loss = (np.log1p(np.exp(-logits)) + (1 - truth) * logits).mean()
        figures = {name: values[position] for name, values in scores.figures.items()}
        assert figures == pytest.approx({"iou": iou, "dice": dice, "loss": loss}, rel=1e-5)
    assert scores.figures["iou"][0] == 1.0, "nothing there, nothing predicted"


def test_means_are_means_over_cases_also_where_the_last_batch_is_smaller():
    items = binary_cases(5)
    scores = score(items, batch_size=4)
    of_case = [score([item]).figures for item in items]
    summary = scores.summary(scores.ids)
    assert summary["n"] == 5
    for name in ("iou", "dice", "loss"):
        values = [figures[name][0] for figures in of_case]
        assert summary[name] == pytest.approx(np.mean(values), rel=1e-6)
        of_batches = np.mean([np.mean(values[:4]), values[4]])
        assert summary[name] != pytest.approx(of_batches, rel=1e-3), "the two means are told apart here"


def test_the_size_of_the_batches_does_not_count():
    items = binary_cases(7)
    first, *others = (score(items, batch_size=size).summary([item["id"] for item in items]) for size in (1, 3, 7))
    for other in others:
        assert other == pytest.approx(first, rel=1e-6)


def test_a_summary_is_of_the_cases_that_are_named():
    scores = score(binary_cases(5))
    summary = scores.summary(["case_4", "case_1"])
    assert summary["n"] == 2
    assert summary["loss"] == pytest.approx((scores.figures["loss"][4] + scores.figures["loss"][1]) / 2)


def test_figures_are_given_in_the_order_in_which_cases_are_named():
    scores = score(binary_cases(5))
    expected = scores.figures["loss"][[3, 0, 3]]
    np.testing.assert_array_equal(scores.of(["case_3", "case_0", "case_3"], "loss"), expected)


def test_one_class_has_no_figures_per_class():
    assert set(score(binary_cases(3)).summary(["case_0"])) == {"iou", "dice", "loss", "n"}


def test_several_classes_have_figures_per_class_without_the_background():
    generator = torch.Generator().manual_seed(2)
    items = [
        {
            "image": torch.randn(3, 4, 4, generator=generator),
            "label": torch.randint(0, 3, (1, 4, 4), generator=generator),
            "id": f"case_{index}",
        }
        for index in range(3)
    ]
    scores = score(
        items, activation="softmax", loss_function=lambda logits, label: nn.CrossEntropyLoss()(logits, label[:, 0])
    )
    expected = np.array(
        [
            [
                overlap_by_numpy(item["image"].argmax(0).numpy() == index, item["label"][0].numpy() == index)[0]
                for index in (1, 2)
            ]
            for item in items
        ]
    )
    summary = scores.summary(scores.ids)
    assert summary["iou_per_class"] == pytest.approx(expected.mean(axis=0).tolist(), rel=1e-6)
    assert summary["iou"] == pytest.approx(expected.mean(), rel=1e-6)
    assert len(summary["dice_per_class"]) == 2


def test_the_network_is_measured_in_evaluation_mode_and_gets_its_mode_back():
    modes = []

    class Noting(nn.Identity):
        def forward(self, image):
            modes.append(self.training)
            return image

    network = Noting().train()
    score_cases(
        network,
        DataLoader(binary_cases(3), batch_size=2),
        loss_function=nn.BCEWithLogitsLoss(),
        inferer=SimpleInferer(),
        activation="sigmoid",
        device="cpu",
    )
    assert modes == [False, False]
    assert network.training


def test_a_case_whose_output_is_not_finite_is_named():
    items = binary_cases(3)
    items[1]["image"][0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="'case_1' is not finite"):
        score(items)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_of_several_classes_those_count_that_a_case_holds(activation):
    """Case a holds the first class alone, b both, c none; the network finds nothing, but a false alarm in d."""
    held = [(True, False), (True, True), (False, False), (False, False)]
    items = []
    for index, (first, second) in enumerate(held):
        maps = torch.zeros(2, 4, 4)
        maps[0, 0], maps[1, 1] = float(first), float(second)
        logits = torch.full((2, 4, 4), -1.0)
        if index == 3:
            logits[1, 3] = 1.0
        if activation == "softmax":
            maps = torch.stack([1 - maps.sum(0), *maps])
            logits = torch.stack([torch.zeros(4, 4), *logits])
        items.append({"image": logits, "label": maps, "id": "abcd"[index]})
    scores = score(items, activation=activation)
    assert scores.present.tolist() == [list(one) for one in held]
    assert scores.overlap_of("abcd", [0, 1]).tolist() == [0, 0, 1, 0.5]
    assert scores.overlap_of("ca", [0]).tolist() == [1, 0]

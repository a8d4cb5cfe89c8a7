from __future__ import annotations

import monai.losses
import pytest
import torch
from torch import nn

from monai_unlearn.losses import activation_of


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        (monai.losses.DiceLoss(sigmoid=True), "sigmoid"),
        (monai.losses.DiceLoss(softmax=True, to_onehot_y=True), "softmax"),
        (monai.losses.DiceCELoss(sigmoid=True), "sigmoid"),
        (monai.losses.DiceCELoss(softmax=True, to_onehot_y=True), "softmax"),
        (monai.losses.DiceFocalLoss(sigmoid=True), "sigmoid"),
        (monai.losses.DiceFocalLoss(softmax=True, to_onehot_y=True), "softmax"),
        (monai.losses.GeneralizedDiceLoss(softmax=True), "softmax"),
        (monai.losses.TverskyLoss(sigmoid=True), "sigmoid"),
        (monai.losses.FocalLoss(), "sigmoid"),
        (monai.losses.FocalLoss(use_softmax=True), "softmax"),
        (monai.losses.MaskedDiceLoss(sigmoid=True), "sigmoid"),
        (monai.losses.DeepSupervisionLoss(monai.losses.DiceLoss(sigmoid=True)), "sigmoid"),
        (nn.CrossEntropyLoss(), "softmax"),
        (nn.BCEWithLogitsLoss(), "sigmoid"),
        (nn.MultiLabelSoftMarginLoss(), "sigmoid"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else value,
)
def test_the_loss_says_what_the_logits_mean(loss: nn.Module, activation: str) -> None:
    assert activation_of(loss) == activation


def test_a_loss_round_another_is_asked_through() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = monai.losses.DiceCELoss(softmax=True)

        def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return 0.5 * self.inner(logits, label)

    assert activation_of(Weighted()) == "softmax"


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.BCELoss(), monai.losses.DiceLoss(), torch.nn.functional.mse_loss])
def test_a_loss_that_does_not_say_is_refused_with_the_way_out(loss: object) -> None:
    with pytest.raises(ValueError, match="say it with --activation sigmoid or --activation softmax"):
        activation_of(loss)

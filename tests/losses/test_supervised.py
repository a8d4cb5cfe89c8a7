from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DiceCELoss, DiceLoss, FocalLoss, GeneralizedDiceLoss, TverskyLoss

from monai_unlearn.losses import SupervisedTerm, TermInputs, case_losses

GENERATOR = torch.Generator().manual_seed(3)
LOGITS = 3 * torch.randn(4, 1, 6, 5, generator=GENERATOR)
MASK = torch.randint(2, LOGITS.shape, generator=GENERATOR).float()


def dice_and_cross_entropy(logits, mask):
    """NumPy reference of DiceCELoss(sigmoid=True) for one case."""
    logits, mask = logits.double().numpy(), mask.double().numpy()
    probability = 1 / (1 + np.exp(-logits))
    dice = (2 * (probability * mask).sum() + 1e-5) / (probability.sum() + mask.sum() + 1e-5)
    cross_entropy = -(mask * np.log(probability) + (1 - mask) * np.log(1 - probability)).mean()
    return 1 - dice + cross_entropy


def test_a_case_has_the_loss_worked_out_by_hand():
    expected = [dice_and_cross_entropy(*case) for case in zip(LOGITS, MASK, strict=True)]
    np.testing.assert_allclose(case_losses(DiceCELoss(sigmoid=True), LOGITS, MASK), expected, rtol=1e-5)


def test_one_logit_dice_ce_is_the_published_supervised_loss():
    dice, bce = DiceLoss(sigmoid=True), torch.nn.BCEWithLogitsLoss()
    published = case_losses(lambda logits, mask: dice(logits, mask) + bce(logits, mask), LOGITS, MASK)
    torch.testing.assert_close(case_losses(DiceCELoss(sigmoid=True), LOGITS, MASK), published)


def test_the_mean_over_cases_is_the_batch_loss_where_that_is_a_mean():
    torch.testing.assert_close(
        case_losses(DiceCELoss(sigmoid=True), LOGITS, MASK).mean(), DiceCELoss(sigmoid=True)(LOGITS, MASK)
    )


@pytest.mark.parametrize(
    "loss_function",
    [
        DiceLoss(sigmoid=True, batch=True),
        GeneralizedDiceLoss(sigmoid=True),
        TverskyLoss(sigmoid=True),
        FocalLoss(reduction="none"),
        torch.nn.BCEWithLogitsLoss(reduction="sum"),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_any_loss_is_applied_as_if_the_batch_held_one_case(loss_function):
    alone = [loss_function(LOGITS[i : i + 1], MASK[i : i + 1]).mean() for i in range(4)]
    torch.testing.assert_close(case_losses(loss_function, LOGITS, MASK), torch.stack(alone))


def test_a_case_passes_gradient_to_its_own_logits_only():
    logits = LOGITS.clone().requires_grad_()
    case_losses(DiceCELoss(sigmoid=True), logits, MASK)[2].backward()
    reached = logits.grad.flatten(1).abs().sum(dim=1) > 0
    assert reached.tolist() == [False, False, True, False]


def test_a_large_half_precision_volume_does_not_overflow():
    logits, mask = torch.full((1, 1, 300, 300), 8.0, dtype=torch.float16), torch.ones(1, 1, 300, 300)
    assert 0 <= case_losses(DiceLoss(sigmoid=True), logits, mask).item() < 1e-3  # 90000 voxels > 65504


def test_metadata_does_not_come_out_again():
    losses = case_losses(DiceCELoss(sigmoid=True), MetaTensor(LOGITS), MetaTensor(MASK))
    assert type(losses) is torch.Tensor


def test_numbers_of_cases_that_disagree_are_refused():
    with pytest.raises(ValueError, match="logits hold 4 cases, the label 3"):
        case_losses(DiceCELoss(sigmoid=True), LOGITS, MASK[:3])


def test_the_term_is_the_loss_of_each_case():
    cases = TermInputs(student=LOGITS, teacher=None, label=MASK, ids=("a", "b", "c", "d"))
    loss_function = DiceCELoss(sigmoid=True)
    values = SupervisedTerm(loss_function=loss_function)(cases)
    torch.testing.assert_close(values, case_losses(loss_function, LOGITS, MASK), rtol=0, atol=0)


def test_something_that_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"loss_function must be callable.*'DiceLoss'"):
        SupervisedTerm(loss_function="DiceLoss")

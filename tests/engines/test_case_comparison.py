from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from monai_unlearn.engines import CaseComparison, mirror_views
from monai_unlearn.metrics import case_score
from tests.engines.example import adapted_student, cases, plain_network, trainer_of
from tests.engines.test_calibration import bce_per_case


def iou_per_case(network: nn.Module, items: list[dict]) -> np.ndarray:
    """IoU of every case by NumPy, in evaluation mode."""
    with torch.no_grad():
        found = network.eval()(torch.stack([item["image"] for item in items])).numpy() > 0
    truth = torch.stack([item["label"] for item in items]).numpy() > 0.5
    return (found & truth).sum(axis=(1, 2, 3)) / (found | truth).sum(axis=(1, 2, 3))


def comparison(items: list[dict], **arguments) -> CaseComparison:
    return CaseComparison(
        forget=items[:4],
        loss_function=nn.BCEWithLogitsLoss(),
        score=lambda logits, label: case_score(logits, label, task="segmentation", activation="sigmoid"),
        batch_size=3,
        **arguments,
    )


def test_without_views_the_student_is_measured_on_forget_and_reference_cases():
    items, student = cases(10, forget=4), plain_network(seed=4).requires_grad_(True)
    trainer = trainer_of(student, items, teacher=plain_network(), optimizer=torch.optim.SGD(student.parameters(), 0.1))
    found = comparison(items, reference=items[4:])(trainer)
    np.testing.assert_allclose(found["losses"], bce_per_case(student, items[:4]), rtol=1e-5)
    np.testing.assert_allclose(found["other_losses"], bce_per_case(student, items[4:]), rtol=1e-5)
    np.testing.assert_allclose(found["scores"], iou_per_case(student, items[:4]), rtol=1e-6)
    np.testing.assert_allclose(found["other_scores"], iou_per_case(student, items[4:]), rtol=1e-6)


@pytest.mark.parametrize("scope", ["adapters", "weights"])
def test_with_views_the_target_is_the_teachers_mean_over_views_of_the_same_cases(scope):
    items, views = cases(6, forget=4), mirror_views(2)
    if scope == "adapters":
        trainer = trainer_of(adapted_student(learned=0.5), items)
    else:
        student = plain_network(seed=4).requires_grad_(True)
        optimizer = torch.optim.SGD(student.parameters(), 0.1)
        trainer = trainer_of(student, items, teacher=plain_network(), optimizer=optimizer)
    found = comparison(items, views=views)(trainer)
    mirrored = [
        [{key: view.apply(item[key][None])[0] for key in ("image", "label")} for item in items] for view in views
    ]
    teacher = plain_network()
    losses = np.mean([bce_per_case(teacher, of_view[:4]) for of_view in mirrored], axis=0)
    scores = np.mean([iou_per_case(teacher, of_view[:4]) for of_view in mirrored], axis=0)
    np.testing.assert_allclose(found["other_losses"], losses, rtol=1e-5)
    np.testing.assert_allclose(found["other_scores"], scores, rtol=1e-5)


def test_the_target_of_views_stays_while_the_student_learns():
    items = cases(8, forget=4)
    trainer = trainer_of(adapted_student(), items, max_epochs=2)
    measured = comparison(items, views=mirror_views(2))
    before = measured(trainer)
    trainer.run()
    after = measured(trainer)
    assert torch.equal(before["other_losses"], after["other_losses"])
    assert not torch.equal(before["losses"], after["losses"])


def test_measuring_leaves_mode_and_weights_as_they_were():
    items, student = cases(8, forget=4), adapted_student(learned=0.3)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    student.train()
    comparison(items, views=mirror_views(2))(trainer_of(student, items))
    assert student.training
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in before.items())


def test_a_comparison_with_nothing_is_refused():
    with pytest.raises(ValueError, match="'views' of themselves or with a 'reference' dataset"):
        comparison(cases(4, forget=4))

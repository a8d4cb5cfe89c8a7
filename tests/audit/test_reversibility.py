from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader
from monai.inferers import SimpleInferer

from monai_unlearn.audit import adapters_off_difference
from tests.engines.example import adapted_student, cases, plain_network, trainer_of

ITEMS = cases(5, forget=2)


def difference(student, teacher) -> float:
    loader = DataLoader(ITEMS, batch_size=2)
    return adapters_off_difference(student, teacher, loader, inferer=SimpleInferer(), device="cpu")


def test_a_trained_student_with_its_adapters_off_is_the_teacher_exactly():
    student = adapted_student()
    trainer_of(student, ITEMS, max_epochs=3).run()
    with torch.no_grad():
        image = torch.stack([item["image"] for item in ITEMS])
        assert not torch.equal(student.eval()(image), plain_network()(image)), "nothing was learned"
    assert difference(student, plain_network()) == 0.0


def test_the_largest_difference_of_any_logit_of_any_case_is_found():
    teacher = plain_network()
    with torch.no_grad():
        teacher[3].bias.add_(0.25)
    assert difference(adapted_student(learned=0.5), teacher) == pytest.approx(0.25, rel=1e-5)


def test_another_teacher_is_told_apart():
    assert difference(adapted_student(), plain_network(seed=1)) > 0


def test_moved_statistics_are_found():
    """The adapters are off, but a student whose normalisation went astray is not the teacher any more."""
    student = adapted_student()
    student[1].running_mean.add_(0.1)
    assert difference(student, plain_network()) > 0


def test_measuring_changes_neither_the_student_nor_the_callers_gradients():
    student = adapted_student(learned=0.5).train()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    difference(student, plain_network())
    assert torch.is_grad_enabled()
    assert student.training
    assert not any(getattr(module, "disable_adapters", False) for module in student.modules())
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_a_network_without_adapters_is_refused():
    with pytest.raises(ValueError, match="has no adapters"):
        difference(plain_network(), plain_network())

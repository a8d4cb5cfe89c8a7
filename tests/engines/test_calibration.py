from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.inferers import SimpleInferer
from torch import nn
from torch.utils.data import Dataset

from monai_unlearn.engines import CalibrationTargets, MirrorView, mirror_views
from monai_unlearn.losses import CalibratedErasureTerm, CalibratedViewTerm, TermInputs
from tests.engines.example import SquaredGap, adapted_student, cases, plain_network, trainer_of


class Listed(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def bce_per_case(network: nn.Module, items: list[dict]) -> np.ndarray:
    """Binary cross-entropy of every case by NumPy, in evaluation mode."""
    with torch.no_grad():
        logits = network.eval()(torch.stack([item["image"] for item in items])).double().numpy()
    truth = torch.stack([item["label"] for item in items]).double().numpy()
    return (np.log1p(np.exp(-logits)) + (1 - truth) * logits).mean(axis=(1, 2, 3))


def calibrated(student: nn.Module, items: list[dict], reference: list[dict], *, batch_size: int = 2, **arguments):
    term = CalibratedErasureTerm(loss_function=nn.BCEWithLogitsLoss())
    forget = [item for item in items if item["forget"]]
    handler = CalibrationTargets(
        terms=[term], forget=Listed(forget), reference=Listed(reference), batch_size=batch_size
    )
    trainer = trainer_of(
        student, items, retention={"gap": SquaredGap()}, erasure={"c": term}, train_handlers=[handler], **arguments
    )
    return term, trainer


@pytest.mark.parametrize("scope", ["adapters", "weights"])
def test_targets_are_the_hazen_quantiles_of_the_teachers_losses(scope):
    every = cases(12, forget=5)
    items, reference = every[:8], every[8:]
    if scope == "adapters":  # whatever the adapters have learned already, the teacher is measured
        term, trainer = calibrated(adapted_student(learned=0.5), items, reference)
    else:
        student = plain_network(seed=4).requires_grad_(True)
        optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
        term, trainer = calibrated(student, items, reference, teacher=plain_network(), optimizer=optimizer)
    trainer.run()

    forget_losses = bce_per_case(plain_network(), items[:5])
    ranks = forget_losses.argsort().argsort()
    expected = np.quantile(bce_per_case(plain_network(), reference), (ranks + 0.5) / 5, method="hazen")
    np.testing.assert_allclose(term.target_of([item["id"] for item in items[:5]]), expected, rtol=1e-5)
    assert trainer.state.iteration == 2, "training went on"


def test_the_targets_are_there_before_the_first_step_and_do_not_move():
    items = cases(8, forget=4)
    term, trainer = calibrated(adapted_student(), items, items[4:], max_epochs=3)
    names = [item["id"] for item in items[:4]]
    seen = []
    trainer.add_event_handler("ITERATION_STARTED", lambda engine: seen.append(term.target_of(names).tolist()))
    trainer.run()
    assert len(seen) == 6
    assert all(targets == seen[0] for targets in seen)


def test_measuring_leaves_the_student_as_it_was():
    items = cases(8, forget=4)
    student = adapted_student(learned=0.3)
    _, trainer = calibrated(student, items, items[4:])
    before = {name: value.clone() for name, value in student.state_dict().items()}
    trainable = {name for name, parameter in student.named_parameters() if parameter.requires_grad}
    CalibrationTargets(
        terms=[CalibratedErasureTerm(loss_function=nn.BCEWithLogitsLoss())],
        forget=Listed(items[:4]),
        reference=Listed(items[4:]),
    )(trainer)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert {name for name, parameter in student.named_parameters() if parameter.requires_grad} == trainable
    assert torch.is_grad_enabled()
    assert not any(getattr(module, "disable_adapters", False) for module in student.modules())


def test_the_size_of_the_batches_does_not_count():
    items = cases(9, forget=5)
    targets = []
    for batch_size in (1, 4, 64):
        term, trainer = calibrated(adapted_student(), items, items[5:], batch_size=batch_size)
        trainer.run()
        targets.append(term.target_of([item["id"] for item in items[:5]]))
    torch.testing.assert_close(targets[0], targets[1])
    torch.testing.assert_close(targets[0], targets[2])


def test_a_trainer_without_a_teacher_cannot_be_calibrated():
    student = plain_network().requires_grad_(True)
    items = cases(4, forget=2)
    term = CalibratedErasureTerm(loss_function=nn.BCEWithLogitsLoss())
    handler = CalibrationTargets(terms=[term], forget=Listed(items[:2]), reference=Listed(items[2:]))
    trainer = trainer_of(
        student,
        items,
        retention={},
        erasure={"c": term},
        train_handlers=[handler],
        optimizer=torch.optim.SGD(student.parameters(), lr=0.1),
    )
    with pytest.raises(ValueError, match=r"adapters"):
        trainer.run()


def test_by_views_each_forget_case_gets_the_teachers_answer_to_a_mirror_image():
    every = cases(12, forget=5)
    items, reference = every[:8], every[8:]
    term = CalibratedViewTerm(loss_function=nn.BCEWithLogitsLoss(), activation="sigmoid")
    handler = CalibrationTargets(
        terms=[term], forget=Listed(items[:5]), reference=Listed(reference), views=mirror_views(2), batch_size=2
    )
    student = adapted_student(learned=0.5)  # whatever the adapters have learned already, the teacher answers
    trainer = trainer_of(student, items, erasure={"c": term}, train_handlers=[handler])
    handler(trainer)
    teacher = plain_network().eval()
    views = [{**item, "image": view.apply(item["image"][None])[0]} for item in items[:5] for view in mirror_views(2)]
    with torch.no_grad():
        for number, item in enumerate(items[:5]):
            of_case = views[7 * number : 7 * number + 7]
            answers = [
                view.invert(teacher(seen["image"][None])) for view, seen in zip(mirror_views(2), of_case, strict=True)
            ]
            kept = term(
                TermInputs(student=answers[0], teacher=None, label=item["label"][None], ids=(item["id"],))
            ).item()
            distances = [
                nn.functional.binary_cross_entropy_with_logits(answers[0], a.sigmoid()).item() for a in answers
            ]
            assert min(abs(kept - distance) for distance in distances) < 1e-6


def test_a_term_that_needs_views_is_refused_without_any():
    term = CalibratedViewTerm(loss_function=nn.BCEWithLogitsLoss(), activation="sigmoid")
    with pytest.raises(ValueError, match="needs 'views'"):
        CalibrationTargets(terms=[term], forget=Listed([]), reference=Listed([]))


def test_terms_of_different_losses_are_refused():
    terms = [CalibratedErasureTerm(loss_function=nn.BCEWithLogitsLoss()) for _ in range(2)]
    with pytest.raises(ValueError, match="one and the same loss function"):
        CalibrationTargets(terms=terms, forget=Listed([]), reference=Listed([]))


def test_answers_on_the_fly_are_those_that_were_fixed_beforehand_where_items_do_not_change():
    every = cases(12, forget=5)
    items, reference = every[:8], Listed(every[8:])
    learned = []
    for answers in ("fixed", "on_the_fly"):
        student = adapted_student(learned=0.2)
        term = CalibratedViewTerm(loss_function=nn.BCEWithLogitsLoss(), activation="sigmoid", answers=answers)
        handler = CalibrationTargets(
            terms=[term],
            views=mirror_views(2),
            forget=Listed(items[:5]),
            reference=reference,
            batch_size=2,
            inferer=SimpleInferer(),
        )
        trainer = trainer_of(
            student, items, retention={"gap": SquaredGap()}, erasure={"v": term}, train_handlers=[handler]
        )
        trainer.run()
        learned.append(torch.cat([parameter.detach().flatten() for parameter in student.parameters()]))
    torch.testing.assert_close(*learned, rtol=1e-4, atol=1e-5)


def test_whole_images_are_measured_by_the_inferer_that_is_given():
    every, calls = cases(8, forget=3), []

    class Counting(SimpleInferer):
        def __call__(self, inputs, network, *args, **kwargs):
            calls.append(tuple(inputs.shape))
            return super().__call__(inputs, network, *args, **kwargs)

    term = CalibratedErasureTerm(loss_function=nn.BCEWithLogitsLoss())
    handler = CalibrationTargets(
        terms=[term], forget=Listed(every[:3]), reference=Listed(every[6:]), batch_size=1, inferer=Counting()
    )
    trainer_of(
        adapted_student(), every[:6], retention={"gap": SquaredGap()}, erasure={"c": term}, train_handlers=[handler]
    ).run()
    assert len(calls) == 5  # three to forget, two of reference, and none of the training steps


def class_losses(network: nn.Module, items: list[dict], views) -> torch.Tensor:
    """Cross-entropy of every case by every view, in evaluation mode."""
    with torch.no_grad():
        of_views = [network.eval()(view.apply(torch.stack([item["image"] for item in items]))) for view in views]
    truth = torch.stack([item["label"] for item in items])
    return torch.stack([nn.functional.cross_entropy(logits, truth, reduction="none") for logits in of_views], dim=1)


def classified(count: int, *, forget: int) -> list[dict]:
    """Cases of three classes in turn."""
    return [{**item, "label": torch.tensor(index % 3)} for index, item in enumerate(cases(count, forget=forget))]


class Pooled(nn.Module):
    """The plain network as a classifier: three ways to sum up its output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.network(images)
        return torch.cat([logits[..., 0].mean(2), logits.amax((2, 3)), logits[:, :, 1, 2]], dim=1)


def test_with_peers_and_by_class_a_case_is_matched_by_its_rank_among_the_training_cases_of_its_class():
    every, loss = classified(30, forget=6), nn.CrossEntropyLoss()
    items, reference = every[:18], every[18:]
    term = CalibratedErasureTerm(loss_function=loss)
    handler = CalibrationTargets(
        terms=[term],
        forget=Listed(items[:6]),
        reference=Listed(reference),
        views=mirror_views(2),
        peers=Listed(items[6:]),
        by_class=True,
        batch_size=4,
    )
    trainer_of(
        Pooled(adapted_student(learned=0.5)),
        items,
        retention={"gap": SquaredGap()},
        erasure={"c": term},
        train_handlers=[handler],
    ).run()
    teacher = Pooled(plain_network())
    hardness = class_losses(teacher, items, mirror_views(2)).mean(1).numpy()
    never = class_losses(teacher, reference, [MirrorView(axes=()), *mirror_views(2)]).numpy()
    for value in range(3):
        ranks = hardness[value::3].argsort().argsort()  # the cases to forget come first
        expected = np.quantile(never[value::3], (ranks + 0.5) / 6, method="hazen")[:2]
        targets = term.target_of([f"case_{value}", f"case_{value + 3}"])
        np.testing.assert_allclose(targets, expected, rtol=1e-4)


def test_by_class_refuses_label_maps():
    items = cases(6, forget=2)
    term = CalibratedErasureTerm(loss_function=nn.BCEWithLogitsLoss())
    handler = CalibrationTargets(terms=[term], forget=Listed(items[:2]), reference=Listed(items[2:]), by_class=True)
    trainer = trainer_of(adapted_student(), items, erasure={"c": term}, train_handlers=[handler])
    with pytest.raises(ValueError, match=r"for classifications.*case_0"):
        trainer.run()

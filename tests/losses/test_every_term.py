"""One table of terms × shapes: what every term must do, whatever it computes."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DiceCELoss

from monai_unlearn.losses import (
    BackgroundTerm,
    CalibratedErasureTerm,
    ContradictionTerm,
    DistillationTerm,
    EntropyTerm,
    GuardTerm,
    RandomLabelTerm,
    SupervisedTerm,
    TermInputs,
)

IDS = ("p01", "p02", "p03")
SHAPES = {  # logits
    "one logit, 2-D": ("sigmoid", (3, 1, 6, 4)),
    "one logit, 3-D": ("sigmoid", (3, 1, 4, 3, 2)),
    "several labels, 2-D": ("sigmoid", (3, 2, 4, 5)),
    "classes, 2-D": ("softmax", (3, 3, 4, 5)),
    "classes, 3-D": ("softmax", (3, 3, 2, 3, 4)),
    "classification": ("softmax", (3, 4)),
    "classification, one logit": ("sigmoid", (3, 1)),
    "classification, several labels": ("sigmoid", (3, 5)),
}


def supervised_loss(activation, shape):
    """The bundle's own loss: Dice + cross-entropy for segmentation, cross-entropy for classification."""
    if len(shape) > 2:
        softmax = activation == "softmax"
        return DiceCELoss(sigmoid=not softmax, softmax=softmax, to_onehot_y=softmax)
    return torch.nn.CrossEntropyLoss() if activation == "softmax" else torch.nn.BCEWithLogitsLoss()


def calibrated(activation, shape, distance):
    term = CalibratedErasureTerm(loss_function=supervised_loss(activation, shape), distance=distance)
    term.fit(IDS, torch.tensor([0.3, 0.1, 0.2]), torch.tensor([3.0, 5.0]))
    return term


TERMS = {
    "supervised": lambda activation, shape: SupervisedTerm(loss_function=supervised_loss(activation, shape)),
    "distillation": lambda activation, shape: DistillationTerm(activation=activation),
    "guard": lambda activation, shape: GuardTerm(),
    "background": lambda activation, shape: BackgroundTerm(activation=activation),
    "boosted background": lambda activation, shape: BackgroundTerm(activation=activation, boost=5.0),
    "contradiction": lambda activation, shape: ContradictionTerm(activation=activation, tau=0.55),
    "entropy": lambda activation, shape: EntropyTerm(activation=activation),
    "random label": lambda activation, shape: RandomLabelTerm(activation=activation),
    "calibrated, absolute": lambda activation, shape: calibrated(activation, shape, "absolute"),
    "calibrated, squared": lambda activation, shape: calibrated(activation, shape, "squared"),
    "calibrated, smooth": lambda activation, shape: calibrated(activation, shape, "smooth"),
}
every_term = pytest.mark.parametrize("build", TERMS.values(), ids=TERMS)
every_shape = pytest.mark.parametrize(("activation", "shape"), SHAPES.values(), ids=SHAPES)


def draw(activation, shape, *, scale=2.0, dtype=torch.float64):
    """Cases with random logits and a label of the form that the bundle's loss takes."""
    generator = torch.Generator().manual_seed(7)
    student, teacher = scale * torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    if activation == "sigmoid":
        label = torch.randint(2, shape, generator=generator).to(torch.promote_types(dtype, torch.float32))
    elif len(shape) == 2:
        label = torch.randint(shape[1], shape[:1], generator=generator)
    else:
        label = torch.randint(shape[1], (shape[0], 1, *shape[2:]), generator=generator)
    return TermInputs(student=student.to(dtype), teacher=teacher.to(dtype), label=label, ids=IDS)


def with_student(cases, student):
    return TermInputs(student=student, teacher=cases.teacher, label=cases.label, ids=cases.ids)


@every_term
@every_shape
def test_a_term_gives_one_value_per_case(build, activation, shape):
    values = build(activation, shape)(draw(activation, shape))
    assert values.shape == (3,)
    assert values.isfinite().all()


@every_term
@every_shape
def test_a_case_has_the_same_value_alone_as_in_a_batch(build, activation, shape):
    term, cases = build(activation, shape), draw(activation, shape)
    alone = [
        term(
            TermInputs(
                student=cases.student[i : i + 1],
                teacher=cases.teacher[i : i + 1],
                label=cases.label[i : i + 1],
                ids=cases.ids[i : i + 1],
            )
        )
        for i in range(3)
    ]
    torch.testing.assert_close(term(cases), torch.cat(alone))


@every_term
@every_shape
def test_the_gradient_is_that_of_finite_differences(build, activation, shape):
    term, cases = build(activation, shape), draw(activation, shape)
    if len(shape) > 2:  # a numerical Jacobian costs one evaluation per logit: two voxels per axis say as much
        small = (..., *(slice(2) for _ in shape[2:]))
        cases = TermInputs(
            student=cases.student[small], teacher=cases.teacher[small], label=cases.label[small], ids=IDS
        )
    assert torch.autograd.gradcheck(
        lambda student: term(with_student(cases, student)), cases.student.clone().requires_grad_()
    )


@every_term
@every_shape
@pytest.mark.parametrize("scale", [0.0, 1e4], ids=["zero logits", "huge logits"])
def test_values_and_gradients_stay_finite(build, activation, shape, scale):
    cases = draw(activation, shape, dtype=torch.float32)
    student = (scale * cases.student.sign()).requires_grad_()
    cases = TermInputs(student=student, teacher=-student.detach(), label=cases.label, ids=IDS)
    values = build(activation, shape)(cases)
    values.sum().backward()
    assert values.isfinite().all()
    assert student.grad.isfinite().all()


@every_term
@every_shape
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
def test_half_precision_logits_are_computed_in_float32(build, activation, shape, half):
    cases = draw(activation, shape, dtype=half)
    lifted = TermInputs(student=cases.student.float(), teacher=cases.teacher.float(), label=cases.label, ids=IDS)
    term = build(activation, shape)
    values = term(cases)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, term(lifted), rtol=0, atol=0)


@every_term
def test_only_a_term_that_says_so_needs_the_teacher(build):
    activation, shape = SHAPES["one logit, 2-D"]
    term, cases = build(activation, shape), draw(activation, shape)
    without = TermInputs(student=cases.student, teacher=None, label=cases.label, ids=IDS)
    if term.uses_teacher:
        with pytest.raises(ValueError, match="no teacher logits were given"):
            term(without)
    else:
        torch.testing.assert_close(term(without), term(cases), rtol=0, atol=0)


@every_term
def test_the_weight_is_left_to_the_engine(build):
    activation, shape = SHAPES["one logit, 2-D"]
    term, cases = build(activation, shape), draw(activation, shape)
    unweighted = term(cases)
    term.weight = 17.0
    torch.testing.assert_close(term(cases), unweighted, rtol=0, atol=0)


@every_term
@every_shape
def test_a_batch_without_cases_gives_no_values(build, activation, shape):
    cases = draw(activation, shape)
    none = TermInputs(student=cases.student[:0], teacher=cases.teacher[:0], label=cases.label[:0], ids=())
    assert build(activation, shape)(none).shape == (0,)


@every_term
def test_metadata_is_dropped_and_changes_nothing(build):
    activation, shape = SHAPES["classes, 2-D"]
    term, cases = build(activation, shape), draw(activation, shape)
    with_metadata = TermInputs(
        student=MetaTensor(cases.student), teacher=MetaTensor(cases.teacher), label=MetaTensor(cases.label), ids=IDS
    )
    values = term(with_metadata)
    assert type(values) is torch.Tensor
    torch.testing.assert_close(values, term(cases), rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in TERMS if name not in ("random label",)])
@pytest.mark.parametrize(("activation", "shape"), [SHAPES["one logit, 2-D"], SHAPES["classes, 3-D"]])
def test_the_size_of_the_image_does_not_matter(name, activation, shape):
    """A shifted mask depends on the size; for the others a tiled image has the value of its tile."""
    term, cases = TERMS[name](activation, shape), draw(activation, shape)
    twice = (1, 1, *(2 for _ in shape[2:]))
    tiled = TermInputs(
        student=cases.student.repeat(twice),
        teacher=cases.teacher.repeat(twice),
        label=cases.label.repeat(twice),
        ids=IDS,
    )
    torch.testing.assert_close(term(tiled), term(cases), rtol=1e-5, atol=1e-5)  # Dice is smoothed by 1e-5


@pytest.mark.parametrize(
    "build",
    [
        lambda: DistillationTerm(activation="sofmax"),
        lambda: BackgroundTerm(activation="relu"),
        lambda: ContradictionTerm(activation="none"),
        lambda: EntropyTerm(activation=""),
        lambda: RandomLabelTerm(activation="Sigmoid"),
    ],
)
def test_an_unknown_activation_is_refused_at_construction(build):
    with pytest.raises(ValueError, match=r"activation is .*allowed are 'sigmoid'.*'softmax'"):
        build()

"""Class removal: closed forms, the balance of its two kinds of voxels, and what it asks of the network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from monai_unlearn.losses import TermInputs
from monai_unlearn.losses.class_removal import ClassRemovalTerm, class_removal_loss

SHAPES = {
    "softmax, 3-D": ("softmax", (3, 3, 4, 3, 2)),
    "softmax, classification": ("softmax", (3, 4)),
    "sigmoid, 2-D": ("sigmoid", (3, 2, 4, 5)),
    "sigmoid, one logit": ("sigmoid", (3, 1, 4, 5)),
    "sigmoid, classification": ("sigmoid", (3, 5)),
}
every_shape = pytest.mark.parametrize(("activation", "shape"), SHAPES.values(), ids=SHAPES)


def draw(activation, shape, *, scale=2.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    student, teacher = scale * torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    if activation == "sigmoid":
        label = torch.randint(2, shape, generator=generator).float()
    else:
        label = torch.randint(shape[1], (shape[0], 1, *shape[2:]) if len(shape) > 2 else shape[:1], generator=generator)
    return student.to(dtype), teacher.to(dtype), label


def reference(student, teacher, label, *, removed, activation, class_weight=1.0):
    """The formula, element by element, in NumPy."""
    values = []
    for case in range(len(student)):
        s, t = (logits[case].double().numpy().reshape(logits.shape[1], -1) for logits in (student, teacher))
        y = label[case].double().numpy().reshape(-1 if activation == "softmax" else s.shape[0], s.shape[1])
        kinds = {}
        for voxel in range(s.shape[1]):
            if activation == "softmax":
                kept = [c for c in range(len(s)) if c not in removed]
                q = np.exp(t[kept, voxel]) / np.exp(t[kept, voxel]).sum()
                p = np.exp(s[:, voxel]) / np.exp(s[:, voxel]).sum()
                value = sum(q[k] * math.log(q[k] / p[c]) for k, c in enumerate(kept))
                has_class = t[:, voxel].argmax() in removed or int(y[0, voxel]) in removed
                shown = int(t[:, voxel].argmax())
            else:
                value, has_class, shown = 0.0, False, False
                for c in range(len(s)):
                    q, p = (1 / (1 + math.exp(-logits[c, voxel])) for logits in (t, s))
                    if c in removed:
                        value += -math.log(1 - p)
                        has_class |= bool(t[c, voxel] > 0 or y[c, voxel] > 0.5)
                    else:
                        value += q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
                        shown |= bool(t[c, voxel] > 0)
            kinds.setdefault("removed" if has_class else shown, []).append(value)
        parts = [(class_weight if kind == "removed" else 1.0, np.mean(of)) for kind, of in kinds.items()]
        values.append(sum(weight * mean for weight, mean in parts) / sum(weight for weight, _ in parts))
    return torch.tensor(values, dtype=torch.float64)


@every_shape
@pytest.mark.parametrize("class_weight", [1.0, 3.0])
def test_the_value_is_that_of_the_formula(activation, shape, class_weight):
    student, teacher, label = draw(activation, shape)
    arguments = {"activation": activation, "class_weight": class_weight}
    values = class_removal_loss(student, teacher, label, classes=[0], **arguments)
    torch.testing.assert_close(values, reference(student, teacher, label, removed=[0], **arguments))


def test_several_classes_go_at_once():
    student, teacher, label = draw("softmax", (3, 4, 3, 2))
    values = class_removal_loss(student, teacher, label, classes=[1, 3], activation="softmax")
    torch.testing.assert_close(values, reference(student, teacher, label, removed=[1, 3], activation="softmax"))


def test_a_sure_voxel_of_the_class_goes_to_the_other_classes_in_the_teachers_ratio():
    """Teacher (0, ln 3, 50): without class 2, background to class 1 as 1 to 3; the student that says so is at 0."""
    teacher = torch.tensor([[0.0, math.log(3), 50.0]])
    perfect = torch.tensor([[0.0, math.log(3), -50.0]])
    arguments = {"classes": [2], "activation": "softmax"}
    label = torch.tensor([2])
    assert class_removal_loss(perfect, teacher, label, **arguments).item() == pytest.approx(0.0, abs=1e-6)
    uniform = torch.zeros(1, 3)
    expected = 0.25 * math.log(0.25 * 3) + 0.75 * math.log(0.75 * 3)
    assert class_removal_loss(uniform, teacher, label, **arguments).item() == pytest.approx(expected, rel=1e-6)


def test_an_heir_inherits_what_the_removed_classes_had():
    student, teacher, label = draw("softmax", (3, 4, 5, 2))
    p = teacher.softmax(1)
    q = torch.stack([p[:, 0] + p[:, 1] + p[:, 3], p[:, 2]], dim=1)
    log_s = student.log_softmax(1)[:, [0, 2]]
    divergence = (q * (q.log() - log_s)).sum(1).flatten(1)
    gone = torch.tensor([1, 3])
    kind = torch.where(torch.isin(teacher.argmax(1), gone) | torch.isin(label[:, 0], gone), 9, teacher.argmax(1))
    expected = torch.stack(
        [
            torch.stack([d[k == one].mean() for one in k.unique()]).mean()
            for d, k in zip(divergence, kind.flatten(1), strict=True)
        ]
    )
    values = class_removal_loss(student, teacher, label, classes=[1, 3], activation="softmax", heir=0)
    torch.testing.assert_close(values, expected)


def test_with_an_heir_a_sure_voxel_of_the_class_becomes_the_heirs_and_not_its_neighbours():
    teacher = torch.tensor([[0.0, 5.0, 500.0]])
    background, neighbour = torch.tensor([[50.0, 0.0, 0.0], [0.0, 50.0, 0.0]]).split(1)
    arguments = {"classes": [2], "activation": "softmax", "heir": 0}
    assert class_removal_loss(background, teacher, torch.tensor([2]), **arguments).item() == pytest.approx(0, abs=1e-6)
    assert class_removal_loss(neighbour, teacher, torch.tensor([2]), **arguments).item() == pytest.approx(50, rel=1e-6)


@pytest.mark.parametrize("sure", [1e2, 1e4])
def test_a_saturated_teacher_gives_finite_values_and_gradients(sure):
    teacher = torch.zeros(2, 3, 4, 4)
    teacher[:, 2] = sure
    student = teacher.clone().requires_grad_()
    label = torch.full((2, 1, 4, 4), 2)
    value = class_removal_loss(student, teacher, label, classes=[2], activation="softmax")
    value.sum().backward()
    torch.testing.assert_close(value, torch.full((2,), sure - math.log(2)), rtol=1e-5, atol=0)
    assert student.grad.isfinite().all()
    assert (student.grad[:, 2] > 0).all()  # downhill is away from the class


def test_on_voxels_that_have_nothing_of_the_class_the_teacher_itself_is_the_target():
    teacher = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    teacher[:, 2] = -60.0
    label = torch.zeros(2, 1, 5, 5)
    assert class_removal_loss(teacher, teacher, label, classes=[2], activation="softmax").abs().max() < 1e-12


def test_a_small_structure_weighs_as_much_as_the_rest_of_the_image():
    """One voxel of 1000 has the class; the two kinds are wrong by a and b nats: the value is their plain mean."""
    teacher = torch.zeros(1, 2, 10, 10, 10, dtype=torch.float64)
    teacher[:, 1], teacher[0, 1, 0, 0, 0] = -30.0, 30.0
    label = (teacher[:, 1:] > 0).float()
    student = torch.zeros_like(teacher)
    student[0, 1, 0, 0, 0] = 4.0
    a, b = math.log(1 + math.exp(4.0)), math.log(2)
    arguments = {"classes": [1], "activation": "softmax"}
    assert class_removal_loss(student, teacher, label, **arguments).item() == pytest.approx((a + b) / 2)
    heavier = class_removal_loss(student, teacher, label, class_weight=4.0, **arguments).item()
    assert heavier == pytest.approx((4 * a + b) / 5)


def test_a_voxel_counts_to_the_class_if_only_the_label_says_so():
    teacher, student = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    teacher[:, 1] = -1.0  # the teacher misses the class everywhere
    student[0, 1] = torch.tensor([3.0, 0.0])
    label = torch.tensor([[[1.0, 0.0]]])
    value = class_removal_loss(student, teacher, label, classes=[1], activation="softmax")
    assert value.item() == pytest.approx((math.log(1 + math.exp(3)) + math.log(2)) / 2)


@every_shape
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(activation, shape, half):
    student, teacher, label = draw(activation, shape, dtype=half)
    values = class_removal_loss(student, teacher, label, classes=[0], activation=activation)
    lifted = class_removal_loss(student.float(), teacher.float(), label, classes=[0], activation=activation)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, lifted, rtol=0, atol=0)


@every_shape
def test_the_gradient_is_that_of_finite_differences(activation, shape):
    small = shape[:2] + tuple(min(2, extent) for extent in shape[2:])
    student, teacher, label = draw(activation, small)
    assert torch.autograd.gradcheck(
        lambda logits: class_removal_loss(logits, teacher, label, classes=[0], activation=activation),
        student.requires_grad_(),
    )


@every_shape
def test_the_term_gives_one_value_per_case_and_none_for_no_case(activation, shape):
    student, teacher, label = draw(activation, shape)
    term = ClassRemovalTerm(classes=(0,), activation=activation, class_weight=2.0, weight=5.0)
    assert term.uses_teacher
    cases = TermInputs(student=student, teacher=teacher, label=label, ids=("a", "b", "c"))
    expected = class_removal_loss(student, teacher, label, classes=(0,), activation=activation, class_weight=2.0)
    torch.testing.assert_close(term(cases), expected, rtol=0, atol=0)  # the weight is left to the engine
    none = TermInputs(student=student[:0], teacher=teacher[:0], label=label[:0], ids=())
    assert term(none).shape == (0,)


def test_a_student_trained_by_the_term_no_longer_says_the_class_and_keeps_the_others():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 1, 6, 6, 6, generator=generator)
    label = torch.bucketize(images, torch.tensor([-0.5, 0.5]))  # three classes by intensity
    teacher = torch.nn.Conv3d(1, 3, 1)
    with torch.no_grad():
        teacher.weight[:] = torch.tensor([-6.0, 0.0, 6.0]).view(3, 1, 1, 1, 1)
        teacher.bias[:] = torch.tensor([-3.0, 0.0, -3.0])
        taught = teacher(images)
    student = torch.nn.Conv3d(1, 3, 1)
    student.load_state_dict(teacher.state_dict())
    term = ClassRemovalTerm(classes=[2], activation="softmax")
    optimizer = torch.optim.Adam(student.parameters(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        cases = TermInputs(student=student(images), teacher=taught, label=label, ids=tuple("abcd"))
        term(cases).mean().backward()
        optimizer.step()
    said = student(images).argmax(1, keepdim=True)
    assert not (said == 2).any()
    assert ((said == 0) == (label == 0)).float().mean() > 0.97


@pytest.mark.parametrize("classes", [[], [-1], [1.0], [True], ["posterior"]])
def test_what_is_no_channel_is_refused_at_construction(classes):
    with pytest.raises(ValueError, match=r"'classes' are numbers of channels"):
        ClassRemovalTerm(classes=classes, activation="softmax")


@pytest.mark.parametrize(("activation", "heir"), [("softmax", 1), ("sigmoid", 0)])
def test_an_heir_that_cannot_inherit_is_refused(activation, heir):
    with pytest.raises(ValueError, match=f"heir is {heir}; it must be a softmax class that is not removed"):
        ClassRemovalTerm(classes=[1], activation=activation, heir=heir)


def test_an_heir_that_the_network_lacks_is_named():
    student, teacher, label = draw("softmax", (3, 3, 2, 2))
    with pytest.raises(ValueError, match=r"the heir is the class 7, but the classes that are left are \[0, 1\]"):
        class_removal_loss(student, teacher, label, classes=[2], activation="softmax", heir=7)


@pytest.mark.parametrize("class_weight", [0.0, -1.0, math.inf, math.nan])
def test_a_class_weight_that_is_not_positive_is_refused(class_weight):
    with pytest.raises(ValueError, match="class_weight"):
        ClassRemovalTerm(classes=[1], activation="softmax", class_weight=class_weight)


def test_a_class_that_the_network_lacks_is_named():
    student, teacher, label = draw("softmax", (3, 3, 2, 2))
    with pytest.raises(ValueError, match=r"\[3\].*0 … 2"):
        class_removal_loss(student, teacher, label, classes=[2, 3], activation="softmax")


def test_removing_every_exclusive_class_is_refused():
    student, teacher, label = draw("softmax", (3, 3, 2, 2))
    with pytest.raises(ValueError, match="softmax needs one that is left"):
        class_removal_loss(student, teacher, label, classes=[0, 1, 2], activation="softmax")

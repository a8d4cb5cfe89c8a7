from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from torch import nn

from monai_unlearn.handlers import AdapterDrift
from monai_unlearn.networks import lora_parameters, merge_adapters, remove_adapters
from tests.engines.example import adapted_student, cases, plain_network, trainer_of


def drift_by_numpy(student: nn.Module) -> dict[str, float]:
    """‖merged − plain‖ / ‖plain‖ of every adapted layer: its weight, and of the head all parameters."""
    merged = {name: value.numpy() for name, value in merge_adapters(student).state_dict().items()}
    plain = {name: value.numpy() for name, value in remove_adapters(copy.deepcopy(student)).state_dict().items()}
    layers = {"0": ["0.weight"], "3": ["3.weight", "3.bias"]}
    vectors = {
        layer: [np.concatenate([state[key].ravel() for key in keys]) for state in (merged, plain)]
        for layer, keys in layers.items()
    }
    return {layer: np.linalg.norm(new - old) / np.linalg.norm(old) for layer, (new, old) in vectors.items()}


def set_drift(student: nn.Module, drift: float) -> None:
    """Scale B so that the adapted layer has this drift."""
    _, b = lora_parameters(student)
    b.data.mul_(drift / drift_by_numpy(student)["0"])


def test_the_drift_is_that_of_the_merged_weights():
    student = adapted_student(learned=0.4)
    with torch.no_grad():
        student[3].modules_to_save["default"].weight.add_(0.05)
    trainer = trainer_of(student, cases(4, forget=1), max_epochs=2, train_handlers=[AdapterDrift()])
    trainer.run()
    expected = drift_by_numpy(student)
    assert all(value > 0.01 for value in expected.values())
    assert trainer.state.metrics["drift_max"] == pytest.approx(max(expected.values()), rel=1e-5)
    assert trainer.state.metrics["drift_mean"] == pytest.approx(np.mean(list(expected.values())), rel=1e-5)


def test_an_untouched_adapter_has_no_drift():
    trainer = trainer_of(adapted_student(), cases(4, forget=1))
    AdapterDrift()(trainer)
    assert trainer.state.metrics == {"drift_max": 0.0, "drift_mean": 0.0}


def test_no_step_ends_beyond_the_limit():
    student = adapted_student(learned=0.4)
    trainer = trainer_of(student, cases(8, forget=4), max_epochs=3, train_handlers=[AdapterDrift(limit=0.05)])
    after_each_step, before_projection = [], []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: after_each_step.append(drift_by_numpy(student))
    )
    trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda engine: student[0].lora_B["default"].weight.data.add_(0.1)
    )
    trainer.add_event_handler(
        IterationEvents.MODEL_COMPLETED, lambda engine: before_projection.append(drift_by_numpy(student))
    )
    trainer.run()
    assert len(after_each_step) == 6
    assert min(drift["0"] for drift in before_projection) > 0.05, "without the handler every step would go too far"
    assert max(max(drift.values()) for drift in after_each_step) <= 0.05 * (1 + 1e-5)
    assert trainer.state.metrics["drift_max"] == pytest.approx(0.05, rel=1e-5)


def test_a_layer_within_the_limit_is_left_alone():
    student = adapted_student(learned=0.4)
    set_drift(student, 0.02)
    trainer = trainer_of(student, cases(4, forget=1))
    before = copy.deepcopy(student.state_dict())
    AdapterDrift(limit=0.05).project(trainer)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_the_projection_keeps_the_direction_and_touches_only_layers_beyond_the_limit():
    student = adapted_student(learned=0.4)
    set_drift(student, 0.2)
    trainer = trainer_of(student, cases(4, forget=1))
    before = copy.deepcopy(student.state_dict())
    AdapterDrift(limit=0.05).project(trainer)
    changed = [name for name, value in student.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["0.lora_B.default.weight"]
    torch.testing.assert_close(student.state_dict()[changed[0]], before[changed[0]] * 0.25)


def test_the_copy_of_the_head_is_bounded_too():
    student = adapted_student()
    with torch.no_grad():
        student[3].modules_to_save["default"].weight.add_(1.0)
    AdapterDrift(limit=0.05).project(trainer_of(student, cases(4, forget=1)))
    assert drift_by_numpy(student)["3"] == pytest.approx(0.05, rel=1e-5)


@pytest.mark.parametrize("limit", [0, -0.1, float("nan")])
def test_a_limit_that_is_not_positive_is_refused(limit):
    with pytest.raises(ValueError, match="'limit' is a positive number or none"):
        AdapterDrift(limit=limit)


def test_a_network_without_adapters_has_no_drift_to_log():
    student = plain_network().requires_grad_(True)
    trainer = trainer_of(
        student,
        cases(4, forget=4),
        retention={},
        optimizer=torch.optim.SGD(student.parameters(), lr=0.1),
        train_handlers=[AdapterDrift()],
    )
    with pytest.raises(ValueError, match="has no adapters"):
        trainer.run()

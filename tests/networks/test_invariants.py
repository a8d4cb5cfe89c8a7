"""The invariants of the design, as one table of networks × properties."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from monai_unlearn.networks import (
    adapters_off,
    freeze_normalisation,
    head_parameters,
    inject_lora,
    load_adapter,
    lora_parameters,
    merge_adapters,
    save_adapter,
)
from tests.networks.cases import CASES, Case, logits


@dataclass
class Subject:
    """A row of the table: the plain network, and a student of it that has been trained for a few steps."""

    case: Case
    inputs: tuple[torch.Tensor, ...]
    plain: nn.Module
    trained: nn.Module

    def student(self) -> nn.Module:
        return adapt(copy.deepcopy(self.plain), self.inputs)


def adapt(network: nn.Module, inputs: tuple[torch.Tensor, ...], **settings) -> nn.Module:
    return inject_lora(network, rank=2, dropout=0.1, example_input=inputs, seed=0, **settings)


def train(student: nn.Module, inputs: tuple[torch.Tensor, ...], *, steps: int) -> None:
    optimizer = torch.optim.Adam([*lora_parameters(student), *head_parameters(student)], lr=1e-2)
    for _ in range(steps):
        student.train()
        freeze_normalisation(student)
        optimizer.zero_grad()
        loss_of(student, inputs).backward()
        optimizer.step()
    student.eval()


def loss_of(network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    output = logits(network(*inputs))
    return (output * torch.linspace(-1, 2, output.numel()).view_as(output)).mean()


def infer(network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    with torch.no_grad():
        return logits(network(*inputs))


def assert_close_at_scale(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * max(1.0, expected.abs().max().item()))


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def subject(request: pytest.FixtureRequest) -> Subject:
    torch.manual_seed(0)
    case: Case = request.param
    plain, inputs = case.network(), case.inputs()
    trained = adapt(copy.deepcopy(plain), inputs)
    train(trained, inputs, steps=2)
    return Subject(case, inputs, plain, trained)


def test_new_adapters_change_nothing(subject):
    assert torch.equal(infer(subject.student(), subject.inputs), infer(subject.plain, subject.inputs))


def test_training_moves_the_student(subject):
    difference = infer(subject.trained, subject.inputs) - infer(subject.plain, subject.inputs)
    assert difference.abs().max() > 1e-3


def test_adapters_off_is_the_teacher_after_training(subject):
    with adapters_off(subject.trained):
        teacher = infer(subject.trained, subject.inputs)
    assert (teacher - infer(subject.plain, subject.inputs)).abs().max().item() == 0.0


def test_no_weight_and_no_buffer_of_the_base_moves(subject):
    state = subject.trained.state_dict()
    base = {
        key.replace(".base_layer", "").replace(".original_module", ""): value
        for key, value in state.items()
        if ".lora_" not in key and ".modules_to_save." not in key
    }
    plain = subject.plain.state_dict()
    assert base.keys() == plain.keys()
    assert all(torch.equal(base[key], value) for key, value in plain.items())


def test_only_the_adapter_gets_gradients_and_every_b_does(subject):
    student = subject.student().train()
    freeze_normalisation(student)
    loss_of(student, subject.inputs).backward()
    trainable = {id(parameter) for parameter in (*lora_parameters(student), *head_parameters(student))}
    for name, parameter in student.named_parameters():
        assert parameter.requires_grad == (id(parameter) in trainable), name
        assert (parameter.grad is not None) == (id(parameter) in trainable), name
        if "lora_B" in name or ".modules_to_save." in name:
            assert parameter.grad.any(), name
        if "lora_A" in name:
            assert not parameter.grad.any(), name


def test_merged_output_is_that_of_the_adapters(subject):
    merged = merge_adapters(subject.trained)
    assert_close_at_scale(infer(merged, subject.inputs), infer(subject.trained, subject.inputs))


def test_merged_network_loads_into_the_plain_one(subject):
    merged = merge_adapters(subject.trained)
    assert type(merged) is type(subject.plain)
    assert [(name, type(module)) for name, module in merged.named_modules()] == [
        (name, type(module)) for name, module in subject.plain.named_modules()
    ]
    other = copy.deepcopy(subject.plain).requires_grad_(True)
    other.load_state_dict(merged.state_dict(), strict=True)
    assert torch.equal(infer(other, subject.inputs), infer(merged, subject.inputs))
    assert all(parameter.requires_grad for parameter in merged.parameters())


def test_merging_leaves_the_student_as_it_is(subject):
    before = {key: value.clone() for key, value in subject.trained.state_dict().items()}
    merge_adapters(subject.trained)
    after = subject.trained.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_saved_adapter_on_the_plain_network_is_the_student(subject, tmp_path):
    save_adapter(subject.trained, tmp_path)
    restored = load_adapter(copy.deepcopy(subject.plain), tmp_path)
    assert torch.equal(infer(restored, subject.inputs), infer(subject.trained, subject.inputs))
    trainable = [name for name, parameter in restored.named_parameters() if parameter.requires_grad]
    assert trainable == [name for name, parameter in subject.trained.named_parameters() if parameter.requires_grad]


def test_deep_copy_of_the_merged_network_works(subject):
    merged = merge_adapters(subject.trained)
    assert torch.equal(infer(copy.deepcopy(merged), subject.inputs), infer(merged, subject.inputs))


def test_torchscript_takes_the_merged_network_as_it_takes_the_plain_one(subject):
    merged = merge_adapters(subject.trained)
    compile_network: dict[str, Callable[[nn.Module], nn.Module]] = {
        "script": torch.jit.script,
        "trace": lambda network: torch.jit.trace(network, subject.inputs, check_trace=False),
    }
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # TorchScript is deprecated as a whole, and tracing warns of every Python branch
        compiled = compile_network[subject.case.torchscript](merged)
        output = infer(compiled, subject.inputs)
    assert_close_at_scale(output, infer(merged, subject.inputs))


def test_an_illegal_layer_is_named(subject):
    network = copy.deepcopy(subject.plain)
    name, layer = next(
        (name, module)
        for name, module in network.named_modules()
        if not any(module.children())
        and any(True for _ in module.parameters())
        and not isinstance(module, (nn.Linear, nn.modules.conv._ConvNd))
    )
    with pytest.raises(ValueError, match=rf"'{name}' \({type(layer).__name__}\) cannot be adapted"):
        adapt(network, subject.inputs, targets=name.replace(".", r"\."))
    assert [name for name, _ in network.named_modules()] == [name for name, _ in subject.plain.named_modules()]

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_unlearn.engines import SCOPES, erase_parameters, make_student, restore_parameters
from monai_unlearn.networks import LoraInjection, has_adapters
from tests.engines.example import SIZE, plain_network

IMAGE = torch.randn(2, 1, SIZE, SIZE)


@pytest.fixture
def checkpoint(tmp_path):
    torch.save(plain_network(seed=0).state_dict(), tmp_path / "teacher.pt")
    return tmp_path / "teacher.pt"


def injection(**settings) -> LoraInjection:
    return LoraInjection(rank=2, dropout=0.0, example_input=IMAGE, **settings)


def trainable(network: nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_fresh_student_gives_the_teachers_output(checkpoint, scope):
    network = plain_network(seed=1)
    student = make_student(network=network, weights=checkpoint, scope=scope, injection=injection())
    assert student is network
    with torch.no_grad():
        torch.testing.assert_close(student.eval()(IMAGE), plain_network(seed=0)(IMAGE))


def test_only_the_scope_adapters_has_adapters(checkpoint):
    students = {
        scope: make_student(network=plain_network(1), weights=checkpoint, scope=scope, injection=injection())
        for scope in SCOPES
    }
    assert has_adapters(students["adapters"])
    assert not has_adapters(students["weights"])
    assert trainable(students["weights"]) == {name for name, _ in plain_network().named_parameters()}


def test_an_unknown_scope_is_refused_before_anything_is_loaded(checkpoint):
    network = plain_network(seed=1)
    with pytest.raises(ValueError, match="'scope' is one of adapters, weights; got 'adapter'"):
        make_student(network=network, weights=checkpoint, scope="adapter", injection=injection())
    assert torch.equal(network[0].weight, plain_network(seed=1)[0].weight)


def test_adapters_without_their_settings_are_refused(checkpoint):
    with pytest.raises(ValueError, match="needs 'injection'"):
        make_student(network=plain_network(), weights=checkpoint)


def test_erasing_trains_a_and_b_of_the_adapters(checkpoint):
    student = make_student(network=plain_network(), weights=checkpoint, injection=injection())
    parameters = erase_parameters(student)
    assert trainable(student) == {"0.lora_A.default.weight", "0.lora_B.default.weight"}
    assert {id(parameter) for parameter in parameters} == {
        id(parameter) for parameter in student.parameters() if parameter.requires_grad
    }


def test_restoring_trains_the_copy_of_the_head(checkpoint):
    student = make_student(network=plain_network(), weights=checkpoint, injection=injection())
    erase_parameters(student)
    parameters = restore_parameters(student)
    assert trainable(student) == {"3.modules_to_save.default.weight", "3.modules_to_save.default.bias"}
    assert len(parameters) == 2


def test_erasing_at_scope_weights_trains_everything_even_after_restoring(checkpoint):
    student = make_student(network=plain_network(), weights=checkpoint, scope="weights")
    restore_parameters(student, example_input=IMAGE)
    assert len(erase_parameters(student)) == len(list(student.parameters()))
    assert trainable(student) == {name for name, _ in student.named_parameters()}


def test_restoring_at_scope_weights_trains_the_last_layer_that_runs(checkpoint):
    student = make_student(network=plain_network(), weights=checkpoint, scope="weights")
    restore_parameters(student, example_input=IMAGE)
    assert trainable(student) == {"3.weight", "3.bias"}


def test_restoring_at_scope_weights_needs_an_example_input(checkpoint):
    student = make_student(network=plain_network(), weights=checkpoint, scope="weights")
    with pytest.raises(ValueError, match="give an 'example_input'"):
        restore_parameters(student)


def test_an_adapter_without_a_head_cannot_be_restored(checkpoint):
    student = make_student(network=plain_network(), weights=checkpoint, injection=injection(head=None))
    with pytest.raises(ValueError, match="no copy of the head"):
        restore_parameters(student)


def test_a_student_in_a_parallel_wrapper_is_the_same_student(checkpoint):
    student = make_student(network=plain_network(), weights=checkpoint, injection=injection())
    wrapped = nn.DataParallel(student)
    assert [id(value) for value in erase_parameters(wrapped)] == [id(value) for value in erase_parameters(student)]
    assert [id(value) for value in restore_parameters(wrapped)] == [id(value) for value in restore_parameters(student)]

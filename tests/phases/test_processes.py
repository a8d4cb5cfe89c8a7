from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_unlearn.phases.processes import (
    agree,
    distribute,
    is_first,
    join_processes,
    refuse_several_processes,
    wait_for_all,
)


def test_a_process_alone_is_the_first_and_agrees_with_itself() -> None:
    assert is_first()
    assert agree(True)
    assert not agree(False)
    wait_for_all()


def test_a_process_alone_keeps_its_student_as_it_is() -> None:
    student = nn.Linear(2, 2)
    assert distribute(student, torch.optim.SGD(student.parameters(), lr=0.1)) is student


def test_a_config_for_one_process_is_refused_where_several_were_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="for one process; for several GPUs add"):
        refuse_several_processes()
    monkeypatch.setenv("WORLD_SIZE", "1")
    refuse_several_processes()


def test_a_config_for_several_processes_is_refused_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(ValueError, match="start it with torchrun"):
        join_processes()

"""A run on two processes is the run of one process that sees both batches at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.engines.distributed_run import train_student
from tests.engines.example import adapted_student

SCRIPT = Path(__file__).with_name("distributed_run.py")
PROCESSES = 2


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("distributed")
    outputs = [folder / f"rank{rank}.pt" for rank in range(PROCESSES)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])}
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(rank), str(PROCESSES), str(folder / "store"), str(output)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, output in enumerate(outputs)
    ]
    try:
        logs = [process.communicate(timeout=180)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * PROCESSES, "\n".join(logs)
    return [torch.load(output) for output in outputs]


@pytest.fixture(scope="module")
def alone() -> tuple[dict[str, torch.Tensor], list[tuple[str, ...]]]:
    return train_student(1)


def test_both_ranks_end_with_the_same_adapters(ranks):
    first, second = (rank["weights"] for rank in ranks)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_together_the_ranks_see_the_batches_of_one_process(ranks, alone):
    together = [set(first) | set(second) for first, second in zip(*(rank["batches"] for rank in ranks), strict=True)]
    assert together == [set(batch) for batch in alone[1]]
    assert together[0] != together[len(together) // 2], "the second epoch is shuffled like the first"


def test_the_adapters_are_those_of_one_process_that_sees_both_batches(ranks, alone):
    before = adapted_student(learned=0.2).state_dict()
    moved = {name for name, value in alone[0].items() if not torch.equal(value, before[name])}
    assert moved == {"0.lora_A.default.weight", "0.lora_B.default.weight"}
    for name, value in alone[0].items():
        torch.testing.assert_close(ranks[0]["weights"][name], value, rtol=1e-4, atol=1e-4)
        if name in moved:
            assert (value - before[name]).abs().max() > 1e-2, "what is compared has hardly moved"

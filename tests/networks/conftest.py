from __future__ import annotations

import warnings

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", DeprecationWarning
    )  # ignite imports torch.distributed.optim, which scripts with jit
    import ignite.handlers  # noqa: F401

torch.set_num_threads(1)  # for fixtures of every scope: tiny tensors gain nothing from threads, and lose to each other


@pytest.fixture(autouse=True)
def _reproducible() -> None:
    torch.manual_seed(0)

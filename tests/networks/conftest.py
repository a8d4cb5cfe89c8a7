from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)  # for fixtures of every scope: tiny tensors gain nothing from threads, and lose to each other


@pytest.fixture(autouse=True)
def _reproducible() -> None:
    torch.manual_seed(0)

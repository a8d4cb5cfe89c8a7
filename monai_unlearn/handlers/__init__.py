"""Ignite handlers: checkpoints, cycles, drift, history, progress, stop at the target."""

from monai_unlearn.handlers.cycle_steps import next_steps
from monai_unlearn.handlers.drift import AdapterDrift
from monai_unlearn.handlers.epoch_checkpoint import EpochCheckpoint
from monai_unlearn.handlers.erasure_cycles import ErasureCycles
from monai_unlearn.handlers.history import EpochHistory, read_history
from monai_unlearn.handlers.progress import PhaseProgress
from monai_unlearn.handlers.stop_at_target import CompareCases, StopAtTarget

__all__ = [
    "AdapterDrift",
    "CompareCases",
    "EpochCheckpoint",
    "EpochHistory",
    "ErasureCycles",
    "PhaseProgress",
    "StopAtTarget",
    "next_steps",
    "read_history",
]

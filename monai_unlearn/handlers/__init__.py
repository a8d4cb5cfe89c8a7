"""Ignite handlers: drift, history, progress, checkpoints inside a phase."""

from monai_unlearn.handlers.drift import AdapterDrift
from monai_unlearn.handlers.epoch_checkpoint import EpochCheckpoint
from monai_unlearn.handlers.history import EpochHistory, read_history
from monai_unlearn.handlers.progress import PhaseProgress

__all__ = ["AdapterDrift", "EpochCheckpoint", "EpochHistory", "PhaseProgress", "read_history"]

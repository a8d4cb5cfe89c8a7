"""Ignite handlers: drift, history, progress."""

from monai_unlearn.handlers.drift import AdapterDrift
from monai_unlearn.handlers.history import EpochHistory, read_history
from monai_unlearn.handlers.progress import PhaseProgress

__all__ = ["AdapterDrift", "EpochHistory", "PhaseProgress", "read_history"]

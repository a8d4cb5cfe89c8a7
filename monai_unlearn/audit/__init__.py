"""Tests of forgetting."""

from monai_unlearn.audit.membership import MINIMUM_CASES, loss_attack
from monai_unlearn.audit.reversibility import adapters_off_difference
from monai_unlearn.audit.scores import CaseScores, ClassScores, Task, score_cases

__all__ = [
    "MINIMUM_CASES",
    "CaseScores",
    "ClassScores",
    "Task",
    "adapters_off_difference",
    "loss_attack",
    "score_cases",
]

"""Figures per case: overlap with the truth, confidence, membership, drift; and tests of what they say together."""

from monai_unlearn.metrics.classification import (
    class_accuracy,
    class_confusion,
    class_f1,
    class_recall,
    macro_mean,
    remaining_total_variation,
)
from monai_unlearn.metrics.confidence import PooledCalibrationError, case_confidence
from monai_unlearn.metrics.discrepancy import mmd_test
from monai_unlearn.metrics.divergence import case_kl_divergence, case_total_variation
from monai_unlearn.metrics.equivalence import Equivalence, tost, tug_of_war
from monai_unlearn.metrics.membership import membership_auc, tpr_at_fpr, tpr_curve
from monai_unlearn.metrics.overlap import CaseOverlapMetric, case_overlap
from monai_unlearn.metrics.resampling import auc_interval, mean_interval

__all__ = [
    "CaseOverlapMetric",
    "Equivalence",
    "PooledCalibrationError",
    "auc_interval",
    "case_confidence",
    "case_kl_divergence",
    "case_overlap",
    "case_total_variation",
    "class_accuracy",
    "class_confusion",
    "class_f1",
    "class_recall",
    "macro_mean",
    "mean_interval",
    "membership_auc",
    "mmd_test",
    "remaining_total_variation",
    "tost",
    "tpr_at_fpr",
    "tpr_curve",
    "tug_of_war",
]

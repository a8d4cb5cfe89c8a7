"""Figures per case: overlap with the truth, membership, and drift from the teacher."""

from monai_unlearn.metrics.case_score import case_score
from monai_unlearn.metrics.classification import (
    class_accuracy,
    class_confusion,
    class_f1,
    class_recall,
    macro_mean,
    remaining_total_variation,
)
from monai_unlearn.metrics.divergence import case_kl_divergence, case_total_variation
from monai_unlearn.metrics.membership import membership_auc, tpr_at_fpr
from monai_unlearn.metrics.overlap import CaseOverlapMetric, case_overlap
from monai_unlearn.metrics.two_samples import TwoSamples, compare_samples, difference_interval

__all__ = [
    "CaseOverlapMetric",
    "TwoSamples",
    "case_kl_divergence",
    "case_overlap",
    "case_score",
    "case_total_variation",
    "class_accuracy",
    "class_confusion",
    "class_f1",
    "class_recall",
    "compare_samples",
    "difference_interval",
    "macro_mean",
    "membership_auc",
    "remaining_total_variation",
    "tpr_at_fpr",
]

"""Figures per case: overlap with the truth, membership, and drift from the teacher."""

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

__all__ = [
    "CaseOverlapMetric",
    "case_kl_divergence",
    "case_overlap",
    "case_total_variation",
    "class_accuracy",
    "class_confusion",
    "class_f1",
    "class_recall",
    "macro_mean",
    "membership_auc",
    "remaining_total_variation",
    "tpr_at_fpr",
]

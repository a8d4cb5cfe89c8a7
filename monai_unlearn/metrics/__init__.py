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
from monai_unlearn.metrics.epsilon import best_threshold, epsilon_lower_bound, forgetting_epsilon, forgetting_quality
from monai_unlearn.metrics.likelihood_ratio import (
    LikelihoodRatio,
    gaussian_log_density,
    leave_out_log_ratios,
    student_log_density,
)
from monai_unlearn.metrics.margin_divergence import margin_divergence
from monai_unlearn.metrics.membership import membership_auc, tpr_at_fpr
from monai_unlearn.metrics.overlap import CaseOverlapMetric, case_overlap
from monai_unlearn.metrics.relative_membership import relative_membership

__all__ = [
    "CaseOverlapMetric",
    "LikelihoodRatio",
    "best_threshold",
    "case_kl_divergence",
    "case_overlap",
    "case_total_variation",
    "class_accuracy",
    "class_confusion",
    "class_f1",
    "class_recall",
    "epsilon_lower_bound",
    "forgetting_epsilon",
    "forgetting_quality",
    "gaussian_log_density",
    "leave_out_log_ratios",
    "macro_mean",
    "margin_divergence",
    "membership_auc",
    "relative_membership",
    "remaining_total_variation",
    "student_log_density",
    "tpr_at_fpr",
]

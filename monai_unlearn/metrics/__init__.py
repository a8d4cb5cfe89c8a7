"""Figures per case: overlap with the truth, confidence, membership, drift; and tests of what they say together."""

from monai_unlearn.metrics.case_score import case_score
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
from monai_unlearn.metrics.epsilon import best_threshold, epsilon_lower_bound, forgetting_epsilon, forgetting_quality
from monai_unlearn.metrics.equivalence import Equivalence, tost, tug_of_war
from monai_unlearn.metrics.likelihood_ratio import (
    LikelihoodRatio,
    gaussian_log_density,
    leave_out_log_ratios,
    student_log_density,
)
from monai_unlearn.metrics.margin_divergence import margin_divergence
from monai_unlearn.metrics.membership import membership_auc, tpr_at_fpr, tpr_curve
from monai_unlearn.metrics.overlap import CaseOverlapMetric, case_overlap
from monai_unlearn.metrics.relative_membership import relative_membership
from monai_unlearn.metrics.resampling import auc_interval, bootstrap_interval
from monai_unlearn.metrics.two_samples import TwoSamples, compare_samples, difference_interval

__all__ = [
    "CaseOverlapMetric",
    "Equivalence",
    "LikelihoodRatio",
    "PooledCalibrationError",
    "TwoSamples",
    "auc_interval",
    "best_threshold",
    "bootstrap_interval",
    "case_confidence",
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
    "epsilon_lower_bound",
    "forgetting_epsilon",
    "forgetting_quality",
    "gaussian_log_density",
    "leave_out_log_ratios",
    "macro_mean",
    "margin_divergence",
    "membership_auc",
    "mmd_test",
    "relative_membership",
    "remaining_total_variation",
    "student_log_density",
    "tost",
    "tpr_at_fpr",
    "tpr_curve",
    "tug_of_war",
]

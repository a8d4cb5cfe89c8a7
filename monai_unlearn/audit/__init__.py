"""Tests of forgetting: each in a file of its own, all called alike, read together by the verdict."""

from monai_unlearn.audit.backdoor import PlantedBackdoor
from monai_unlearn.audit.battery import STANDARD, ForgettingTest, refuse_missing_oracle, run_tests, standard_tests
from monai_unlearn.audit.canaries import PlantedCanaries, canary_statistics
from monai_unlearn.audit.dense_statistic import DenseStatistic
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.fine_tuning import fine_tune
from monai_unlearn.audit.membership import MINIMUM_CASES, loss_attack
from monai_unlearn.audit.planting import PlantedPreprocessing, Planting
from monai_unlearn.audit.relearning import RetainRelearning, recovery
from monai_unlearn.audit.reversibility import adapters_off_difference
from monai_unlearn.audit.scores import CaseScores, ClassScores, Task, score_cases
from monai_unlearn.audit.shadow import ShadowAttack
from monai_unlearn.audit.shadow_models import ShadowModels, ShadowPair, case_statistics
from monai_unlearn.audit.shadow_scores import ShadowScores
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels, FineTuning, plain_copy
from monai_unlearn.audit.verdict import Margins, judge

__all__ = [
    "MINIMUM_CASES",
    "STANDARD",
    "AuditCases",
    "AuditConfig",
    "AuditModels",
    "CaseScores",
    "ClassScores",
    "DenseStatistic",
    "Finding",
    "FineTuning",
    "ForgettingTest",
    "Margins",
    "PlantedBackdoor",
    "PlantedCanaries",
    "PlantedPreprocessing",
    "Planting",
    "RetainRelearning",
    "ShadowAttack",
    "ShadowModels",
    "ShadowPair",
    "ShadowScores",
    "Task",
    "adapters_off_difference",
    "canary_statistics",
    "case_statistics",
    "fine_tune",
    "judge",
    "loss_attack",
    "plain_copy",
    "recovery",
    "refuse_missing_oracle",
    "run_tests",
    "score_cases",
    "standard_tests",
]

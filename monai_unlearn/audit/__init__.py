"""Tests of forgetting: each in a file of its own, all called alike, read together by the verdict."""

from monai_unlearn.audit.battery import STANDARD, ForgettingTest, refuse_missing_oracle, run_tests, standard_tests
from monai_unlearn.audit.cka import StageSimilarity, linear_cka
from monai_unlearn.audit.few_shot import FewShotRelearning
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.fine_tuning import fine_tune
from monai_unlearn.audit.information import InformationDifference
from monai_unlearn.audit.membership import MINIMUM_CASES, loss_attack
from monai_unlearn.audit.nearest import NearestNeighbourMembership
from monai_unlearn.audit.probe import LinearProbe
from monai_unlearn.audit.prototypes import PrototypeRelearning
from monai_unlearn.audit.relearning import RetainRelearning, recovery
from monai_unlearn.audit.reversibility import adapters_off_difference
from monai_unlearn.audit.savings import RelearningArea, savings
from monai_unlearn.audit.scores import CaseScores, ClassScores, Task, score_cases
from monai_unlearn.audit.stages import Stage, find_stages
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
    "FewShotRelearning",
    "Finding",
    "FineTuning",
    "ForgettingTest",
    "InformationDifference",
    "LinearProbe",
    "Margins",
    "NearestNeighbourMembership",
    "PrototypeRelearning",
    "RelearningArea",
    "RetainRelearning",
    "Stage",
    "StageSimilarity",
    "Task",
    "adapters_off_difference",
    "find_stages",
    "fine_tune",
    "judge",
    "linear_cka",
    "loss_attack",
    "plain_copy",
    "recovery",
    "refuse_missing_oracle",
    "run_tests",
    "savings",
    "score_cases",
    "standard_tests",
]

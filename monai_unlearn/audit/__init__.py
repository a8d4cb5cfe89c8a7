"""Tests of forgetting: each in a file of its own, all called alike, read together by the verdict."""

from monai_unlearn.audit.adapter_removal import AdapterRemoval
from monai_unlearn.audit.attacks import ConfidenceAttack, LossAttack
from monai_unlearn.audit.backdoor import PlantedBackdoor
from monai_unlearn.audit.battery import STANDARD, ForgettingTest, refuse_missing_oracle, run_tests, standard_tests
from monai_unlearn.audit.canaries import PlantedCanaries, canary_statistics
from monai_unlearn.audit.certificate import (
    quoted_figures,
    render_certificate,
    seal_certificate,
    seal_of,
    what_is_not_claimed,
)
from monai_unlearn.audit.certificate_file import is_sealed, read_certificate
from monai_unlearn.audit.cka import StageSimilarity, linear_cka
from monai_unlearn.audit.dense_statistic import DenseStatistic
from monai_unlearn.audit.distribution import ScoreDistribution
from monai_unlearn.audit.few_shot import FewShotRelearning
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.fine_tuning import fine_tune
from monai_unlearn.audit.information import InformationDifference
from monai_unlearn.audit.membership import MINIMUM_CASES, loss_attack
from monai_unlearn.audit.nearest import NearestNeighbourMembership
from monai_unlearn.audit.oracle_gap import OracleGap
from monai_unlearn.audit.planting import PlantedPreprocessing, Planting
from monai_unlearn.audit.pooled_gaps import pool_gaps
from monai_unlearn.audit.probe import LinearProbe
from monai_unlearn.audit.prototypes import PrototypeRelearning
from monai_unlearn.audit.quantisation import Quantisation, quantise_weights
from monai_unlearn.audit.relearning import RetainRelearning, recovery
from monai_unlearn.audit.reversibility import adapters_off_difference
from monai_unlearn.audit.savings import RelearningArea, savings
from monai_unlearn.audit.scores import CaseScores, ClassScores, Task, score_cases
from monai_unlearn.audit.shadow import ShadowAttack
from monai_unlearn.audit.shadow_models import ShadowModels, ShadowPair, case_statistics
from monai_unlearn.audit.shadow_scores import ShadowScores
from monai_unlearn.audit.stages import Stage, find_stages
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels, FineTuning, plain_copy
from monai_unlearn.audit.support_vectors import SupportVectorAttack
from monai_unlearn.audit.tail import TailTest
from monai_unlearn.audit.utility import Utility
from monai_unlearn.audit.verdict import OUTCOMES, Margins, judge
from monai_unlearn.audit.verify import Check, check_files, check_members, check_seal, compare_figures

__all__ = [
    "MINIMUM_CASES",
    "OUTCOMES",
    "STANDARD",
    "AdapterRemoval",
    "AuditCases",
    "AuditConfig",
    "AuditModels",
    "CaseScores",
    "Check",
    "ClassScores",
    "ConfidenceAttack",
    "DenseStatistic",
    "FewShotRelearning",
    "Finding",
    "FineTuning",
    "ForgettingTest",
    "InformationDifference",
    "LinearProbe",
    "LossAttack",
    "Margins",
    "NearestNeighbourMembership",
    "OracleGap",
    "PlantedBackdoor",
    "PlantedCanaries",
    "PlantedPreprocessing",
    "Planting",
    "PrototypeRelearning",
    "Quantisation",
    "RelearningArea",
    "RetainRelearning",
    "ScoreDistribution",
    "ShadowAttack",
    "ShadowModels",
    "ShadowPair",
    "ShadowScores",
    "Stage",
    "StageSimilarity",
    "SupportVectorAttack",
    "TailTest",
    "Task",
    "Utility",
    "adapters_off_difference",
    "canary_statistics",
    "case_statistics",
    "check_files",
    "check_members",
    "check_seal",
    "compare_figures",
    "find_stages",
    "fine_tune",
    "is_sealed",
    "judge",
    "linear_cka",
    "loss_attack",
    "plain_copy",
    "pool_gaps",
    "quantise_weights",
    "quoted_figures",
    "read_certificate",
    "recovery",
    "refuse_missing_oracle",
    "render_certificate",
    "run_tests",
    "savings",
    "score_cases",
    "seal_certificate",
    "seal_of",
    "standard_tests",
    "what_is_not_claimed",
]

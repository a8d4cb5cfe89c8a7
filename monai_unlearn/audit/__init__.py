"""Tests of forgetting: each in a file of its own, all called alike, read together by the verdict."""

from monai_unlearn.audit.battery import STANDARD, ForgettingTest, refuse_missing_oracle, run_tests, standard_tests
from monai_unlearn.audit.certificate import (
    quoted_figures,
    render_certificate,
    seal_certificate,
    seal_of,
    what_is_not_claimed,
)
from monai_unlearn.audit.certificate_file import is_sealed, read_certificate
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.fine_tuning import fine_tune
from monai_unlearn.audit.membership import MINIMUM_CASES, loss_attack
from monai_unlearn.audit.relearning import RetainRelearning, recovery
from monai_unlearn.audit.reversibility import adapters_off_difference
from monai_unlearn.audit.scores import CaseScores, ClassScores, Task, score_cases
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels, FineTuning, plain_copy
from monai_unlearn.audit.verdict import Margins, judge
from monai_unlearn.audit.verify import Check, check_files, check_members, check_seal, compare_figures

__all__ = [
    "MINIMUM_CASES",
    "STANDARD",
    "AuditCases",
    "AuditConfig",
    "AuditModels",
    "CaseScores",
    "Check",
    "ClassScores",
    "Finding",
    "FineTuning",
    "ForgettingTest",
    "Margins",
    "RetainRelearning",
    "Task",
    "adapters_off_difference",
    "check_files",
    "check_members",
    "check_seal",
    "compare_figures",
    "fine_tune",
    "is_sealed",
    "judge",
    "loss_attack",
    "plain_copy",
    "quoted_figures",
    "read_certificate",
    "recovery",
    "refuse_missing_oracle",
    "render_certificate",
    "run_tests",
    "score_cases",
    "seal_certificate",
    "seal_of",
    "standard_tests",
    "what_is_not_claimed",
]

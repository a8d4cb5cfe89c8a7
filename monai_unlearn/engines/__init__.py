"""Teacher–student engines."""

from monai_unlearn.engines.calibration import CalibrationTargets
from monai_unlearn.engines.case_comparison import CaseComparison, CaseScore
from monai_unlearn.engines.inference import CaseBatch, predict_cases
from monai_unlearn.engines.student import SCOPES, erase_parameters, make_student, restore_parameters
from monai_unlearn.engines.unlearning_trainer import UnlearningTrainer
from monai_unlearn.engines.view_shift import ShiftView, shift_views
from monai_unlearn.engines.view_targets import ViewTargets
from monai_unlearn.engines.views import MirrorView, mirror_views

__all__ = [
    "SCOPES",
    "CalibrationTargets",
    "CaseBatch",
    "CaseComparison",
    "CaseScore",
    "MirrorView",
    "ShiftView",
    "UnlearningTrainer",
    "ViewTargets",
    "erase_parameters",
    "make_student",
    "mirror_views",
    "predict_cases",
    "restore_parameters",
    "shift_views",
]

"""Loss terms: retention holds what must stay, erasure removes what must go."""

from monai_unlearn.losses.activation import activation_of
from monai_unlearn.losses.background import BackgroundTerm, background_loss
from monai_unlearn.losses.calibrated import CalibratedErasureTerm, calibrated_loss, match_reference_quantiles
from monai_unlearn.losses.calibrated_view import CalibratedViewTerm, answers_at_losses, choose_views
from monai_unlearn.losses.class_removal import ClassRemovalTerm, class_removal_loss
from monai_unlearn.losses.contradiction import ContradictionTerm, contradiction_loss
from monai_unlearn.losses.distillation import DistillationTerm, distillation_loss
from monai_unlearn.losses.entropy import EntropyTerm, entropy_loss
from monai_unlearn.losses.guard import GuardTerm, guard_loss
from monai_unlearn.losses.outcomes import Activation, case_mean, label_outcomes, log_probabilities
from monai_unlearn.losses.random_label import RandomLabelTerm, random_label_loss, wrong_outcomes
from monai_unlearn.losses.supervised import LossFunction, SupervisedTerm, case_losses
from monai_unlearn.losses.term import TermInputs, UnlearningTerm

__all__ = [
    "Activation",
    "BackgroundTerm",
    "CalibratedErasureTerm",
    "CalibratedViewTerm",
    "ClassRemovalTerm",
    "ContradictionTerm",
    "DistillationTerm",
    "EntropyTerm",
    "GuardTerm",
    "LossFunction",
    "RandomLabelTerm",
    "SupervisedTerm",
    "TermInputs",
    "UnlearningTerm",
    "activation_of",
    "answers_at_losses",
    "background_loss",
    "calibrated_loss",
    "case_losses",
    "case_mean",
    "choose_views",
    "class_removal_loss",
    "contradiction_loss",
    "distillation_loss",
    "entropy_loss",
    "guard_loss",
    "label_outcomes",
    "log_probabilities",
    "match_reference_quantiles",
    "random_label_loss",
    "wrong_outcomes",
]

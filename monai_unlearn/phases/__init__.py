"""The run ids of a bundle: settings, phases, the output folder, and errors in one line."""

from monai_unlearn.phases.fitting import fitting_input, fitting_names
from monai_unlearn.phases.overlay import adapt_bundle
from monai_unlearn.phases.processes import distribute, join_processes
from monai_unlearn.phases.running import PHASES, run_phases
from monai_unlearn.phases.settings import ERASURES, SETTINGS, check_settings
from monai_unlearn.phases.shadows import halved

__all__ = [
    "ERASURES",
    "PHASES",
    "SETTINGS",
    "adapt_bundle",
    "check_settings",
    "distribute",
    "fitting_input",
    "fitting_names",
    "halved",
    "join_processes",
    "run_phases",
]

"""Machine unlearning for medical imaging, as a MONAI plugin."""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"

ROOMS = ("audit", "data", "engines", "handlers", "losses", "metrics", "networks", "phases", "visualize")
__all__ = ["__version__", *ROOMS]


def __getattr__(name: str) -> ModuleType:
    """Import a room when it is first used, so that ``$import monai_unlearn`` costs nothing that is not needed."""
    if name in ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The battery: which tests belong to which tier, and running them."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from monai.utils import set_determinism

from monai_unlearn.audit.adapter_removal import AdapterRemoval
from monai_unlearn.audit.attacks import ConfidenceAttack, LossAttack
from monai_unlearn.audit.backdoor import PlantedBackdoor
from monai_unlearn.audit.canaries import PlantedCanaries
from monai_unlearn.audit.cka import StageSimilarity
from monai_unlearn.audit.distribution import ScoreDistribution
from monai_unlearn.audit.few_shot import FewShotRelearning
from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.information import InformationDifference
from monai_unlearn.audit.nearest import NearestNeighbourMembership
from monai_unlearn.audit.oracle_gap import OracleGap
from monai_unlearn.audit.probe import LinearProbe
from monai_unlearn.audit.prototypes import PrototypeRelearning
from monai_unlearn.audit.quantisation import Quantisation
from monai_unlearn.audit.relearning import RetainRelearning
from monai_unlearn.audit.savings import RelearningArea
from monai_unlearn.audit.shadow import ShadowAttack
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels
from monai_unlearn.audit.support_vectors import SupportVectorAttack
from monai_unlearn.audit.tail import TailTest
from monai_unlearn.audit.utility import Utility

__all__ = ["STANDARD", "ForgettingTest", "refuse_missing_oracle", "run_tests", "standard_tests"]


class ForgettingTest(Protocol):
    """A test of forgetting: its settings are its fields, its figures come from calling it."""

    name: ClassVar[str]
    tier: ClassVar[int]
    needs_oracle: ClassVar[bool]

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return the figures by name; the networks are left as they are."""


STANDARD: tuple[Callable[..., ForgettingTest], ...] = (
    Utility,
    LossAttack,
    ConfidenceAttack,
    SupportVectorAttack,
    TailTest,
    AdapterRemoval,
    Quantisation,
    PrototypeRelearning,
    LinearProbe,
    StageSimilarity,
    FewShotRelearning,
    RetainRelearning,
    OracleGap,
    ScoreDistribution,
    NearestNeighbourMembership,
    InformationDifference,
    RelearningArea,
    ShadowAttack,
    PlantedCanaries,
    PlantedBackdoor,
)
"""Every test that a tier stands for, in the order in which they run: cheap ones first."""


def standard_tests(
    tier: int | None,
    *,
    only: Sequence[str] | str | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, ForgettingTest]:
    """Make the tests of a tier and of those below it.

    Args:
        tier: 0 (minutes, no retraining), 1 (against the oracle), 2 (shadow models) or 3 (planted); ``None``: none.
        only: names of the tests that run alone, whatever their tier.
        options: arguments of single tests, by their names.

    Raises:
        ValueError: for the name of a test that there is not; the message has the nearest one.
    """
    known = {test.name: test for test in STANDARD}  # type: ignore[attr-defined]
    options = dict(options or {})
    chosen = [only] if isinstance(only, str) else list(only or ())
    for name in (*chosen, *options):
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}."
            raise ValueError(f"there is no test of forgetting called {name!r}; {hint}")
    if not chosen:
        chosen = [name for name, test in known.items() if tier is not None and test.tier <= tier]  # type: ignore[attr-defined]
    if tier == 0:  # which has to stay cheap, and without a retraining there is no oracle to attack beside
        options["retain_relearning"] = {"oracle": False, **options.get("retain_relearning", {})}
    return {name: known[name](**options.get(name, {})) for name in chosen}


def refuse_missing_oracle(tests: Mapping[str, ForgettingTest], roles: Collection[str]) -> None:
    """Raise a ``ValueError`` if a test compares with the oracle and there is none.

    Args:
        tests: by name.
        roles: of the networks that there are.
    """
    if "oracle" not in roles and (needy := [name for name, test in tests.items() if test.needs_oracle]):
        raise ValueError(
            f"the tests {', '.join(needy)} compare with the oracle and there is none; add '--oracle train', or "
            "'--oracle' with the checkpoint of a network that was retrained without the forget cases, or take tier 0"
        )


def run_tests(
    tests: Mapping[str, ForgettingTest],
    models: AuditModels,
    cases: AuditCases,
    config: AuditConfig,
    *,
    announce: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> dict[str, Any]:
    """Run tests one after the other and return what ``audit.json`` holds of them.

    Args:
        tests: by name.
        models: the networks by role.
        cases: the cases.
        config: how the networks are read.
        announce: wraps the names of the tests as they are gone through, for a progress bar.

    Returns:
        By name of the test: ``tier``, ``seconds`` and ``figures`` (by name, see :class:`Finding`).

    Raises:
        ValueError: if a test compares with the oracle and there is none; before any test has run.
    """
    refuse_missing_oracle(tests, models)
    results: dict[str, Any] = {}
    for name in announce(tests):
        set_determinism(config.seed)
        start = time.perf_counter()
        figures = tests[name](models, cases, config)
        results[name] = {
            "tier": tests[name].tier,
            "seconds": time.perf_counter() - start,
            "figures": {figure: finding.content() for figure, finding in figures.items()},
        }
    return results

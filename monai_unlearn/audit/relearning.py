"""Relearning: what is forgotten must not come back when the network is trained on without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from monai_unlearn.audit.finding import Finding
from monai_unlearn.audit.fine_tuning import fine_tune
from monai_unlearn.audit.subjects import AuditCases, AuditConfig, AuditModels, plain_copy

__all__ = ["RetainRelearning", "recovery"]

SMALLEST_DROP = 0.01
"""A recovery is a share of what was lost; where less than this was lost, there is nothing to divide by."""


def recovery(before: float, after: float, taught: float) -> float | None:
    r"""Return which share of what was lost comes back (DiMRA, arXiv 2512.03564).

    .. math:: R = (m_\text{after} - m_\text{before}) / (m_\text{teacher} - m_\text{before})

    Args:
        before: measure of the student on the forget cases.
        after: the same once it was trained on.
        taught: that of the teacher.

    Returns:
        0 if nothing comes back, 1 if all does, negative if more is lost; ``None`` if less than 0.01 was lost.
    """
    return (after - before) / (taught - before) if abs(taught - before) >= SMALLEST_DROP else None


@dataclass(frozen=True, kw_only=True)
class RetainRelearning:
    """Retain-only relearning (DiMRA for discriminative networks): train on with the retain cases alone.

    A network that hides what it knows gets it back although it never sees a forget case again; one that has forgotten
    does not, and neither does the oracle (arXiv 2505.22310).

    Args:
        epochs: passes over the retain cases; ``None``: as ``config.fine_tuning`` says.
        oracle: whether the oracle, if there is one, is attacked as well, which costs as much again.
    """

    name: ClassVar[str] = "retain_relearning"
    tier: ClassVar[int] = 0
    needs_oracle: ClassVar[bool] = False
    epochs: int | None = None
    oracle: bool = True

    def __call__(self, models: AuditModels, cases: AuditCases, config: AuditConfig) -> dict[str, Finding]:
        """Return ``recovery``, with the measure on forget before and after every epoch as curves."""
        forgotten = "0, as for the oracle: nothing comes back without the forget cases"
        if not cases.subsets["retain"]:
            reason = "there is no retain case to train on"
            return {"recovery": Finding(value=None, forgotten=forgotten, sentence="Not measured.", reason=reason)}
        attacked = [name for name in ("student", "oracle") if name in models and (self.oracle or name == "student")]
        curves = {name: self._curve(name, models[name], cases, config) for name in attacked}
        taught = float(config.values(cases.scores["teacher"], cases.subsets["forget"]).mean())
        shares = {name: recovery(curve[0], curve[-1], taught) for name, curve in curves.items()}
        before, after = curves["student"][0], curves["student"][-1]
        lost = f"the {config.measure} on forget goes from {before:.3f} to {after:.3f} (teacher {taught:.3f})"
        share = shares["student"]
        return {
            "recovery": Finding(
                value=share,
                oracle=shares.get("oracle"),
                forgotten=forgotten,
                sentence=f"Trained on with the retain cases alone, {lost}.",
                reason="" if share is not None else f"the student lost less than {SMALLEST_DROP} on forget",
                series=curves,
                axis="epochs on retain",
                details={"teacher_measure": taught},
            )
        }

    def _curve(self, name: str, network: nn.Module, cases: AuditCases, config: AuditConfig) -> list[float]:
        forget = cases.subsets["forget"]
        curve = [float(config.values(cases.scores[name], forget).mean())]
        attacked = plain_copy(network)
        loader = cases.training_loader(
            cases.subsets["retain"], batch_size=config.fine_tuning.batch_size, seed=config.seed
        )
        fine_tune(
            attacked,
            loader,
            config=config,
            epochs=self.epochs,
            after_epoch=lambda _: curve.append(
                float(config.values(config.score(attacked, cases.loader(forget)), forget).mean())
            ),
        )
        return curve

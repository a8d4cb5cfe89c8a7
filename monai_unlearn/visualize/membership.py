"""What an attacker sees: losses case by case, and how well they give membership away."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_unlearn.visualize.palette import MODEL_COLORS, SUBSET_COLORS, TERM_COLORS

__all__ = ["draw_case_losses", "draw_loss_attack"]

_SPREAD_FOR_LOG = 30.0


def draw_case_losses(
    *,
    forget_teacher: np.ndarray,
    forget_student: np.ndarray,
    unseen_teacher: np.ndarray,
    unseen_student: np.ndarray,
) -> Figure:
    """Draw the student's loss over the teacher's, one dot per case.

    A case on the diagonal is as the teacher left it. Forgetting lifts the forget cases off it, ideally into the cloud
    of the unseen ones and no further.

    Args:
        forget_teacher: the teacher's loss of each forget case, shape ``(F,)``.
        forget_student: the student's, in the same order.
        unseen_teacher: the teacher's loss of each unseen case, shape ``(U,)``.
        unseen_student: the student's, in the same order.

    Returns:
        A figure of one square panel, logarithmic where the losses span a factor of 30 or more.

    Raises:
        ValueError: if a set is empty, holds a value that is not finite, or the two models' sets differ in length.
    """
    pairs = {"unseen": (unseen_teacher, unseen_student), "forget": (forget_teacher, forget_student)}
    for subset, (teacher, student) in pairs.items():
        _check_losses(teacher, f"teacher's losses on {subset}")
        _check_losses(student, f"student's losses on {subset}")
        if len(teacher) != len(student):
            raise ValueError(f"{subset}: {len(teacher)} losses of the teacher, {len(student)} of the student")

    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    axes = figure.subplots()
    everything = np.concatenate([*pairs["unseen"], *pairs["forget"]])
    low, high = everything.min(), everything.max()
    if low > 0 and high / low >= _SPREAD_FOR_LOG:
        axes.set(xscale="log", yscale="log")
        low, high = low / 1.15, high * 1.15
    else:
        margin = 0.04 * (high - low) or 0.05
        low, high = low - margin, high + margin
    axes.plot([low, high], [low, high], color="#888888", linewidth=1, linestyle="--", label="as the teacher left it")
    for subset, (teacher, student) in pairs.items():
        axes.scatter(
            teacher,
            student,
            s=26,
            alpha=0.65,
            color=SUBSET_COLORS[subset],
            marker="o" if subset == "forget" else "s",
            linewidths=0,
            label=f"{subset} ({len(teacher)})",
        )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="teacher's loss", ylabel="student's loss")
    axes.set_title("Loss of each case before and after")
    _plain(axes)
    axes.legend(frameon=False, fontsize="small", loc="upper left")
    return figure


def draw_loss_attack(losses: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw the loss attack: for each model the losses of forget and unseen cases, then the attack's ROC curves.

    The attacker calls a case a member if its loss is low (Yeom et al., 2018, arXiv:1709.01604). A curve on the diagonal
    gives nothing away. One far *below* it gives the forget cases away as well, by how badly the model does on them.

    Args:
        losses: per model (``teacher``, ``student``, ``oracle`` …) the losses of the forget cases, shape ``(F,)``, and
            of the unseen ones, shape ``(U,)``.

    Returns:
        A figure with a histogram per model, all on the same bins, and one panel of ROC curves with their areas.

    Raises:
        ValueError: if no model is given, a set is empty, or a value is not finite.
    """
    if not losses:
        raise ValueError("no model to attack: give at least one")
    for model, (forget, unseen) in losses.items():
        _check_losses(forget, f"{model}'s losses on forget")
        _check_losses(unseen, f"{model}'s losses on unseen")

    figure = Figure(figsize=(2.2 * len(losses) + 3.5, 3.4), layout="constrained")
    *histograms, curves = figure.subplots(1, len(losses) + 1, width_ratios=[1.0] * len(losses) + [1.5])
    bins = _shared_bins(np.concatenate([part for pair in losses.values() for part in pair]))
    for axes, (model, (forget, unseen)) in zip(histograms, losses.items(), strict=True):
        _draw_histogram(axes, model, forget, unseen, bins)
    top = max(axes.get_ylim()[1] for axes in histograms)
    for axes in histograms:
        axes.set_ylim(0, top)
        axes.tick_params(labelleft=axes is histograms[0])
    histograms[0].set_ylabel("share of the cases")
    histograms[0].legend(frameon=False, fontsize="small")
    curves.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", label="a coin toss 0.500")
    spare = iter(TERM_COLORS)
    for model, (forget, unseen) in losses.items():
        false_rate, true_rate = _roc_points(forget, unseen)
        area = float(np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2))
        color = MODEL_COLORS.get(model) or next(spare)
        curves.plot(
            false_rate,
            true_rate,
            color=color,
            linewidth=1.8,
            label=f"{model} {area:.3f}",
        )
    curves.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    curves.set(title="ROC of the loss attack", xlabel="unseen called member", ylabel="forget called member")
    _plain(curves)
    curves.legend(frameon=False, fontsize="small", loc="lower right", title="area under the curve", title_fontsize=8)
    return figure


def _check_losses(values: np.ndarray, what: str) -> None:
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{what} must have shape (cases,) with at least one case, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{what}: {int((~np.isfinite(values)).sum())} of {len(values)} are not finite")


def _shared_bins(values: np.ndarray, count: int = 24) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low >= _SPREAD_FOR_LOG:
        return np.geomspace(low, high, count + 1)
    return np.linspace(low, high if high > low else low + 1e-3, count + 1)


def _draw_histogram(axes: Axes, model: str, forget: np.ndarray, unseen: np.ndarray, bins: np.ndarray) -> None:
    for subset, values in (("unseen", unseen), ("forget", forget)):
        share = np.full(len(values), 1 / len(values))
        axes.hist(values, bins=list(bins), weights=share, color=SUBSET_COLORS[subset], alpha=0.55, label=subset)
    if not np.isclose(bins[1] - bins[0], bins[-1] - bins[-2]):
        axes.set_xscale("log")
    axes.set(title=model, xlabel="loss")
    _plain(axes)


def _roc_points(forget: np.ndarray, unseen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate at every threshold on the loss; ties share one step."""
    thresholds = np.unique(np.concatenate([forget, unseen]))
    true_rate = np.searchsorted(np.sort(forget), thresholds, side="right") / len(forget)
    false_rate = np.searchsorted(np.sort(unseen), thresholds, side="right") / len(unseen)
    return np.concatenate([[0.0], false_rate]), np.concatenate([[0.0], true_rate])


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)

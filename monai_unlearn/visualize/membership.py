"""The loss attack: what it sees, and how well it gives membership away."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_unlearn.visualize.loss_panels import SPREAD_FOR_LOG, CaseLosses, check_losses, clear_frame
from monai_unlearn.visualize.palette import MODEL_COLORS, SUBSET_COLORS, TERM_COLORS

__all__ = ["FEWEST_CASES", "draw_attack_curves", "draw_loss_attack"]

FEWEST_CASES = 10
"""With fewer cases on a side, the area under an attack's curve says nothing."""


def draw_attack_curves(losses: CaseLosses, *, logarithmic: bool = False) -> Figure:
    """Draw the ROC curves of the loss attack, as in :func:`draw_loss_attack`, in one panel.

    Args:
        losses: per model the losses of the forget cases, shape ``(F,)``, and of the unseen ones, shape ``(U,)``.
        logarithmic: both axes logarithmic, from the smallest step of either rate: the attacks that accuse few, and
            rightly, which an area hides (Carlini et al., 2022).

    Returns:
        A figure of one panel, with the diagonal and the line of 1 % false alarms.

    Raises:
        ValueError: if no model is given, a set is empty, or a value is not finite.
    """
    _check_models(losses)
    figure = Figure(figsize=(4.4, 4.7), layout="constrained")
    axes = figure.subplots()
    _draw_curves(axes, losses)
    if logarithmic:
        smallest = min(0.005, *(1 / len(part) for pair in losses.values() for part in pair))  # 1 % lies within
        axes.set(xscale="log", yscale="log", xlim=(smallest, 1), ylim=(smallest, 1))
        _start_at(axes, smallest)
    axes.axvline(0.01, color="#888888", linewidth=1, linestyle=":", label="1 % false alarms")
    legend = axes.get_legend_handles_labels()
    figure.legend(*legend, loc="outside upper center", frameon=False, fontsize=9, ncols=2)
    return figure


def draw_loss_attack(losses: CaseLosses) -> Figure:
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
    _check_models(losses)
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
    _draw_curves(curves, losses)
    curves.set_title("ROC of the loss attack")
    curves.legend(frameon=False, fontsize="small", loc="lower right", title="area under the curve", title_fontsize=8)
    return figure


def _check_models(losses: CaseLosses) -> None:
    if not losses:
        raise ValueError("no model to attack: give at least one")
    for model, (forget, unseen) in losses.items():
        check_losses(forget, f"{model}'s losses on forget")
        check_losses(unseen, f"{model}'s losses on unseen")


def _shared_bins(values: np.ndarray, count: int = 24) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low >= SPREAD_FOR_LOG:
        return np.geomspace(low, high, count + 1)
    return np.linspace(low, high if high > low else low + 1e-3, count + 1)


def _draw_histogram(axes: Axes, model: str, forget: np.ndarray, unseen: np.ndarray, bins: np.ndarray) -> None:
    for subset, values in (("unseen", unseen), ("forget", forget)):
        share = np.full(len(values), 1 / len(values))
        axes.hist(values, bins=list(bins), weights=share, color=SUBSET_COLORS[subset], alpha=0.55, label=subset)
    if not np.isclose(bins[1] - bins[0], bins[-1] - bins[-2]):
        axes.set_xscale("log")
    axes.set(title=model, xlabel="loss")
    clear_frame(axes)


def _draw_curves(axes: Axes, losses: CaseLosses) -> None:
    """Draw the diagonal and a curve per model; its area is told where the cases are enough for one."""
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", label="a coin toss 0.500")
    spare = iter(TERM_COLORS)
    for model, (forget, unseen) in losses.items():
        false_rate, true_rate = _roc_points(forget, unseen)
        area = float(np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2))
        enough = min(len(forget), len(unseen)) >= FEWEST_CASES
        axes.plot(
            false_rate,
            true_rate,
            color=MODEL_COLORS.get(model) or next(spare),
            linewidth=1.8,
            label=f"{model} {area:.3f}" if enough else model,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="unseen called member", ylabel="forget called member")
    clear_frame(axes)


def _start_at(axes: Axes, smallest: float) -> None:
    """Let lines begin where a logarithmic panel does: nothing may be drawn outside of it, and 0 has no place."""
    for line in axes.lines:
        line.set_data(*(np.maximum(np.asarray(values, dtype=float), smallest) for values in line.get_data()))


def _roc_points(forget: np.ndarray, unseen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate at every threshold on the loss; ties share one step."""
    thresholds = np.unique(np.concatenate([forget, unseen]))
    true_rate = np.searchsorted(np.sort(forget), thresholds, side="right") / len(forget)
    false_rate = np.searchsorted(np.sort(unseen), thresholds, side="right") / len(unseen)
    return np.concatenate([[0.0], false_rate]), np.concatenate([[0.0], true_rate])

"""Figures and the HTML report; this room reads numbers and arrays only."""

from monai_unlearn.visualize.case_losses import draw_case_losses
from monai_unlearn.visualize.class_bars import draw_class_bars
from monai_unlearn.visualize.classified import ClassifiedCase
from monai_unlearn.visualize.comparison import ComparisonRow, draw_comparison
from monai_unlearn.visualize.curves import draw_loss_curves
from monai_unlearn.visualize.inline_svg import inline_svg
from monai_unlearn.visualize.loss_panels import CaseLosses
from monai_unlearn.visualize.membership import draw_attack_curves, draw_loss_attack
from monai_unlearn.visualize.report import render_report, write_report
from monai_unlearn.visualize.saving import encode_figure, save_figure
from monai_unlearn.visualize.series import draw_series

__all__ = [
    "CaseLosses",
    "ClassifiedCase",
    "ComparisonRow",
    "draw_attack_curves",
    "draw_case_losses",
    "draw_class_bars",
    "draw_comparison",
    "draw_loss_attack",
    "draw_loss_curves",
    "draw_series",
    "encode_figure",
    "inline_svg",
    "render_report",
    "save_figure",
    "write_report",
]

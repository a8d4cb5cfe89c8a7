"""Several audits together: are student and oracle alike over seeds and cases?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from monai_unlearn.metrics import tost

__all__ = ["pool_gaps"]

SUBSETS = ("forget", "retain", "unseen")


def pool_gaps(audits: Iterable[Mapping[str, Any]], *, margin: float = 0.02, alpha: float = 0.05) -> dict[str, Any]:
    """Put the gaps of several audits, such as those of several seeds, to one test each.

    The cases of one audit share their student and oracle: their differences are not independent, and the test over
    seeds × cases takes them for more evidence than they are. ``seeds`` therefore holds the same test over the mean gaps
    of the audits, which is honest and weak.

    Args:
        audits: contents of ``audit.json``, each with the test ``oracle_gap``.
        margin: as for :class:`monai_unlearn.audit.OracleGap`.
        alpha: as for :class:`monai_unlearn.audit.OracleGap`.

    Returns:
        By subset ``mean``, ``p_value``, ``interval``, ``equivalent``, ``count`` over seeds × cases, and ``seeds`` with
        the same over the audits.

    Raises:
        ValueError: if an audit lacks the test.
    """
    figures = []
    for position, audit in enumerate(audits):
        if "oracle_gap" not in audit.get("tests", {}):
            raise ValueError(f"audit {position} has no test 'oracle_gap': run it with '--tier 1' and an oracle.")
        figures.append(audit["tests"]["oracle_gap"]["figures"])
    pooled = {}
    for subset in SUBSETS:
        of_audits = [of[subset]["details"]["differences"] for of in figures if of[subset]["value"] is not None]
        if of_audits:
            pooled[subset] = {
                **tost(np.concatenate(of_audits), margin=margin, alpha=alpha).content(),
                "seeds": tost([np.mean(one) for one in of_audits], margin=margin, alpha=alpha).content(),
            }
    return pooled

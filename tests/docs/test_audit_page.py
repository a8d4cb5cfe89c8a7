from __future__ import annotations

import re
from pathlib import Path

import pytest

from monai_unlearn.audit import STANDARD

PAGE = (Path(__file__).parents[2] / "docs/audit.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("\n## Tests\n")[2].partition("\n## ")[0]
ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for cells in (line.strip("|").split("|") for line in re.findall(r"^\| .*\|$", TABLE, re.MULTILINE)[1:])
}
"""By the name of the test: tier, what it asks, what forgotten looks like, source."""


def test_every_test_stands_in_the_table_by_the_name_that_runs_it_and_no_other():
    assert sorted(ROWS) == sorted(test.name for test in STANDARD)


@pytest.mark.parametrize("test", STANDARD, ids=lambda test: test.name)
def test_a_row_says_the_tier_and_leaves_no_cell_empty(test):
    assert len(ROWS[test.name]) == 4
    assert ROWS[test.name][0] == str(test.tier)
    assert all(ROWS[test.name])

"""The reference page and the shipped bundle say the same."""

import json
import re
from pathlib import Path

import pytest

from monai_unlearn.phases import ERASURES, PHASES, SETTINGS

ROOT = Path(__file__).parents[2]
BUNDLE = json.loads((ROOT / "bundles/isic_unlearn.json").read_text(encoding="utf-8"))
OTHERS = [
    json.loads((ROOT / f"bundles/{name}.json").read_text(encoding="utf-8")) for name in ("chase_unlearn", "unlearn")
]
COMPUTED = {"device", "ledger"}  # their defaults depend on the machine and on the output folder


def rows(title: str) -> dict[str, list[str]]:
    """Cells of the tables under a heading of the page, by the names in their first cell."""
    page = (ROOT / "docs/components.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert section, f"components.md has no section {title!r}"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {name: row[1:] for row in cells for name in re.findall(r"`([^`]+)`", row[0])}


def test_every_key_to_set_is_documented_and_no_other():
    assert list(rows("Keys to set")) == list(SETTINGS)


@pytest.mark.parametrize("key", sorted(set(SETTINGS) - COMPUTED))
def test_documented_default_is_that_of_the_bundle(key):
    default = next(bundle[key] for bundle in (BUNDLE, *OTHERS) if key in bundle)
    words = str(default).lower() if default is None or isinstance(default, bool) else str(default)
    assert rows("Keys to set")[key][0].strip("`") == words


def test_documented_choice_of_erasures_is_that_of_the_code():
    assert tuple(re.findall(r"`(\w+)`", rows("Keys to set")["erasure"][1])) == ERASURES


def test_every_run_id_is_documented_and_no_other():
    assert set(rows("Run ids")) == {"run", *PHASES}


def test_every_key_of_the_bundle_is_explained_and_no_other():
    explained = {name.partition("#")[0] for name in rows("What each key of the config is")} - {"…"}
    assert explained | set(SETTINGS) & set(BUNDLE) | set(PHASES) == set(BUNDLE)
    assert all(any(key in bundle for bundle in (BUNDLE, *OTHERS)) for key in SETTINGS)


def test_values_of_the_method_are_those_of_the_bundle():
    page = (ROOT / "docs/method.md").read_text(encoding="utf-8").partition("\n## Values\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    documented = {row[4].strip("`"): row[3] for row in cells if re.fullmatch(r"`[^`]+`", row[4])}
    assert documented.keys() >= {"rank", "injection#alpha", "erase#optimizer#lr", "restore#optimizer#lr"}
    for path, value in documented.items():
        found = BUNDLE
        for part in path.split("#"):
            # a weight that is not written is the term's own default, 1
            found = found.get(part, 1) if part == "weight" else found[part]
        if isinstance(found, str) and found.startswith("$"):
            numbers = set(re.findall(r"\d+", found))
            assert numbers == set(re.findall(r"\d+", value)), path
        else:
            assert value == found if isinstance(found, str) else float(value) == found, path

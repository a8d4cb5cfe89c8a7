from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_unlearn.data import Where
from monai_unlearn.data.where import MAX_DEPTH, MAX_LENGTH

CASE = {"id": "007", "age": "17.5", "site": "rosendahl", "dx": "", "note": "unknown", "Body Site": "back", "label": 2}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('site == "rosendahl"', True),
        ("site == 'vidir'", False),
        ('site != "vidir"', True),
        ('site in ["vidir", "rosendahl"]', True),
        ('site in ("vidir",)', False),
        ('site not in ["vidir"]', True),
        ("age < 18", True),
        ("18 > age", True),
        ("age <= 17.5 and age >= 17.5", True),
        ("17 < age < 18", True),
        ("age > 17.5", False),
        ("age == 17.50", True),
        ('age == "17.50"', False),
        ("age > -1e3", True),
        ("age in [17.5, 3]", True),
        ("label == 2", True),
        ('label == "2"', True),
        ('column["Body Site"] == "back"', True),
        ('note > "a"', True),
        ('not (site == "vidir" or age >= 18)', True),
        ('site == "rosendahl"\n  and age < 18', True),
        ('"rosendahl" == site', True),
    ],
)
def test_a_condition_is_decided_as_it_reads(text: str, verdict: bool) -> None:
    assert Where(text).decide(CASE) is verdict


@pytest.mark.parametrize(
    "text",
    [
        "note < 18",
        "not note < 18",
        "note == 18",
        "note != 18",
        "dx < 18",
        'dx != "nv"',
        'dx not in ["nv"]',
        "gone == 3",
    ],
)
def test_a_case_without_a_value_to_compare_is_undecided_and_so_is_its_negation(text: str) -> None:
    assert Where(text).decide(CASE) is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('dx == ""', True),
        ('dx != ""', False),
        ('gone == ""', True),
        ('site == ""', False),
        ('dx in ["nv", ""]', True),
        ('note < 3 or site == "rosendahl"', True),
        ('note < 3 and site == "vidir"', False),
    ],
)
def test_the_empty_text_asks_for_missing_values_and_other_parts_may_decide(text: str, verdict: bool) -> None:
    assert Where(text).decide(CASE) is verdict


@pytest.mark.parametrize("value", ["nan", "inf", "1_8", "", None, True, "eighteen", [1], "3,5"])
def test_what_is_no_finite_number_is_never_compared_as_one(value: Any) -> None:
    assert Where("age < 1000 or age >= 1000").decide({"age": value}) is None


NUMBERS = st.integers(-3, 3)
COLUMNS = ("a", "b", "c")
ATOMS = st.one_of(
    st.builds(
        "{} {} {}".format, st.sampled_from(COLUMNS), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), NUMBERS
    ),
    st.builds(
        "{} {} {}".format, st.sampled_from(COLUMNS), st.sampled_from(["in", "not in"]), st.lists(NUMBERS, min_size=1)
    ),
    st.builds("{} < {} <= {}".format, NUMBERS, st.sampled_from(COLUMNS), NUMBERS),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=CONDITIONS, values=st.tuples(NUMBERS, NUMBERS, NUMBERS))
def test_with_every_value_there_a_condition_says_what_python_would_say(text: str, values: tuple[int, int, int]) -> None:
    expected = eval(text, {}, dict(zip(COLUMNS, values, strict=True)))  # a text of our own making
    assert Where(text).decide({column: str(value) for column, value in zip(COLUMNS, values, strict=True)}) is expected


def test_the_columns_are_known_with_their_places_and_those_compared_with_numbers() -> None:
    where = Where('site == "a" or age < 18 and site != "b"')
    assert where.columns == {"site": "character 1", "age": "character 16"}
    assert where.numeric == {"age"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("age", "character 1: 'age' alone is no condition"),
        ("'x'", "alone is no condition"),
        ("age <", "character 6: invalid syntax"),
        ("age = 18", "character 1: .*=="),
        ("(age < 18", "never closed"),
        ("age < 18)", "unmatched"),
        ("site == rosendahl", r"character 9: 'site' and 'rosendahl' are both columns.*quotes"),
        ("1 < 2", "character 1: '1' is no column"),
        ('"a" in site', "is no column"),
        ("site in site", "both columns"),
        ("age in [other]", "'other' is not allowed as a value"),
        ("age in []", "takes a list of values"),
        ("age in 3", "takes a list of values"),
        ("age == None", 'neither a text nor a number; a missing value is ""'),
        ("age == True", "True is neither"),
        ("age == 007", "leading zeros"),
        ("age == 1j", "not allowed as a value"),
        ("age < 1e999", "not allowed as a value"),
        ('age < "18"', "number 18, write it without quotes"),
        ("age == -'a'", "has a sign"),
        ("age is 3", "write == for 'is'"),
        ("age < 18 & site == 3", "write|both|not allowed"),
        ("(age < 18) | (age > 80)", "write 'and' for & and 'or' for |"),
        ("__import__('os').system('true')", "character 1: a call is not allowed"),
        ("age.real == 3", "is no column"),
        ("age == open('x')", "a call is not allowed as a value"),
        ("[x for x in age]", "is not allowed"),
        ("lambda: 3", "a lambda is not allowed"),
        ("(age := 3)", "is not allowed"),
        ("age[0] == 3", "is no column"),
        ("column[0] == 3", "named by a text in quotes"),
        ("age + 1 == 3", "'age \\+ 1' is no column"),
        ("f'{age}' == 3", "is no column"),
        ("age < 18, 3", "is not allowed"),
        ("site == 'a\\d'", "character 9: .*escape"),
        ("age < 18\n  or age > eighty", "line 2, character 12: 'age' and 'eighty' are both columns"),
        ("größe < klein", "character 9"),
        ("age < 18 \0", "cannot be read|null"),
        ("age < 1" + "0" * MAX_LENGTH, f"at most {MAX_LENGTH} characters"),
        ("not " * (MAX_DEPTH + 1) + "age < 1", f"nested more than {MAX_DEPTH} deep"),
        ("(" * 600 + "age < 1" + ")" * 600, "too many nested parentheses|cannot be read"),
        ("+".join(["1"] * 900), "is not allowed|cannot be read"),
        ("age" + ".a" * 900 + " == 1", "is no column|cannot be read"),
    ],
)
def test_anything_else_is_an_error_that_says_where(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Where(text)

"""Identifiers in free text, replaced by their salted hashes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from monai_unlearn.data.identifiers import hash_identifier

__all__ = ["redact"]


def redact(text: str, identifiers: Iterable[str], salt: bytes) -> str:
    """Replace every identifier in a text by the beginning of its salted hash.

    An identifier is found in any case of letters and also within paths and words (``patient007``), but a number not
    within a longer one (``17`` in ``2017``), and one or two letters not within a word. A number of one or two digits is
    found where it stands as a name, in quotation marks or in a path: elsewhere it is a count as likely as a patient.

    Args:
        text: what a user wrote, such as the reason of a demand.
        identifiers: ids, patients and file names of all cases.
        salt: the salt of the output folder.
    """
    by_spelling = {name.casefold(): name for name in identifiers if name.strip()}
    if not by_spelling:
        return text
    longest_first = sorted(by_spelling, key=len, reverse=True)
    pattern = re.compile("|".join(map(_standing_alone, longest_first)), re.IGNORECASE)

    def hashed(found: re.Match[str]) -> str:
        name = by_spelling.get(found.group().casefold(), found.group())
        return hash_identifier(name, salt)[:12]

    return pattern.sub(hashed, text)


def _standing_alone(name: str) -> str:
    if name.isdecimal() and len(name) < 3:
        return rf"(?<=['\"/_\\]){name}(?=['\"/_.\\])"

    def neighbour(end: str) -> str:
        return r"\d" if end.isdecimal() else r"[^\W\d_]" if end.isalpha() and len(name) < 3 else r"(?!)"

    return f"(?<!{neighbour(name[0])}){re.escape(name)}(?!{neighbour(name[-1])})"

r"""Regular expressions that mean the same in Java (Spark) and RE2 (DuckDB).

A pattern is a literal; it is read character by character. What the engines read differently and can be written another way is
translated (``.``, ``\s``); what cannot is refused with what to write instead.
"""

from __future__ import annotations

import re

from lakehouse.sql.unsupported import UnsupportedSql

_LINE_ENDS = r"\n\r\x{85}\x{2028}\x{2029}"
_SPACE = r"\t\n\x0B\f\r "
_ESCAPES = set("dDwWSAz.\\+*?()[]{}|^$-/ntrf\"'#&~ ,:;<>=!@%_`")
_REFUSED = {
    "b": "a word boundary means ASCII words on one engine only; match the characters around it",
    "B": "a word boundary means ASCII words on one engine only; match the characters around it",
    "Z": r"write \z for the end of the text",
    "G": "it has no equal on both engines",
}


def to_re2(pattern: str) -> str:
    """The RE2 pattern with Java's meaning of ``pattern``; raises UnsupportedSql."""
    translated, position, in_class = [], 0, False
    while position < len(pattern):
        char = pattern[position]
        taken = 1
        if char == "\\":
            taken = 2
            part = _escape(pattern, position, in_class=in_class)
        elif in_class:
            part, in_class = _in_class(pattern, position)
        elif char == "[":
            in_class = True
            taken = 2 if pattern[position + 1 : position + 2] == "^" else 1
            part = pattern[position : position + taken]
            if pattern[position + taken : position + taken + 1] == "]":
                raise _unsupported(pattern, "write \\] for a bracket at the start of a class")
        else:
            part = _outside(pattern, position)
        translated.append(part)
        position += taken
    return "".join(translated)


def matches_nothing(pattern: str) -> bool:
    """Whether the pattern can match the empty text: the engines then disagree on where it does."""
    return re.match(pattern.replace(r"\z", r"\Z"), "") is not None


def to_re2_replacement(replacement: str) -> str:
    """The replacement text with RE2's group references for Java's; raises UnsupportedSql."""
    translated, position = [], 0
    while position < len(replacement):
        char, after = replacement[position], replacement[position + 1 : position + 2]
        if char == "\\":
            if not after:
                raise UnsupportedSql("a replacement cannot end in a backslash; write it twice")
            translated.append("\\\\" if after == "\\" else after)
        elif char == "$":
            if not after.isdecimal() or replacement[position + 2 : position + 3].isdecimal():
                raise UnsupportedSql(
                    "in a replacement, $ is followed by one digit (a group); write \\$ for the character"
                )
            translated.append("\\" + after)
        else:
            translated.append(char)
        position += 2 if char in "\\$" else 1
    return "".join(translated)


def _escape(pattern: str, position: int, *, in_class: bool) -> str:
    after = pattern[position + 1 : position + 2]
    if after == "s":
        return _SPACE if in_class else f"[{_SPACE}]"
    if after == "S" and in_class:
        raise _unsupported(pattern, "\\S inside brackets")
    if after == "S":
        return f"[^{_SPACE}]"
    if after not in _ESCAPES or (in_class and after in "Az"):
        raise _unsupported(pattern, f"\\{after}: {_REFUSED.get(after, 'it has no equal on both engines')}")
    return "\\" + after


def _in_class(pattern: str, position: int) -> tuple[str, bool]:
    char = pattern[position]
    if char == "[" or pattern[position : position + 2] == "&&":
        raise _unsupported(pattern, f"{char} inside brackets; write \\{char}")
    return char, char != "]"


def _outside(pattern: str, position: int) -> str:
    char = pattern[position]
    if char == ".":
        return f"[^{_LINE_ENDS}]"
    if char == "$":
        raise _unsupported(pattern, r"$ also matches before a final line break on one engine; write \z (r'…\z')")
    if pattern[position : position + 2] == "(?" and pattern[position + 2 : position + 3] != ":":
        raise _unsupported(pattern, "only groups ( ) and (?: ) are the same on both engines")
    if char in "*+?}" and pattern[position + 1 : position + 2] == "+":
        raise _unsupported(pattern, "possessive quantifiers")
    return char


def _unsupported(pattern: str, reason: str) -> UnsupportedSql:
    return UnsupportedSql(f"the pattern {pattern!r} is not the same on both engines: {reason}")

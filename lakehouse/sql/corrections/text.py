"""Corrections of functions over strings."""

from __future__ import annotations

from sqlglot import exp

from lakehouse.sql.corrections.base import Correction, Rewrite, call, macro, once
from lakehouse.sql.corrections.letters import LOWER_MANY, LOWER_ONE, UPPER_MANY, UPPER_ONE
from lakehouse.sql.regex import to_re2, to_re2_replacement
from lakehouse.sql.types import KIND, Kind


def _trim(node: exp.Expr) -> exp.Expr:
    side = (node.args.get("position") or "").upper()
    name = {"LEADING": "c360_ltrim", "TRAILING": "c360_rtrim"}.get(side, "c360_trim")
    return once(node.this, lambda value: call(name, value))


def _trimmed(native: str, needed: str) -> str:
    """Few texts have anything to trim, and to see that costs a fifth of DuckDB's trim."""
    return macro(f"c360_{native}(x)", f"CASE WHEN {needed} THEN {native}(x, ' ') ELSE x END")


def _substring(node: exp.Expr) -> exp.Expr:
    length = node.args.get("length")
    if length is None:
        return call("c360_substring_from", node.this, node.args["start"])
    return call("c360_substring", node.this, node.args["start"], length)


def _end(name: str) -> Rewrite:
    return lambda node: call(name, node.this, call("c360_length", node.expression))


def _like(node: exp.Expr) -> exp.Expr:
    return exp.Escape(this=node, expression=exp.Literal.string("\\"))


def _text(node: exp.Expr) -> exp.Expr:
    return node if node.meta.get(KIND) is Kind.TEXT else once(node, lambda value: call("c360_text", value))


def _texts(node: exp.Expr) -> exp.Expr:
    node.set("expressions", [_text(part) for part in node.expressions])
    return node


def _pipe(node: exp.Expr) -> exp.Expr:
    node.set("this", _text(node.this))
    node.set("expression", _text(node.expression))
    return node


def _pattern(node: exp.Expr) -> exp.Expr:
    node.set("expression", exp.Literal.string(to_re2(node.expression.name)))
    return node


def _replace(node: exp.Expr) -> exp.Expr:
    node.set("replacement", exp.Literal.string(to_re2_replacement(node.args["replacement"].name)))
    return _pattern(node)


def _extract(node: exp.Expr) -> exp.Expr:
    group = node.args.get("group") or exp.Literal.number(1)
    return call("regexp_extract", node.this, exp.Literal.string(to_re2(node.expression.name)), group)


def _changed_case(name: str, native: str, one: tuple[str, str], many: dict[str, str], first: str = "x") -> str:
    replaced = first
    for letter, letters in many.items():
        replaced = f"replace({replaced}, '{letter}', '{letters}')"
    differing = one[0] + "".join(many) + ("Σ" if first != "x" else "")
    return macro(
        f"{name}(x)",
        f"CASE WHEN strlen(x) = length(x) THEN {native}(x)"  # ASCII: soon said, and true of most
        f" WHEN regexp_matches(x, '[{differing}]') THEN translate({native}({replaced}), '{one[0]}', '{one[1]}')"
        f" ELSE {native}(x) END",
    )


_CASED, _IGNORABLE = r"\p{Lu}\p{Ll}\p{Lt}\x{E000}", r"\p{Mn}\p{Me}\p{Cf}\p{Lm}\p{Sk}.:·’" + "''"
_FINAL_SIGMA = (
    f"replace(regexp_replace(replace(x, 'Σ', '\ue000'), '([{_CASED}][{_IGNORABLE}]*)\ue000([{_IGNORABLE}]*)([^{_CASED}{_IGNORABLE}]|\\z)', "
    "'\\1ς\\2\\3', 'g'), '\ue000', 'σ')"
)
"""A capital sigma at the end of a word becomes ς: after a cased letter and not before one, marks between them aside."""

CORRECTIONS = (
    Correction(
        "trim",
        "Spark strips U+0020 only, DuckDB every space of Unicode",
        {exp.Trim: _trim},
        macros=(
            _trimmed("ltrim", "starts_with(x, ' ')"),
            _trimmed("rtrim", "ends_with(x, ' ')"),
            _trimmed("trim", "starts_with(x, ' ') OR ends_with(x, ' ')"),
        ),
    ),
    Correction(
        "substring",
        "position 0 counts as 1 and a negative length is empty in Spark",
        {exp.Substring: _substring},
        macros=(
            macro("c360_substring_from(s, p)", "substring(s, CASE WHEN p = 0 THEN 1 ELSE p END)"),
            macro(
                "c360_substring(s, p, n)",
                "CASE WHEN n <= 0 THEN CASE WHEN s IS NULL OR p IS NULL THEN NULL ELSE '' END WHEN p >= 0 THEN substring(s, greatest(p, 1), n)"
                " WHEN length(s) + p < 0 THEN substring(s, 1, greatest(length(s) + p + n, 0)) ELSE substring(s, p, n) END",
            ),
        ),
    ),
    Correction(
        "left_right",
        "a negative length is empty in Spark, counts from the other end in DuckDB",
        {exp.Left: _end("left"), exp.Right: _end("right")},
        macros=(macro("c360_length(n)", "CASE WHEN n < 0 THEN 0 ELSE n END"),),
    ),
    Correction("like_escape", "a backslash escapes in Spark's LIKE", {exp.Like: _like}),
    Correction(
        "text_of",
        "Spark writes an instant without its zone",
        {exp.Concat: _texts, exp.ConcatWs: _texts, exp.DPipe: _pipe},
    ),
    Correction(
        "regex_match",
        "Java's . and \\s match other characters than RE2's",
        {exp.RegexpLike: _pattern, exp.RegexpSplit: _pattern},
    ),
    Correction("regex_replace", "groups are $1 in Spark, \\1 in DuckDB", {exp.RegexpReplace: _replace}),
    Correction(
        "regex_extract", "the group is 1 unless said otherwise in Spark, 0 in DuckDB", {exp.RegexpExtract: _extract}
    ),
    Correction(
        "lower",
        "Java maps some letters to several",
        {exp.Lower: lambda node: call("c360_lower", node.this)},
        macros=(_changed_case("c360_lower", "lower", LOWER_ONE, LOWER_MANY, _FINAL_SIGMA),),
    ),
    Correction(
        "upper",
        "Java maps some letters to several",
        {exp.Upper: lambda node: call("c360_upper", node.this)},
        macros=(_changed_case("c360_upper", "upper", UPPER_ONE, UPPER_MANY),),
    ),
)

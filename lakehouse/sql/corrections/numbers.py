"""Corrections of arithmetic: DECIMAL is exact, overflow and division by zero are errors."""

from __future__ import annotations

from sqlglot import exp

from lakehouse.sql.corrections.base import Correction, Rewrite, call, calling, fails, guard, macro, once, once_each
from lakehouse.sql.types import KIND, TYPES, Kind, average_type, quotient_type

_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul)


def _above(node: exp.Expr) -> exp.Expr | None:
    above = node.parent
    while isinstance(above, exp.Paren):
        above = above.parent
    return above


def _arithmetic(node: exp.Expr) -> exp.Expr:
    """The outermost +, - or * of a chain; inner ones are part of it. In a cast to DECIMAL its operands are widened first."""
    above = _above(node)
    if isinstance(above, _ARITHMETIC) or isinstance(node.expression, exp.Interval):
        return node
    if isinstance(above, exp.Cast) and above.to.is_type(exp.DType.DECIMAL):
        exact = node.meta.get(KIND) is Kind.EXACT or isinstance(node, exp.Mul)
        widened = _widened(node) if exact else once(_widened(node), lambda value: call("c360_exact", value))
        widened.meta[KIND] = Kind.EXACT
        return widened
    return once(node, lambda value: call("c360_not_cut", value))


def _widened(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Paren):
        node.set("this", _widened(node.this))
        return node
    if isinstance(node, exp.Mul):
        return _product(node)
    if isinstance(node, exp.Add | exp.Sub):
        node.set("this", _widened(node.this))
        node.set("expression", _widened(node.expression))
        return node
    return exp.Paren(
        this=exp.Mul(this=exp.Paren(this=node), expression=exp.cast(exp.Literal.number(1), "DECIMAL(19, 0)"))
    )


def _factors(node: exp.Expr) -> list[exp.Expr]:
    bare = node.unnest()
    return [*_factors(bare.this), *_factors(bare.expression)] if isinstance(bare, exp.Mul) else [bare]


def _type_name(factor: exp.Expr) -> exp.Expr:
    if (known := factor.meta.get(TYPES)) is not None:
        return exp.Literal.string(f"DECIMAL({known[0]},{known[1]})")
    return call("typeof", factor.copy())


def _product(node: exp.Expr) -> exp.Expr:
    factors = _factors(node)
    digits: exp.Expr = exp.Literal.number(len(factors) - 1)
    decimal: exp.Expr = exp.false()
    for kind in map(
        _type_name, factors
    ):  # conditions on types without lambdas: DuckDB settles them before the first row
        digits = exp.Add(this=digits, expression=call("c360_digits", kind))
        decimal = exp.Or(this=decimal, expression=call("starts_with", kind.copy(), exp.Literal.string("DECIMAL(")))
    product = _widened(factors[0])
    for factor in factors[1:]:
        product = exp.Mul(this=product, expression=exp.Paren(this=factor))
    return call("c360_product", product, digits, exp.Paren(this=decimal))


def around(name: str, kind: type[exp.Expr]) -> dict[type[exp.Expr], Rewrite]:
    """Wrap an aggregate, with its FILTER and OVER if it has them."""

    def rewrite(node: exp.Expr) -> exp.Expr:
        core = node
        while isinstance(core, exp.Window | exp.Filter):
            core = core.this
        inside = isinstance(node.parent, exp.Window | exp.Filter) and node.parent.this is node
        if not isinstance(core, kind) or inside:
            return node
        if isinstance(core.this, exp.Column | exp.Distinct | exp.Star):
            return call(name, node)
        return once(node, lambda value: call(name, value))

    return dict.fromkeys((kind, exp.Filter, exp.Window), rewrite)


def _try_divide(node: exp.Expr) -> exp.Expr:
    above, below = node.meta[TYPES]
    if above is None or below is None:
        return exp.Case(
            ifs=[
                exp.If(
                    this=exp.NEQ(this=node.expression.copy(), expression=exp.Literal.number(0)),
                    true=exp.Div(this=node.this, expression=node.expression),
                )
            ]
        )
    return _exact_quotient(node.this, above[1], node.expression, below[1], quotient_type(above, below))


def _exact_quotient(
    above: exp.Expr, above_scale: int, below: exp.Expr, below_scale: int, result: tuple[int, int]
) -> exp.Expr:
    """A quotient at the result's scale, half-up: in 64-bit integers where operands are small, else by long division."""
    kind = exp.DataType.build(f"DECIMAL({result[0]}, {result[1]})")
    shift = result[1] - above_scale + below_scale

    def divided(a: exp.Expr, b: exp.Expr) -> exp.Expr:
        long = _long_quotient(a.copy(), b.copy(), shift, result)
        bounds = _EXACT_IN_DOUBLE // 10 ** (above_scale + max(shift, 0)), _EXACT_IN_DOUBLE // 10**below_scale
        if shift < 0 or not all(bounds):
            return long
        small = [
            exp.Between(this=value.copy(), low=exp.Literal.number(-bound), high=exp.Literal.number(bound))
            for value, bound in zip((a, b), bounds, strict=True)
        ]
        powers = [exp.Literal.number(10**places) for places in (above_scale, below_scale, shift, result[1])]
        quotient = exp.TryCast(this=call("c360_small_quotient", a, b, *powers), to=kind.copy())
        condition = exp.and_(*small, exp.NEQ(this=b.copy(), expression=exp.Literal.number(0)))
        return exp.Case(ifs=[exp.If(this=condition, true=quotient)], default=long)

    return once_each((above, below), divided)


_EXACT_IN_DOUBLE = 2**50
"""Up to it a whole number of last places goes through a DOUBLE, scaled down and up again, and back unchanged."""


def _long_quotient(above: exp.Expr, below: exp.Expr, shift: int, result: tuple[int, int]) -> exp.Expr:
    precision, scale = result
    operands = (call("c360_unscaled", above), call("c360_unscaled", below))
    steps = [exp.Literal.number(places) for places in (shift // 2, shift - shift // 2)] if shift else []
    quotient = call("c360_quotient" if shift else "c360_whole_quotient", *operands, *steps)
    unit = exp.cast(exp.Literal.string(f"1e-{scale}"), f"DECIMAL(38, {scale})")
    digits = exp.TryCast(this=quotient, to=exp.DataType.build("DECIMAL(38, 0)"))
    return exp.TryCast(
        this=exp.Mul(this=digits, expression=unit), to=exp.DataType.build(f"DECIMAL({precision}, {scale})")
    )


def _average(node: exp.Expr) -> exp.Expr:
    kind, _ = node.meta[TYPES]
    total = exp.cast(exp.Sum(this=node.this.copy()), f"DECIMAL(38, {kind[1]})")
    return _exact_quotient(total, kind[1], exp.Count(this=node.this), 0, average_type(kind))


def _count_if(node: exp.Expr) -> exp.Expr:
    return exp.Count(this=exp.Case(ifs=[exp.If(this=node.this, true=exp.Literal.number(1))]))


def _round(node: exp.Expr) -> exp.Expr:
    if node.this.meta.get(KIND) is not Kind.EXACT:
        node.set("this", once(node.this, lambda value: call("c360_exact", value)))
    return node


def _whole(node: exp.Expr) -> exp.Expr:
    node.set("this", once(node.this, lambda value: call("c360_decimal", value)))
    return node


CORRECTIONS = (
    Correction(
        "decimal_arithmetic",
        "DuckDB keeps the sum or product of DECIMALs within 18 digits where both have 18 or less, and fails; beyond 38 digits "
        "Spark rounds a product where DuckDB keeps all places",
        dict.fromkeys(_ARITHMETIC, _arithmetic),
        macros=(
            guard(
                "c360_not_cut(x)",
                "starts_with(typeof(x), 'DECIMAL(18,')",
                "a sum or product of DECIMALs says its type: CAST(a + b AS DECIMAL(p,s))",
            ),
            macro(
                "c360_digits(kind)",
                "CASE WHEN kind = 'INTEGER' THEN 10 WHEN kind IN ('BIGINT', 'HUGEINT') THEN 20 WHEN starts_with(kind, 'DECIMAL(')"
                " THEN CAST(regexp_extract(kind, '[0-9]+') AS INTEGER) ELSE 1000 END",
            ),
            guard(
                "c360_product(x, digits, is_decimal)",
                "digits > 38 OR NOT is_decimal",
                "a product of DECIMALs has at most 38 digits, those of the factors and one more for each factor after the first: "
                "cast the factors to smaller types; cast a product of integers to BIGINT",
            ),
        ),
    ),
    Correction(
        "try_divide",
        "Spark divides DECIMALs exactly, half-up at a scale of its own; DuckDB as DOUBLE",
        {exp.SafeDivide: _try_divide},
    ),
    Correction(
        "count_if", "0 in Spark where the condition is NULL in every row, NULL in DuckDB", {exp.CountIf: _count_if}
    ),
    Correction("avg", "the average of DECIMALs is exact in Spark, DOUBLE in DuckDB", {exp.Avg: _average}),
    Correction(
        "sum",
        "a sum of integers is BIGINT in Spark, HUGEINT in DuckDB; DuckDB lets a DECIMAL sum pass 38 digits; a sum of DOUBLEs depends on the order",
        around("c360_sum", exp.Sum),
        macros=(
            guard(
                "c360_no_double(x)",
                "typeof(x) = 'DOUBLE'",
                "a sum of DOUBLEs depends on the order of rows: cast to DECIMAL first",
            ),
            macro(
                "c360_far(kind)",
                "CASE WHEN kind = 'HUGEINT' THEN 9e18 WHEN starts_with(kind, 'DECIMAL(38,')"
                " THEN CAST('9e' || (37 - CAST(regexp_extract(kind, ',([0-9]+)', 1) AS INTEGER)) AS DOUBLE) ELSE CAST('inf' AS DOUBLE) END",
            ),
            macro(  # the text is looked at only near the limit
                "c360_passed(x)",
                "CASE WHEN x IS NULL OR abs(CAST(x AS DOUBLE)) < c360_far(typeof(x)) THEN false"
                " WHEN typeof(x) = 'HUGEINT' THEN TRY_CAST(CAST(x AS VARCHAR) AS BIGINT) IS NULL"
                " ELSE starts_with(typeof(x), 'DECIMAL(38,') AND length(ltrim(replace(CAST(x AS VARCHAR), '.', ''), '-0')) > 38 END",
            ),
            macro(
                "c360_sum(x)",
                f"CASE WHEN {fails('c360_passed(x)', 'a sum is too large for its type')} THEN NULL ELSE c360_no_double(x) END",
            ),
        ),
    ),
    Correction(
        "remainder",
        "a remainder by zero is an error in Spark, NULL in DuckDB; DuckDB has no pmod",
        functions={"mod": calling("c360_mod"), "pmod": calling("c360_pmod")},
        macros=(
            guard("c360_nonzero(b)", "b = 0", "a remainder by zero"),
            macro("c360_mod(a, b)", "a % c360_nonzero(b)"),
            macro("c360_pmod(a, b)", "CASE WHEN a % c360_nonzero(b) < 0 THEN (a % b + b) % b ELSE a % b END"),
        ),
    ),
    Correction(
        "round",
        "Spark rounds a DOUBLE by its decimal text, DuckDB by arithmetic",
        {exp.Round: _round},
    ),
    Correction(
        "floor_and_ceil",
        "of a DOUBLE, BIGINT in Spark (and its bounds beyond it), DOUBLE in DuckDB",
        {exp.Floor: _whole, exp.Ceil: _whole},
        macros=(
            guard(
                "c360_decimal(x)",
                "NOT starts_with(typeof(x), 'DECIMAL(')",
                "floor and ceil are of DECIMALs here: cast first",
            ),
        ),
    ),
    Correction(
        "isnan",
        "false for NULL in Spark",
        {exp.IsNan: calling("c360_isnan")},
        macros=(macro("c360_isnan(x)", "coalesce(isnan(x), false)"),),
    ),
)

_STEP = "{{'q': {v}.q * c360_power({n}) + {v}.r * c360_power({n}) // v.d, 'r': {v}.r * c360_power({n}) % v.d}}"
_ROUNDED = "(z.q + CASE WHEN z.r >= v.d - z.r THEN 1 ELSE 0 END) * v.sign"
_OPERANDS = "list_transform([{'a': a, 'b': b}], LAMBDA o : {'n': abs(o.a), 'd': abs(o.b), 'sign': CASE WHEN (o.a < 0) <> (o.b < 0) THEN -1 ELSE 1 END})"
MACROS = (
    macro("c360_units(x, power)", "CAST(round(CAST(x AS DOUBLE) * power) AS BIGINT)"),
    macro(
        "c360_small_quotient(a, b, of_a, of_b, more, of_result)",
        "CAST((2 * more * abs(c360_units(a, of_a)) + abs(c360_units(b, of_b))) // (2 * abs(c360_units(b, of_b)))"
        " * CASE WHEN (a < 0) <> (b < 0) THEN -1 ELSE 1 END AS DOUBLE) / of_result",
    ),
    guard("c360_exact(x)", "typeof(x) = 'DOUBLE'", "the engines round a DOUBLE differently: cast it to DECIMAL first"),
    macro("c360_unscaled(x)", "CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT)"),
    macro("c360_power(n)", "CAST('1' || repeat('0', n) AS HUGEINT)"),
    macro(
        "c360_whole_quotient(a, b)",
        f"list_transform({_OPERANDS}, LAMBDA v : CASE WHEN v.d <> 0 AND v.n IS NOT NULL THEN"
        f" list_transform([{{'q': v.n // v.d, 'r': v.n % v.d}}], LAMBDA z : {_ROUNDED})[1] END)[1]",
    ),
    macro(
        "c360_quotient(a, b, first, second)",
        f"list_transform({_OPERANDS}, LAMBDA v : TRY(CASE WHEN v.d <> 0 AND v.n IS NOT NULL THEN"
        " list_transform([{'q': v.n // v.d, 'r': v.n % v.d}], LAMBDA u :"
        f" list_transform([{_STEP.format(v='u', n='first')}], LAMBDA w :"
        f" list_transform([{_STEP.format(v='w', n='second')}], LAMBDA z : {_ROUNDED})[1])[1])[1] END))[1]",
    ),
)
"""The last ones: long division over 128-bit integers, half-up; operands and result as whole numbers of their last place. Small
operands are divided as 64-bit integers, many times faster; what goes through a DOUBLE is exact there."""

"""What the language test runs on both engines, over the view ``t`` of adversarial rows. Each entry is Spark SQL."""

from __future__ import annotations

PER_ROW = (
    # comparison, logic, choice
    "s = s2", "s < s2", "s <=> s2", "i <=> k", "NOT flag", "flag AND i > 0", "flag OR i > 0", "i IN (0, 1, 7)", "i NOT IN (0, 1, NULL)", "p BETWEEN 0 AND 10",
    "f = f", "f < 0.5D", "f > 1e300", "f <=> f", "f IN (1.0D, 2.5D)", "p = k", "p > i", "b = i", "m = p", "f > p", "s IS NULL", "s IS NOT NULL", "flag IS TRUE", "flag IS NOT TRUE", "i IS DISTINCT FROM k",
    "dt < dt2", "ts = ts2", "ts BETWEEN ts2 AND ts", "ts > dt", "st = st", "st <=> st", "arr = arr",
    "CASE WHEN i > 0 THEN 'plus' WHEN i < 0 THEN 'minus' END", "CASE k WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE s END", "if(flag, i, k)", "coalesce(s, s2, '')", "ifnull(i, 0)",
    "nvl(p, 0)", "nullif(s, '')", "nullif(k, 1)", "greatest(i, k)", "least(i, k, 0)", "greatest(s, s2)", "least(dt, dt2)", "greatest(f, 1.0D)", "least(f, 1.0D)", "greatest(p, pct)",
    # strings
    "trim(s)", "ltrim(s)", "rtrim(s)", "lower(s)", "upper(s)", "concat(s, '-', s2)", "s || s2", "concat(s)", "concat_ws(',', s, s2, 'x')", "concat(s, i)", "concat(s, k, b, p, flag, dt)", "concat('', ts)",
    "substring(s, 2)", "substring(s, 0, 2)", "substring(s, -2)", "substring(s, -2, 1)", "substring(s, -5, 4)", "substring(s, 2, -1)", "substring(s, k, 2)", "substring(s, 1, k)", "substr(s, k)", "length(s)", "char_length(s)",
    "left(s, 2)", "left(s, k)", "right(s, 2)", "right(s, k)", "replace(s, 'a', 'bb')", "replace(s, '', 'x')", "replace(s, s2, '_')", "replace(s, 'a', '')", "translate(s, 'ab', 'x')", "translate(s, 'aa', 'xy')", "translate(s, 'a.', '..')",
    "instr(s, 'a')", "instr(s, '')", "instr(s, s2)", "locate('b', s)", "startswith(s, s2)", "startswith(s, '')", "endswith(s, s2)", "contains(s, s2)", "contains(s, '')", "split_part(s, ',', 2)", "split_part(s, '.', 1)", "split_part(s, ',', -1)", "repeat(s, 2)", "repeat(s, k)",
    "lpad(s, 5, '*')", "rpad(s, 5, '*')", "lpad(s, 2, '*')",
    "s LIKE 'a%'", "s LIKE '%b_'", "s LIKE '%\\\\%%'", "s LIKE '_'", "s LIKE '%'", "s LIKE ''", "s NOT LIKE '%a%'",
    "s RLIKE 'a'", "s RLIKE '\\\\.'", "regexp_like(s, 'a|b')", "s RLIKE '^.b'", "s RLIKE '[^a-z]'", "s RLIKE '(?:ab)+'", "s RLIKE ''", "s RLIKE '^[a-z]+\\\\z'", r"s RLIKE r'\sb'", r"s RLIKE '[\\s,]+\\S'", r"s RLIKE '\\d'", r"s RLIKE r'\w\W'", "regexp_replace(s, '.b', '!')", "regexp_extract(s, 'a(.)b', 1)",
    "regexp_replace(s, '[^0-9+]', '')", "regexp_replace(s, 'a', 'bb')", "regexp_replace(s, '(a)(b)', '$2$1')", "regexp_replace(s, '[ab]+', '<$0>')", "regexp_replace(s, 'a', '1\\\\\\\\')",
    "regexp_extract(s, '([a-z]+)', 1)", "regexp_extract(s, '[A-Z]', 0)", "regexp_extract(s, '(a)|(b)', 2)", "regexp_extract(s, '([a-z])([a-z])')", "split(s, ',')", "split(s, 'b')", "split(s, '[.]')", "split(s, 'b|,')", r"split(s, r'\s')",
    "md5(s)", "sha2(s, 256)",
    # arithmetic
    "k + q", "k - q", "-k", "CAST(k * q AS BIGINT)", "CAST(k * q * 2 AS INT)", "CAST(f * 2.0D AS DOUBLE)", "CAST(f * k AS DOUBLE)", "CAST(k + p AS DECIMAL(38,6))", "CAST(p + pct AS DECIMAL(38,6))", "CAST((p - pct) + 1.5 AS DECIMAL(38,2))", "CAST(pct + 1 AS DECIMAL(20,6))", "CAST(1.5 AS INT)", "CAST(1.5 AS DOUBLE)", "CAST(f + 0.0D AS DOUBLE)", "+k", "b + 0L", "abs(k)", "abs(p)", "abs(f)", "f + 1.0D", "f - f", "-f", "-p",
    "CAST(k * p AS DECIMAL(38,6))", "CAST(p * pct AS DECIMAL(38,12))", "CAST(try_cast(p AS DECIMAL(12,2)) * pct * CAST(0.01 AS DECIMAL(2,2)) AS DECIMAL(38,6))", "CAST(p * 1.1 AS DECIMAL(38,2))",
    "CAST(p * CAST(100 - pct AS DECIMAL(10,6)) AS DECIMAL(38,2))", "CAST(p AS DECIMAL(38,2))", "CAST(p AS DECIMAL(20,0))",
    "CAST(round(p, 2) AS DECIMAL(38,2))", "CAST(round(p) AS DECIMAL(38,0))", "CAST(round(m, 2) AS DECIMAL(38,2))", "CAST(round(p, 6) AS DECIMAL(38,6))", "CAST(round(p, 8) AS DECIMAL(38,8))", "CAST(round(k, 1) AS INT)", "CAST(floor(p) AS BIGINT)", "CAST(ceil(p) AS BIGINT)",

    "CAST(try_divide(CAST(p AS DECIMAL(18,6)), CAST(k AS DECIMAL(10,0))) AS DECIMAL(38,10))", "CAST(round(try_divide(CAST(m AS DECIMAL(38,6)), CAST(k AS DECIMAL(19,0))), 2) AS DECIMAL(38,2))",
    "CAST(try_divide(CAST(p AS DECIMAL(18,6)), CAST(pct AS DECIMAL(9,6))) AS DECIMAL(38,6))", "CAST(try_divide(CAST(k AS DOUBLE), CAST(q AS DOUBLE)) AS DOUBLE)", "CAST(try_divide(CAST(p AS DECIMAL(18,6)), 3) AS DECIMAL(38,6))",
    "CAST(try_divide(CAST(1 AS DECIMAL(1,0)), CAST(k AS DECIMAL(10,0))) AS DECIMAL(38,6))", "CAST(try_divide(CAST(m AS DECIMAL(38,6)), CAST(p AS DECIMAL(18,6))) AS DECIMAL(38,6))",
    "CAST(try_divide(CAST(99999999999999999999999999999999.999999 AS DECIMAL(38,6)), CAST(p AS DECIMAL(18,6))) AS DECIMAL(38,6))", "CAST(try_divide(CAST(k AS DECIMAL(3,0)), CAST(7 AS DECIMAL(1,0))) AS DECIMAL(38,6))",
    "pmod(k, 3)", "mod(k, 3)", "mod(k, -3)", "pmod(k, -3)", "pmod(b, 7)", "mod(b, 7L)", "pmod(p, 2)", "mod(p, 0.4)", "isnan(f)",
    # casts
    *(f"try_cast(n AS {kind})" for kind in ("INT", "BIGINT", "BOOLEAN", "DECIMAL(18,6)", "DECIMAL(38,0)", "DECIMAL(38,6)", "DECIMAL(5,2)", "STRING")),
    *(f"try_cast(s AS {kind})" for kind in ("INT", "BOOLEAN", "DATE", "TIMESTAMP", "DECIMAL(10,2)")),
    "try_cast(CASE WHEN NOT n RLIKE '^[+-]?0[xX]' THEN n END AS DOUBLE)", "try_cast(tt AS DATE)", "try_cast(CASE WHEN NOT tt RLIKE '^(T|[0-9]{1,2}:)' AND NOT tt RLIKE '[A-Z][a-z]+/' THEN tt END AS TIMESTAMP)", "try_cast(f AS INT)", "try_cast(f AS BIGINT)", "try_cast(f AS DECIMAL(18,2))", "try_cast(f AS DECIMAL(38,6))", "try_cast(f AS BOOLEAN)",
    "try_cast(p AS INT)", "try_cast(m AS BIGINT)", "try_cast(m AS DECIMAL(10,2))", "try_cast(m AS DOUBLE)", "try_cast(p AS BOOLEAN)", "try_cast(b AS INT)", "try_cast(b AS DECIMAL(10,2))", "try_cast(i AS DECIMAL(5,0))",
    "CAST(i AS STRING)", "CAST(b AS STRING)", "CAST(p AS STRING)", "CAST(m AS STRING)", "CAST(flag AS STRING)", "CAST(dt AS STRING)", "CAST(ts AS STRING)", "CAST(flag AS INT)", "CAST(k AS BOOLEAN)", "CAST(k AS DOUBLE)", "CAST(b AS DOUBLE)",
    "CAST(p AS DOUBLE)", "CAST(i AS BIGINT)", "CAST(k AS DECIMAL(10,2))", "CAST(dt AS TIMESTAMP)", "CAST(ts AS DATE)", "CAST(:as_of AS TIMESTAMP)", "CAST(:as_of AS STRING)", "CAST(flag AS DECIMAL(3,1))", "CAST(k AS BIGINT)", "CAST(f AS DOUBLE)",
    # time
    "ts > DATE '2024-01-01'", "ts >= TIMESTAMP '2024-03-31 01:00:00'", "dt = :as_of", "ts < :as_of", "ts >= CAST(:as_of AS TIMESTAMP) - INTERVAL 30 DAYS", "CAST(:as_of AS TIMESTAMP) - INTERVAL 90 DAYS",
    "ts + INTERVAL 1 DAY", "ts - INTERVAL 30 DAYS", "ts + INTERVAL 36 HOURS", "ts + INTERVAL 90 MINUTES", "ts + INTERVAL 1 SECOND", "ts + INTERVAL '1' HOUR", "ts - INTERVAL 2 WEEKS",
    "date_add(dt, 1)", "date_sub(dt, 1)", "date_add(dt, k)", "datediff(dt, dt2)", "datediff(ts, ts2)", "datediff(dt, ts)", "date_diff(dt, dt2)", "add_months(dt, 1)", "add_months(dt, k)", "last_day(dt)",
    *(f"date_trunc('{unit}', ts)" for unit in ("YEAR", "quarter", "MONTH", "week", "day", "hour", "minute", "second")),
    "date_trunc('month', dt)", "trunc(dt, 'MM')", "trunc(dt, 'YEAR')", "trunc(dt, 'week')", "trunc(dt, 'quarter')", "to_date(ts)", "unix_seconds(ts)", "unix_millis(ts)", "unix_micros(ts)", "timestamp_micros(CASE WHEN b BETWEEN -62135596800000000 AND 253402300799999999 THEN b END)", "timestamp_seconds(i)", "timestamp_millis(CAST(i AS BIGINT))",
    "extract(YEAR FROM ts)", "extract(MONTH FROM dt)", "extract(DAY FROM ts)", "extract(HOUR FROM ts)", "extract(MINUTE FROM ts)", "extract(QUARTER FROM ts)", "extract(WEEK FROM ts)", "extract(DOY FROM dt)", "extract(DOW FROM dt)",
    "extract(DAYOFWEEK FROM ts)", "year(dt)", "month(ts)", "day(dt)", "dayofmonth(dt)", "hour(ts)", "minute(ts)", "second(ts)", "quarter(dt)", "dayofweek(dt)", "dayofweek(ts)", "weekday(dt)", "weekday(ts)", "dayofyear(dt)", "weekofyear(dt)",
    "make_date(2024, 2, 29)", *(f"timestampdiff({unit}, ts, ts2)" for unit in ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MICROSECOND", "MILLISECOND")),

    # nested values
    "st.city", "st.no + 1", "named_struct('a', i, 'b', s)", "struct(i, s)", "named_struct('a', s).a", "array(i, k)", "array(s, s2)", "size(arr)", "size(ints)", "array_contains(arr, 'a')", "array_contains(ints, 1)", "array_contains(arr, s)",
    "array_sort(ints)", "array_sort(arr)", "array_join(arr, ',')", "array_max(ints)", "array_min(arr)", "array_max(arr)", "transform(ints, x -> x - 1)", "filter(ints, x -> x > 0)", "arr IS NULL",
    "st IS NULL", "st.at > ts",
)  # fmt: skip

GROUPED = (
    "count(*)", "count(s)", "count(DISTINCT s)", "count(DISTINCT i, k)", "sum(k)", "sum(i)", "sum(p)", "sum(CAST(m AS DECIMAL(28,6)))", "min(s)", "max(s)", "min(ts)", "max(p)", "min(f)", "max(f)", "min(flag)", "max(dt)", "sum(DISTINCT k)",
    "CAST(avg(CAST(p AS DECIMAL(18,6))) AS DECIMAL(38,10))", "CAST(avg(CAST(k AS DECIMAL(10,0))) AS DECIMAL(38,4))", "count_if(flag)", "count_if(i > 100000000000)", "count_if(CAST(NULL AS BOOLEAN))", "count_if(s = 'a') FILTER (WHERE s IS NULL)", "bool_or(flag)", "bool_and(flag)",
    "sum(k) FILTER (WHERE flag)", "count(*) FILTER (WHERE k > 3)", "array_sort(collect_set(s))", "array_sort(collect_set(k))", "array_sort(collect_list(k))", "array_sort(collect_list(named_struct('a', k, 'b', id)))", "size(collect_list(s))", "size(collect_set(f))", "count(DISTINCT f)",
    "sum(k) FILTER (WHERE false)", "min(s) FILTER (WHERE length(s) > 2)", "sum(CASE WHEN flag THEN k END)", "coalesce(sum(p), 0)", "sum(q) + count(*)", "sum(CAST(k * p AS DECIMAL(30,6)))", "count(arr)", "max(st.city)",
)  # fmt: skip

WINDOWED = (
    "row_number() OVER (PARTITION BY g ORDER BY id)", "row_number() OVER (PARTITION BY g ORDER BY s, id)", "row_number() OVER (PARTITION BY g ORDER BY s DESC, id)", "row_number() OVER (ORDER BY f, id)", "row_number() OVER (ORDER BY f DESC, id)", "row_number() OVER (ORDER BY ts NULLS LAST, id)",
    "row_number() OVER (ORDER BY flag, p DESC NULLS FIRST, id)", "rank() OVER (PARTITION BY g ORDER BY k)", "dense_rank() OVER (PARTITION BY g ORDER BY k DESC)", "lag(s) OVER (PARTITION BY g ORDER BY id)", "lag(k, 2, 0) OVER (PARTITION BY g ORDER BY id)", "lead(ts) OVER (PARTITION BY g ORDER BY ts, id)",
    "ntile(5) OVER (ORDER BY k, id)", "ntile(7) OVER (PARTITION BY g ORDER BY b NULLS LAST, id)", "sum(k) OVER (PARTITION BY g ORDER BY id)", "sum(k) OVER (PARTITION BY g ORDER BY k)", "sum(p) OVER (PARTITION BY g ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)", "count(*) OVER (PARTITION BY g)",
    "count(s) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)", "min(id) OVER (PARTITION BY g, k)", "max(s) OVER (PARTITION BY g ORDER BY id)", "first_value(s) OVER (PARTITION BY g ORDER BY id)", "last_value(s) OVER (PARTITION BY g ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)", "last_value(k) OVER (PARTITION BY g ORDER BY k)",
    "sum(CASE WHEN flag THEN 1 ELSE 0 END) OVER (PARTITION BY g ORDER BY id)", "count_if(flag) OVER (PARTITION BY g ORDER BY id)", "percent_rank() OVER (PARTITION BY g ORDER BY k)", "cume_dist() OVER (PARTITION BY g ORDER BY k)", "sum(k) OVER (ORDER BY dt RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)", "(lag(s) OVER (PARTITION BY g ORDER BY id) <=> s)",
    "first_value(s, true) OVER (PARTITION BY g ORDER BY id)", "max(f) OVER (PARTITION BY g)", "lag(s) IGNORE NULLS OVER (PARTITION BY g ORDER BY id)",
)  # fmt: skip

QUERIES = (
    "SELECT g, count(*) AS c FROM t GROUP BY g HAVING count(*) > 10",
    "SELECT a.id, b.id AS other FROM t AS a JOIN t AS b ON a.s = b.s AND a.id < b.id",
    "SELECT a.id, b.k FROM t AS a LEFT JOIN (SELECT DISTINCT k, g FROM t WHERE k > 3) AS b ON a.k = b.k AND a.g <=> b.g",
    "SELECT a.id AS left_id, b.id AS right_id FROM (SELECT * FROM t WHERE id < 20) AS a FULL JOIN (SELECT * FROM t WHERE id BETWEEN 10 AND 30) AS b ON a.id = b.id",
    "SELECT id FROM t AS a LEFT ANTI JOIN (SELECT s FROM t WHERE k > 0) AS b ON a.s = b.s",
    "SELECT id FROM t AS a LEFT SEMI JOIN (SELECT k, g FROM t WHERE flag) AS b ON a.k = b.k AND a.g = b.g",
    "SELECT id FROM t WHERE k NOT IN (SELECT q FROM t WHERE q > 4)",
    "SELECT id FROM t WHERE k NOT IN (SELECT q FROM t)",
    "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM t AS u WHERE u.k = t.i AND u.id <> t.id)",
    "SELECT id, (SELECT max(k) FROM t AS u WHERE u.g = t.g) AS top FROM t",
    "SELECT id, s FROM t QUALIFY row_number() OVER (PARTITION BY s ORDER BY id DESC) = 1",
    "SELECT s FROM t UNION SELECT s2 FROM t",
    "SELECT k FROM t INTERSECT SELECT q FROM t", "SELECT i FROM t EXCEPT SELECT k FROM t",
    "SELECT x, y FROM VALUES (1, 'a'), (2, NULL) AS v(x, y)",
    "SELECT id, s FROM t ORDER BY s, id LIMIT 20", "SELECT id, f FROM t ORDER BY f DESC, id LIMIT 30", "SELECT id, s FROM t ORDER BY s DESC NULLS FIRST, id LIMIT 20",
    "SELECT id, e FROM t LATERAL VIEW explode(arr) AS e", "SELECT id, explode(ints) AS e FROM t",
    "WITH x AS (SELECT g, sum(k) AS total FROM t GROUP BY g) SELECT t.id, x.total FROM t LEFT JOIN x ON x.g <=> t.g",
    "SELECT f, count(*) AS c FROM t GROUP BY f", "SELECT DISTINCT f FROM t", "SELECT a.id, b.id AS other FROM t AS a JOIN t AS b ON a.f = b.f",
    "SELECT s, count(*) AS c FROM t GROUP BY s", "SELECT g, k, count(*) AS c FROM t GROUP BY ALL", "SELECT * EXCEPT (st, arr, ints) FROM t", "SELECT count(*) AS c FROM t WHERE f > 1e300", "SELECT id FROM t WHERE n = '1'", "SELECT lower(s) AS x, count(*) AS c FROM t GROUP BY lower(s)",
    "SELECT s AS x, count(*) AS c FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10", "SELECT k, upper(s) AS k2 FROM t WHERE k = 1", "SELECT sum(k) AS c FROM t WHERE false", "SELECT a.* FROM t AS a JOIN t AS b USING (id) WHERE a.id < 3",
    "SELECT id + 1 AS x, x + 1 AS y FROM t", "SELECT t.id FROM t ORDER BY ts DESC, id LIMIT 5", "SELECT g, max(id) AS top FROM t GROUP BY g ORDER BY top", "SELECT st.* FROM t", "SELECT st.city AS c, count(*) AS n FROM t GROUP BY st.city", "SELECT 1 AS A, 2 AS b", "SELECT dt FROM t UNION ALL SELECT dt2 FROM t",
    "SELECT k FROM t UNION ALL SELECT b FROM t", "SELECT k AS x FROM t UNION ALL SELECT p FROM t", "SELECT p AS x FROM t UNION ALL SELECT m FROM t", "SELECT count(DISTINCT s, k) AS c FROM t",
)  # fmt: skip

RAISING = (
    "i + 1 FROM t WHERE i = 2147483647", "i - 2 FROM t WHERE i = -2147483648", "CAST(i * 2 AS INT) FROM t WHERE i = 2147483647", "-i FROM t WHERE i = -2147483648", "abs(i) FROM t WHERE i = -2147483648", "b + 1 FROM t WHERE b = 9223372036854775807",
    "CAST(b * 2 AS BIGINT) FROM t WHERE b = 9223372036854775807", "b - 2 FROM t WHERE b = -9223372036854775808", "abs(b) FROM t WHERE b = -9223372036854775808", "sum(b) FROM t WHERE b = 9223372036854775807 OR b = 12",
    "sum(x) FROM VALUES (9223372036854775807), (1) AS v(x)", "CAST(b AS INT) FROM t WHERE b = 9223372036854775807", "CAST(f AS INT) FROM t WHERE f > 1e200", "CAST(f AS BIGINT) FROM t WHERE isnan(f)", "CAST(m AS INT) FROM t WHERE m > 10000000000",
    "CAST(m AS DECIMAL(10,2)) FROM t WHERE m > 10000000000000", "CAST(f AS DECIMAL(10,2)) FROM t WHERE f > 1e200", "pmod(k, 0) FROM t WHERE k = 1", "mod(k, 0) FROM t WHERE k = 1", "mod(p, 0) FROM t WHERE k = 1",
    "CAST(CAST(m AS DECIMAL(38,6)) + CAST(99999999999999999999999999999999.999999 AS DECIMAL(38,6)) AS DECIMAL(38,6)) FROM t WHERE m = 10", "sum(CAST(99999999999999999999999999999999.999999 AS DECIMAL(38,6))) FROM t",
    "make_date(2024, 2, 30) FROM t WHERE id = 1", "make_date(2024, 13, 1) FROM t WHERE id = 1", "CAST(n AS INT) FROM t WHERE n = '1.9'", "CAST(n AS DOUBLE) FROM t WHERE n = '1_000'", "CAST(n AS BOOLEAN) FROM t WHERE n = 'on'", "CAST(n AS DECIMAL(5,2)) FROM t WHERE n = '2147483647'",
    "CAST(tt AS DATE) FROM t WHERE tt = '2024-02-30'", "CAST(tt AS TIMESTAMP) FROM t WHERE tt = '2024-02-30'", "to_date(tt) FROM t WHERE tt = '2024-02-30'", "timestamp_seconds(b) FROM t WHERE b = 9223372036854775807", "ts + INTERVAL 300000000 DAYS FROM t WHERE id = 1",
    "i = n FROM t WHERE n = 'NaN'", "coalesce(i, 'x') FROM t", "k = 'x' FROM t WHERE k = 1", "greatest(i, 'x') FROM t", "if(flag, i, 'x') FROM t", "(SELECT k FROM t AS u WHERE u.g = 1) FROM t WHERE id = 1", "dt > 5 FROM t", "dt > 1.5 FROM t",
    "CAST(p * p AS DECIMAL(20,6)) FROM t WHERE p > 100000000000",
)  # fmt: skip
"""Select lists with their FROM that fail on both engines."""

STRICTER = (
    ("k + p FROM t", "embedded"), ("p - pct FROM t", "embedded"), ("CAST(k * q AS DECIMAL(20,0)) FROM t", "embedded"), ("CAST(p * pct * pct * pct AS DECIMAL(38,6)) FROM t", "embedded"), ("CAST(p * CAST(m AS DECIMAL(38,6)) AS DECIMAL(38,6)) FROM t WHERE m = 10", "embedded"), ("CAST(floor(f) AS DOUBLE) FROM t", "embedded"), ("CAST(ceil(k) AS BIGINT) FROM t", "embedded"),
    ("CAST(round(f, 2) AS DOUBLE) FROM t", "embedded"), ("sum(f) FROM t", "embedded"), ("concat(s, f) FROM t", "embedded"), ("CAST(f AS STRING) FROM t", "embedded"), ("dt + INTERVAL 1 DAY FROM t", "embedded"), ("date_add(dt, 2147483647) FROM t WHERE id = 1", "embedded"),
    ("max(arr) FROM t", "embedded"), ("min(st) FROM t", "embedded"), ("row_number() OVER (ORDER BY arr, id) FROM t", "embedded"), ("row_number() OVER (ORDER BY st, id) FROM t", "embedded"), ("array_sort(array(st, st)) FROM t", "embedded"),
    ("try_cast(n AS DOUBLE) FROM t WHERE n = '0x1p3'", "embedded"), ("try_cast(tt AS TIMESTAMP) FROM t WHERE tt = '10:20:30'", "embedded"), ("try_cast(concat(tt, ' Europe/Berlin') AS TIMESTAMP) FROM t WHERE tt = '2024-01-15T10:20:30'", "embedded"), ("timestamp_micros(b) FROM t", "embedded"),
    ("k = '1' FROM t", "embedded"), ("k IN ('1', '2') FROM t", "embedded"), ("dt = '2024-02-29' FROM t", "embedded"), ("coalesce(n, 0) FROM t WHERE n = '1'", "embedded"), ("coalesce(k, '0') FROM t", "embedded"), ("CASE WHEN flag THEN k ELSE '1' END FROM t", "embedded"),
    ("nullif(k, '1') FROM t", "embedded"), ("upper(k) FROM t", "embedded"), ("length(k) FROM t", "embedded"), ("sum(n) FROM t WHERE n = '1'", "embedded"), ("k + n FROM t WHERE n = '1'", "embedded"), ("to_date(tt) FROM t WHERE tt = '2024-01-15'", "embedded"), ("datediff(tt, dt) FROM t WHERE tt = '2024-01-15'", "embedded"),
    ("flag = 1 FROM t", "spark"),
)  # fmt: skip
"""What one engine refuses, loudly, though the other answers: the embedded one by its types, before it reads rows or at the row."""

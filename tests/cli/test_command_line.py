"""The command line as a user has it, on one small installation."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from kit.code_version import code_version
from pipelines.catalog import load_catalog
from pipelines.runner import PIPELINES
from tests.fixtures.command import Command, Finished, c360_process
from tests.lake_state import versions

AS_OF = "2026-06-01"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli") / "home"


@pytest.fixture(scope="module")
def initialised(home: Path) -> Finished:
    return c360_process(home, "init", "--json")


@pytest.fixture(scope="module")
def landed(home: Path, initialised: Finished) -> Finished:
    return c360_process(home, "land", "sample", "--customers", "30", "--until", "2026-05-31", "--json")


@pytest.fixture(scope="module")
def first_run(home: Path, landed: Finished) -> Finished:
    return c360_process(home, "pipeline", "run", "daily", "--as-of", AS_OF, "--json")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestInit:
    def test_it_issues_a_key_once(self, home: Path, initialised: Finished, c360: Command) -> None:
        assert initialised.code == 0
        assert set(initialised.document) == {"home", "api_key"}
        assert re.fullmatch(r"c360_[a-z0-9]+_\w+", initialised.document["api_key"])
        assert c360(home, "init", "--json").document == {"home": str(home), "api_key": None}
        again = c360(home, "init")
        assert (again.code, "is initialised already; nothing was changed" in again.stdout) == (0, True)

    def test_what_it_makes_is_for_its_user_alone(self, home: Path, first_run: Finished) -> None:
        assert first_run.code == 0
        assert mode(home) == 0o700
        assert {path.name: oct(mode(path)) for path in home.rglob("*") if mode(path) & 0o077} == {}


class TestLand:
    def test_it_says_what_it_wrote(self, home: Path, landed: Finished) -> None:
        assert landed.code == 0, landed.stderr
        written = landed.document["written"]
        assert written
        assert all((home / "landing" / path).is_file() for path in written)

    def test_no_customers_are_refused(self, tmp_path: Path, c360: Command) -> None:
        refused = c360(tmp_path / "none", "land", "sample", "--customers", "0", "--json")
        assert (refused.code, refused.error["code"]) == (2, "cli.usage")
        assert not (tmp_path / "none").exists()


class TestRun:
    def test_the_record_tells_what_each_dataset_did(self, first_run: Finished) -> None:
        record = first_run.document
        assert {name: record[name] for name in ("pipeline", "state", "as_of", "engine")} == {
            "pipeline": "daily",
            "state": "succeeded",
            "as_of": AS_OF,
            "engine": "embedded",
        }
        assert record["id"].startswith("run_")
        assert record["commits"] > 0
        for name, flow in record["datasets"].items():
            assert flow["version_before"] is None, name
            assert flow["version_after"] >= 0
            assert flow["seconds"] >= 0
            assert flow["rows_in"] >= 0
        orders = record["datasets"]["silver.orders"]
        assert orders["rows_in"] == orders["rows_out"] + orders["dropped"] + orders["quarantined"]
        assert orders["expectations"]["is_sale"] > 0
        assert orders["expectations"]["line_identified"] >= 0
        assert record["online"]["customers"]["written"] == record["datasets"]["gold.customer_360"]["rows_out"] >= 30

    def test_the_record_is_kept_with_the_run(self, home: Path, first_run: Finished) -> None:
        from cli.installation import at
        from workers.queue import get_run

        installation = at(home)
        with installation.database.reading() as session:
            run = get_run(session, first_run.document["id"])
        installation.database.close()
        assert run.state == "succeeded"
        assert run.record["datasets"] == first_run.document["datasets"]
        assert run.code_version.startswith(code_version().removesuffix(".dirty"))
        flows = first_run.document["datasets"]
        assert run.versions_out == {name: flow["version_after"] for name, flow in flows.items()}
        assert run.versions_in["silver.orders"] == run.versions_out["silver.orders"]
        assert "gold.customer_360" not in run.versions_in, "nobody reads it"

    def test_the_second_run_commits_nothing(self, home: Path, first_run: Finished, c360: Command) -> None:
        before = versions(home / "lake")
        again = c360(home, "pipeline", "run", "daily", "--as-of", AS_OF, "--json")
        assert again.code == 0
        assert again.document["commits"] == 0
        assert again.document["online"]["customers"]["written"] == 0
        assert {flow["batches"] for flow in again.document["datasets"].values()} == {0}
        assert versions(home / "lake") == before

    def test_people_read_a_table(self, home: Path, first_run: Finished, c360: Command) -> None:
        shown = c360(home, "pipeline", "run", "daily", "--as-of", AS_OF)
        assert shown.code == 0
        assert re.search(r"gold\.customer_360 .*\d+ → \d+", shown.stdout)
        assert "online customers: 0 written" in shown.stdout

    def test_an_unknown_pipeline_is_answered_with_those_there_are(self, home: Path, c360: Command) -> None:
        error = c360(home, "pipeline", "run", "dayly", "--json").error
        assert error == {
            "code": "pipeline.unknown",
            "kind": "not_found",
            "message": f"there is no pipeline of this name; there is {', '.join(PIPELINES)}",
        }

    def test_an_unknown_engine_is_answered_with_those_there_are(self, home: Path, c360: Command) -> None:
        for command in (("pipeline", "run", "daily"), ("sql", "SELECT 1")):
            error = c360(home, *command, "--engine", "quantum", "--json").error
            assert error["code"] == "pipeline.unknown_engine"
            assert error["message"] == "there is no engine quantum; there are embedded and spark"

    @pytest.mark.parametrize("date", ["yesterday", "2026-02-30", "06/01/2026", ""])
    def test_a_date_that_is_none_is_refused(self, date: str, home: Path, c360: Command) -> None:
        refused = c360(home, "pipeline", "run", "daily", "--as-of", date, "--json")
        assert (refused.code, refused.error["code"]) == (2, "cli.usage")
        assert "%Y-%m-%d" in refused.error["message"]


@pytest.mark.usefixtures("first_run")
class TestSql:
    def test_rows_are_a_document(self, home: Path, c360: Command) -> None:
        query = (
            "SELECT 'a' AS x, 1 AS n, CAST(2.50 AS DECIMAL(9,2)) AS d, DATE'2026-01-02' AS day, "
            "TIMESTAMP'2026-01-02 03:04:05Z' AS at, array(1, 2) AS list, named_struct('k', true) AS s, NULL AS nothing"
        )
        answer = c360(home, "sql", query, "--json")
        assert answer.code == 0, answer.stdout
        assert answer.document == {
            "columns": ["x", "n", "d", "day", "at", "list", "s", "nothing"],
            "rows": [["a", 1, 2.5, "2026-01-02", "2026-01-02T03:04:05+00:00", [1, 2], {"k": True}, None]],
        }
        assert "2.50" in answer.stdout  # a DECIMAL keeps its digits

    def test_the_lake_is_read(self, home: Path, c360: Command) -> None:
        query = "SELECT count(*), count(DISTINCT customer_id) FROM gold.customer_360"
        ((rows, customers),) = c360(home, "sql", query, "--json").document["rows"]
        assert rows == customers >= 30

    def test_a_limit_cuts(self, home: Path, c360: Command) -> None:
        answer = c360(home, "sql", "SELECT customer_id FROM gold.customer_360", "--limit", "3", "--json")
        assert len(answer.document["rows"]) == 3

    def test_as_of_is_the_query_s_parameter(self, home: Path, c360: Command) -> None:
        answer = c360(home, "sql", "SELECT :as_of AS day", "--as-of", "2026-03-04", "--json")
        assert answer.document["rows"] == [["2026-03-04"]]

    def test_people_read_a_table(self, home: Path, c360: Command) -> None:
        shown = c360(home, "sql", "SELECT '[red]' AS `[bold]`")
        assert shown.code == 0
        assert "[red]" in shown.stdout
        assert "[bold]" in shown.stdout

    @pytest.mark.parametrize(
        ("query", "code", "message"),
        [
            (
                "SELECT * FROM gold.customers",
                "catalog.unknown_dataset",
                r"no dataset gold\.customers; declared are .*gold\.customer_360",
            ),
            ("DROP TABLE gold.customer_360", "sql.unsupported", "DROP is not a query"),
            ("DELETE FROM gold.customer_360", "sql.unsupported", "DELETE is not a query"),
            (
                "INSERT INTO gold.customer_360 SELECT * FROM gold.customer_360",
                "sql.unsupported",
                "INSERT is not a query",
            ),
            ("SELECT 1; SELECT 2", "sql.unsupported", "write one query"),
            ("SELECT FROM", "sql.unsupported", "."),
            ("", "sql.unsupported", "write one query"),
            ("SELECT * FROM read_csv('/etc/passwd')", "sql.unsupported", "."),
            ("SELECT * FROM '/etc/passwd'", None, "."),
            ("SELECT nothing FROM gold.customer_360", "lakehouse.query_failed", "nothing"),
        ],
    )
    def test_what_is_no_query_of_the_lake_is_refused(
        self, query: str, code: str | None, message: str, home: Path, c360: Command
    ) -> None:
        refused = c360(home, "sql", query, "--json")
        assert refused.code == 1
        assert refused.error["code"] == (code or refused.error["code"]) != "fault"
        assert re.search(message, refused.error["message"])
        assert "root:" not in refused.stdout + refused.stderr
        assert "Traceback" not in refused.stderr

    def test_a_cast_that_fails_never_shows_the_value(self, home: Path, c360: Command) -> None:
        for text in (
            "SELECT CAST(email AS INT) FROM silver.customers WHERE email IS NOT NULL",
            "SELECT CAST(concat('x', last_name) AS DATE) FROM silver.customers WHERE last_name IS NOT NULL",
            "SELECT CAST('SECRET' AS DOUBLE) AS n",
            "SELECT 1 FROM silver.customers WHERE CAST(phone AS BOOLEAN)",
        ):
            for arguments in (["--json"], []):
                failed = c360(home, "sql", text, *arguments)
                assert failed.code == 1, text
                shown = failed.stdout + failed.stderr
                assert "@" not in shown.replace(text, "")
                assert "SECRET" not in shown
                assert "Traceback" not in shown


class TestCheck:
    def test_healthy(self, home: Path, first_run: Finished, c360: Command) -> None:
        looked = c360(home, "check", "--json")
        assert looked.code == 0
        assert looked.document["healthy"] is True
        subjects = {finding["subject"]: finding["detail"] for finding in looked.document["findings"]}
        assert subjects["declarations"] == f"{len(list(load_catalog()))} datasets"
        assert subjects["online store"] == "current"
        assert re.fullmatch(r"version \d+", subjects["gold.customer_360"])

    def test_no_home(self, tmp_path: Path, c360: Command) -> None:
        looked = c360(tmp_path / "none", "check", "--json")
        assert looked.code == 1
        (finding,) = looked.document["findings"]
        assert "does not exist; run c360 init" in finding["detail"]
        assert not (tmp_path / "none").exists()

    def test_no_schema(self, tmp_path: Path, c360: Command) -> None:
        looked = c360(tmp_path, "check", "--json")
        assert looked.code == 1
        assert looked.document["healthy"] is False
        (finding,) = (finding for finding in looked.document["findings"] if not finding["ok"])
        assert finding == {"subject": "control database", "ok": False, "detail": "schema is not current; run c360 init"}

    def test_initialised_and_nothing_built(self, tmp_path: Path, c360: Command) -> None:
        assert c360(tmp_path, "init").code == 0
        looked = c360(tmp_path, "check", "--json")
        assert (looked.code, looked.document["healthy"]) == (0, True)
        assert {"not built yet"} <= {finding["detail"] for finding in looked.document["findings"]}


class TestErrors:
    @pytest.mark.parametrize(
        "arguments", [["nonsense"], ["sql"], ["pipeline", "run"], ["check", "--nonsense"], ["land"]]
    )
    def test_a_wrong_command_line_is_one_document_with_json(
        self, arguments: list[str], tmp_path: Path, c360: Command
    ) -> None:
        refused = c360(tmp_path, *arguments, "--json")
        assert (refused.code, refused.error["code"], refused.error["kind"]) == (2, "cli.usage", "invalid")
        assert refused.error["message"]

    def test_a_defect_shows_its_place_and_not_its_text(
        self, tmp_path: Path, c360: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_arguments: Any) -> None:
            raise ValueError("ann@example.com is not a number")

        monkeypatch.setattr("cli.checks.examine", broken)
        failed = c360(tmp_path, "check", "--json")
        assert failed.code == 1
        assert failed.error["code"] == "fault"
        assert re.fullmatch(r"unexpected ValueError in \w+\.py, line \d+; this is a defect", failed.error["message"])
        assert "ann@" not in failed.stdout + failed.stderr.replace('raise ValueError("ann@example.com', "")

    def test_json_is_not_shown_to_people(self, home: Path, c360: Command) -> None:
        failed = c360(home, "sql", "SELECT * FROM gold.[customers]")
        assert failed.code == 1
        assert failed.stdout == ""
        assert failed.stderr.startswith("error ")
        with pytest.raises(json.JSONDecodeError):
            json.loads(failed.stderr)

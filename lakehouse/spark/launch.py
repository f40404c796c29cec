"""Starting Spark with Delta from a folder of jars: nothing is downloaded, nothing listens beyond the loopback address."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from kit.errors import Unavailable
from lakehouse.scratch import own_scratch, remove_leftovers

JARS = ("delta-spark_4.2_2.13", "delta-storage")
"""The jars without which Delta does not run, by artefact name; trial showed that no other is needed."""

LOG_LEVEL = "FATAL"
"""At ERROR, executors log the value that a row failed on (``The value '…' of the type``): personal data."""

_VALUE_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")


class SparkUnavailable(Unavailable):
    """Java or the Delta jars are missing; the message says how to get them."""

    code = "lakehouse.spark_unavailable"


def missing_parts(jars: Path) -> str | None:
    """What Spark lacks on this machine and how to get it; None where it can start."""
    if not _has_java():
        return "Spark needs Java 17: install a JDK 17 and set JAVA_HOME, or put java on the PATH"
    absent = [name for name in JARS if not any(jars.glob(f"{name}-*.jar"))]
    if absent:
        return f"Spark needs {', '.join(absent)} in {jars}: run `make jars`"
    return None


def launch(
    master: str = "local[*]",
    jars: Path = Path(".jars"),
    scratch: Path = Path(".c360/scratch"),
    memory_mb: int = 2048,
    options: Mapping[str, str] | None = None,
) -> SparkSession:
    """The process's Spark session with Delta, ANSI SQL and UTC; ``scratch`` takes its spill and warehouse.

    ``options`` are Spark settings of an installation (executors, cluster); they win over those made here.
    A process has one: a second call returns the first one's session. Raises SparkUnavailable.
    """
    if lack := missing_parts(jars):
        raise SparkUnavailable(lack)
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    remove_leftovers(scratch)
    builder = SparkSession.builder.appName("customer360").master(master)
    for key, value in {**_configuration(master, jars, own_scratch(scratch), memory_mb), **(options or {})}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def silence_values(spark: SparkSession) -> None:
    """Keep Spark's own logs free of rows' values: failures are told by this project's errors, which name columns."""
    spark.sparkContext.setLogLevel(LOG_LEVEL)
    for name in _VALUE_LOGGERS:
        PySparkLogger.getLogger(name).disabled = True


def _configuration(master: str, jars: Path, scratch: Path, memory_mb: int) -> dict[str, str]:
    configuration = {
        "spark.jars": ",".join(str(jar.absolute()) for jar in sorted(jars.glob("*.jar"))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.memory": f"{memory_mb}m",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": LOG_LEVEL,
        "spark.local.dir": str(scratch / "spark"),
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
    }
    if master.startswith("local"):
        cores = _local_cores(master)
        configuration |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": str(cores),
            # Delta reads a table's state in 50 tasks by default: a second per commit on one machine
            "spark.databricks.delta.snapshotPartitions": "1",
        }
    return configuration


def _local_cores(master: str) -> int:
    named = master.removeprefix("local").strip("[]").partition(",")[0]
    return int(named) if named.isdigit() else (os.cpu_count() or 1) if named == "*" else 1


def _has_java() -> bool:
    if home := os.environ.get("JAVA_HOME"):
        return (Path(home) / "bin" / "java").exists()
    return shutil.which("java") is not None

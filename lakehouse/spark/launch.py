"""Starting Spark with Delta from a folder of jars: nothing is downloaded, nothing listens beyond the loopback address."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from kit.errors import Unavailable

JARS = ("delta-spark_4.2_2.13", "delta-storage")
"""The jars without which Delta does not run, by artefact name; trial showed that no other is needed."""


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
    master: str = "local[*]", jars: Path = Path(".jars"), scratch: Path = Path(".c360/scratch"), memory_mb: int = 2048
) -> SparkSession:
    """The process's Spark session with Delta, ANSI SQL and UTC; ``scratch`` takes its spill and warehouse.

    A process has one: a second call returns the first one's session. Raises SparkUnavailable.
    """
    if lack := missing_parts(jars):
        raise SparkUnavailable(lack)
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.appName("customer360").master(master)
    for key, value in _configuration(master, jars, scratch.absolute(), memory_mb).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _configuration(master: str, jars: Path, scratch: Path, memory_mb: int) -> dict[str, str]:
    scratch.mkdir(parents=True, exist_ok=True)
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
        "spark.log.level": "ERROR",
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

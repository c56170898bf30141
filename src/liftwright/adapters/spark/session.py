"""Starts Spark once per process, without output, and opens a session for each engine."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.data.scratch import process_folder
from liftwright.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import SparkSession

    from liftwright.adapters.spark import Spark

_LOCAL = "local"
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
_MASTER = re.compile(
    r"local(\[(\*|[1-9]\d*)(,\s*\d+)?\])?|local-cluster\[.+\]|yarn|(spark|k8s)://.+"
)
# How Java and its launchers report errors.
_PRINTED = re.compile(
    r"(?:^Error: |^Exception in thread [^:]*: |initialization of VM\n)(.+)$", re.MULTILINE
)
_CODE = re.compile(r"^\[[A-Z_.]+\] ")
_MAX_OUTPUT_BYTES = 100_000
_QUIET = "rootLogger.level = off\n"


def new_session(options: Spark, memory: str | None, threads: int | None) -> SparkSession:
    """Open a session on the Spark of this process, which is started if needed.

    Raises:
        InputError: pyspark or Java is missing, Spark does not start, or another one is in use.
    """
    properties = _properties(options, memory, threads)
    with warnings.catch_warnings():
        # pyspark warns about pandas, which is not used here.
        warnings.simplefilter("ignore")
        try:
            from pyspark.sql import SparkSession
        except ImportError:
            raise InputError(
                "adapters.engine: spark needs pyspark: pip install 'liftwright[spark]'"
            ) from None
        logging.getLogger("SQLQueryContextLogger").disabled = True
        active = SparkSession.getActiveSession() or _start(properties)
        if active.sparkContext.master != properties["spark.master"]:
            raise ConfigurationError(
                f"azure_config.yaml: spark.master: found {properties['spark.master']}; this "
                f"process already uses Spark at {active.sparkContext.master}, and has only one"
            )
        session = active.newSession()
    for name, value in properties.items():
        if name.startswith("spark.sql.") and session.conf.isModifiable(name):
            session.conf.set(name, value)
    return session


def _properties(options: Spark, memory: str | None, threads: int | None) -> dict[str, str]:
    master = options.master
    if threads is not None and master.startswith(_LOCAL):
        master = f"{_LOCAL}[{threads}]"
    found = {
        "spark.master": master,
        "spark.app.name": "liftwright",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # The statements rely on these: UTC, errors instead of nulls, microseconds.
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.csv.parser.columnPruning.enabled": "false",
        "spark.sql.caseSensitive": "false",
    }
    if memory is not None:
        amount = memory.replace(" ", "").upper().removesuffix("B")
        found["spark.driver.memory"] = _whole_memory(amount)
    if master.startswith(_LOCAL):
        found |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "4",
        }
    return {**found, **options.config}


def _whole_memory(amount: str) -> str:
    """`1.5G` in whole megabytes, as Java needs it."""
    number, unit = float(amount[:-1]), amount[-1]
    return f"{round(number * (1024 if unit == 'G' else 1))}m"


def _start(properties: Mapping[str, str]) -> SparkSession:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    if not _MASTER.fullmatch(properties["spark.master"]):
        raise ConfigurationError(
            f"azure_config.yaml: spark.master: found {properties['spark.master']!r}, allowed: "
            "local[*], local[N], spark://HOST:PORT, k8s://URL, yarn"
        )
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise InputError(
            "adapters.engine: spark needs Java 17 or newer, and none was found (neither JAVA_HOME "
            "nor `java`); Debian's package is openjdk-17-jre-headless"
        )
    scratch = process_folder(Path(tempfile.gettempdir()), "liftwright-spark-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    quiet = scratch / "log4j2.properties"
    quiet.write_text(_QUIET, encoding="utf-8")
    # Its log would repeat rows that it cannot read.
    no_log = f"-Dlog4j2.configurationFile={quiet.as_uri()}"
    settings = {
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": f"{scratch}/warehouse",
        **properties,
        _JAVA_OPTIONS: f"{no_log} {properties.get(_JAVA_OPTIONS, '')}".strip(),
    }
    # Otherwise its workers take the first `python3` on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with tempfile.TemporaryFile() as output:
        try:
            with _output_to(output.fileno()):
                builder = SparkSession.builder
                for name, value in settings.items():
                    builder = builder.config(name, value)
                session: SparkSession = builder.getOrCreate()
        except (PySparkException, Py4JError, OSError, RuntimeError) as error:
            output.seek(0)
            reason = _reason(error, output.read(_MAX_OUTPUT_BYTES).decode(errors="replace"))
            raise InputError(
                f"azure_config.yaml: spark: Spark did not start at {settings['spark.master']}: "
                f"{reason}"
            ) from None
    session.sparkContext.setLogLevel("OFF")
    return session


def _reason(error: Exception, output: str) -> str:
    """Why Spark did not start, from the Java exception, the output or the Python error."""
    java = getattr(error, "java_exception", None)
    if java is not None:
        # Spark gives up on a silent cluster after a minute, and then fails on the missing context.
        if "stopped" in str(java) or "NullPointerException" in str(java):
            return "the cluster does not answer, or has stopped the application"
        return _one_line(str(java.getMessage()))
    printed = _PRINTED.search(output)
    return _one_line(printed.group(1) if printed else str(error))


def _one_line(text: str) -> str:
    return _CODE.sub("", text.strip().partition("\n")[0])[:200]


@contextlib.contextmanager
def _output_to(file: int) -> Iterator[None]:
    """Within the block, standard output and error go to a file, which the JVM inherits."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    try:
        for stream in kept:
            os.dup2(file, stream)
        yield
    finally:
        for stream, before in kept.items():
            os.dup2(before, stream)
            os.close(before)

"""Tests that start a real Spark: all on one worker, which starts one Java machine."""

from __future__ import annotations

import os
import shutil

import pytest

from liftwright.adapters.spark import Spark

# Where the project's own checks run, Java's absence is a failure and not a reason to skip.
_NEEDED = os.environ.get("LIFTWRIGHT_NEEDS_JAVA") == "1"
_THERE = bool(os.environ.get("JAVA_HOME") or shutil.which("java"))
_ABSENT = pytest.mark.skipif(
    not (_NEEDED or _THERE), reason="no Java here (Debian: openjdk-17-jre-headless)"
)
SPARK = [pytest.mark.xdist_group("spark"), _ABSENT]


def local_spark() -> Spark:
    """Two threads of this machine; little is compiled or shuffled, as tests have few rows."""
    few_rows = {
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
        # Java lives too short to earn back what its second compiler costs: half of all its work.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    return Spark(master="local[2]", config=few_rows)

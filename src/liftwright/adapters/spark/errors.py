"""Translates Spark's errors: messages never repeat a row's values or a Java stack trace."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from liftwright.errors import DataError, InputError, LiftwrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_MALFORMED = re.compile(r"MALFORMED_(RECORD|CSV)|BadRecordException", re.IGNORECASE)
_UNREADABLE = re.compile(
    r"FAILED_READ_FILE|CANNOT_READ_FILE|CORRUPT|is not a Parquet file|ParquetDecodingException"
    r"|UNABLE_TO_INFER_SCHEMA|PATH_NOT_FOUND|FileNotFoundException|FAILED_TO_READ",
    re.IGNORECASE,
)
_NO_SCHEME = re.compile(r"No FileSystem for scheme \"?(\w+)|Class (\S*FileSystem) not found")
_DISK_FULL = re.compile(r"No space left on device")
_MEMORY = re.compile(r"OutOfMemoryError|SparkOutOfMemory|Java heap space")
_FILE = re.compile(r"(?:file:|while reading file )\s*(?://)?(/[^\s,;]+)")


@contextlib.contextmanager
def translated(
    where: str, opened: Sequence[str], misshapen: Callable[[], DataError | None]
) -> Iterator[None]:
    """Within the block, translate the errors of Spark that a user can fix.

    Args:
        where: the file or table at hand, for messages.
        opened: the files that were opened so far.
        misshapen: finds the first row of another width in the CSV files.

    Raises:
        InputError: a bad file, a full disk, too little memory, a missing package.
    """
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    try:
        yield
    except LiftwrightError:
        raise
    except (PySparkException, Py4JJavaError) as error:
        found = _input_error(str(error), where, opened, misshapen)
        if found is None:
            raise
        raise found from None


def _input_error(
    text: str, where: str, opened: Sequence[str], misshapen: Callable[[], DataError | None]
) -> InputError | None:
    scheme = _NO_SCHEME.search(text)
    if scheme:
        return InputError(
            f"{where}: Spark has no file system for {scheme.group(1) or scheme.group(2)}; name its "
            "package under spark.config in azure_config.yaml, as spark.jars.packages"
        )
    if _DISK_FULL.search(text):
        return InputError(f"{where}: the disk is full")
    if _MEMORY.search(text):
        return InputError(
            "the engine ran out of memory; raise engine_memory in azure_config.yaml, or "
            "spark.executor.memory under spark.config"
        )
    if _MALFORMED.search(text):
        return misshapen() or DataError(f"{_named(text, opened, where)}: found a malformed CSV row")
    if _UNREADABLE.search(text):
        return DataError(f"{_named(text, opened, where)}: cannot be read; is the file complete?")
    return None


def _named(text: str, opened: Sequence[str], where: str) -> str:
    """The opened file that an error names; otherwise the last one opened."""
    for name in opened:
        if name in text:
            return name
    found = _FILE.search(text)
    return found.group(1) if found else (opened[-1] if opened else where)

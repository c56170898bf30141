"""One value of one file that the command line changes, and how the file is named there."""

from __future__ import annotations

from dataclasses import dataclass

from liftwright.config.yaml import Path, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One value from the command line and the place it takes."""

    file: str
    path: Path
    value: object

    @property
    def key(self) -> str:
        """The full key: the file's stem, then the path."""
        return f"{stem(self.file)}.{dotted(self.path)}"


def stem(file: str) -> str:
    """A configuration file as keys name it: without its ending."""
    return file.removesuffix(".yaml")

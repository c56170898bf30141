"""Write the published JSON Schemas (docs/schemas/*.json) from the records that they describe.

python tools/write_schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path

from liftwright.analysis.result import SCHEMAS, json_schema

FOLDER = Path(__file__).parent.parent / "docs" / "schemas"


def main() -> None:
    """Write every schema."""
    FOLDER.mkdir(exist_ok=True)
    for name, kind in SCHEMAS.items():
        text = json.dumps(json_schema(kind), indent=2, ensure_ascii=False)
        (FOLDER / f"{name}.schema.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

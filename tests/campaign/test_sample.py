from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.campaign import Workspace, init_workspace

if TYPE_CHECKING:
    from pathlib import Path


def test_index_names_the_sample_brand_beside_other_content(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    init_workspace(root)
    content = root / "data/content/approved_content"
    for file in sorted(content.iterdir())[3:]:
        file.unlink()
    assert Workspace(root).index().warnings == ()

    for file in content.iterdir():
        file.unlink()
    (content / "own.md").write_text("---\napproval_date: 2026-01-02\n---\n# Own\n\nOur own text.")
    config = root / "config/experiment_config.yaml"
    config.write_text(config.read_text().replace("name: Tarnwick\n", "name: Larkspur\n"))
    (warning,) = Workspace(root).index().warnings
    assert "brand.postal_address" in warning
    assert "brand.name" not in warning

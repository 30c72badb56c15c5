from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_folder_shadows_the_standard_librarys_operator() -> None:
    """A package named ``operator`` on the path breaks collections, dataclasses and most else."""
    assert (ROOT / "operator" / "moorage_operator" / "__init__.py").exists()
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert list((ROOT / "tests").rglob("__init__.py")) == []

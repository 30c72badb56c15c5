"""Everything in the chart that comes from the code; ``python -m moorage_cli.chart.render``.

``--check`` compares and writes nothing; ``--golden`` takes in the rendered examples of the tests,
for which Helm is needed, and runs ``helm lint``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from moorage_cli.chart.documents import values_schema, values_yaml
from moorage_cli.chart.helm import Helm
from moorage_cli.chart.rights import accounts_text, rights_table
from moorage_cli.control_plane.obtain import obtain_helm
from moorage_cli.control_plane.progress import shown_progress
from moorage_crds.render import render_files

CHART = Path("charts/moorage")
GOLDEN = Path("tests/charts/golden")
CASES = Path("tests/charts/cases")


def chart_files() -> dict[Path, str]:
    """Return the content of each file that comes from the code, by its path in the repository."""
    crds = {CHART / "files/crds" / name: text for name, text in render_files().items()}
    return {
        CHART / "values.yaml": values_yaml(),
        CHART / "values.schema.json": values_schema(),
        CHART / "files/accounts.yaml": accounts_text(),
        Path("docs/rbac.md"): rights_table(),
        **crds,
    }


def golden_files(helm: Helm, root: Path) -> dict[Path, str]:
    """Return the chart rendered with each file of values in ``tests/charts/cases``.

    The custom resources are left out: they are compared with the models by themselves.
    """
    settings = {"crds.install": "false"}
    return {
        GOLDEN / case.name: helm.template(case, settings)
        for case in sorted((root / CASES).iterdir())
    }


def stale(files: Mapping[Path, str], root: Path) -> list[Path]:
    """Return the paths that are missing or differ."""
    return [
        path
        for path, text in files.items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with ``--check`` say which are stale; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m moorage_cli.chart.render", description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path())
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--golden", action="store_true", help="rendered examples and lint, too")
    options = parser.parse_args(arguments)
    wrong = _bring_up_to_date(chart_files(), options.root, check=options.check)
    if options.golden and not wrong:
        with shown_progress() as report:
            helm = Helm(obtain_helm(report), options.root / CHART)
        helm.lint()
        golden = golden_files(helm, options.root)
        wrong = _bring_up_to_date(golden, options.root, check=options.check)
    return 1 if wrong else 0


def _bring_up_to_date(files: Mapping[Path, str], root: Path, *, check: bool) -> bool:
    old = stale(files, root)
    for path in old:
        if check:
            sys.stderr.write(f"{path} is stale; run `make chart`\n")
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[path], encoding="utf-8")
    return check and bool(old)


if __name__ == "__main__":
    sys.exit(main())

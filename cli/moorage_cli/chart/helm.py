"""Helm, as far as the chart's checks need it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from moorage_cli.control_plane.toolchains import DEFAULT_MINOR, KUBERNETES_VERSIONS
from moorage_policies.errors import BadInputError

RELEASE = "moorage"
NAMESPACE = "moorage-system"
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Helm:
    """The program and the chart that it works on."""

    program: Path
    chart: Path

    def template(
        self,
        values: Path | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        release: str = RELEASE,
        namespace: str = NAMESPACE,
        kubernetes: str = KUBERNETES_VERSIONS[DEFAULT_MINOR],
    ) -> str:
        """Return all objects of the chart, rendered without a cluster.

        Args:
            values: a file of values.
            settings: further values, JSON by dotted key.
            release: name of the release.
            namespace: namespace of the release.
            kubernetes: version of the cluster to render for.

        Raises:
            BadInputError: what Helm says about the values.
        """
        arguments = ["--namespace", namespace, "--kube-version", kubernetes]
        arguments += ["--values", str(values)] if values else []
        for key, json in (settings or {}).items():
            arguments += ["--set-json", f"{key}={json}"]
        return self.run(["template", release, str(self.chart), *arguments])

    def lint(self, values: Path | None = None) -> str:
        """Return what ``helm lint --strict`` says.

        Raises:
            BadInputError: it found something.
        """
        version = KUBERNETES_VERSIONS[DEFAULT_MINOR]
        arguments = ["--strict", "--kube-version", version]
        arguments += ["--values", str(values)] if values else []
        return self.run(["lint", str(self.chart), *arguments])

    def run(self, arguments: Sequence[str]) -> str:
        """Return what Helm prints.

        Raises:
            BadInputError: it failed; the message is Helm's.
        """
        done = subprocess.run(
            [str(self.program), *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise BadInputError(f"{done.stderr.strip()}\n{done.stdout.strip()}", field="helm")
        return done.stdout

"""Which programs make a control plane, and the exact versions that were tried."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.errors import UnknownMinorError

KUBERNETES_VERSIONS: Final[Mapping[str, str]] = {"1.34": "1.34.10", "1.37": "1.37.1"}
DEFAULT_MINOR: Final = "1.34"
HELM_VERSION: Final = "3.22.0"
KIND_VERSION: Final = "0.33.0"
PROMETHEUS_VERSION: Final = "3.9.1"
DESCHEDULER_VERSION: Final = "0.36.0"

_MODULES: Final = Path(__file__).parent / "toolchain"
_STAMP: Final = "k8s.io/component-base/version"
_ARCHITECTURES: Final[Mapping[str, str]] = {
    "x86_64": "amd64",
    "AMD64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
}


@dataclass(frozen=True, slots=True)
class Toolchain:
    """One Go module with pinned sums, and the programs built from it.

    Args:
        project: whose programs they are, ``kubernetes`` or ``etcd``.
        version: three-part version without the leading ``v``.
        module: folder with ``go.mod``, ``go.sum`` and, of a program of ours, its source.
        packages: program name to the Go package of its ``main``.
        linker_flags: passed to ``go build -ldflags``.
        build_time: how long a cold build takes on two cores, for the waiting user.
        published: whether the project publishes built programs for download here.
        oldest: installed programs from this version on will do; ``None``: only this minor's.
        package: Debian package that has the programs; empty: none that will do.
    """

    project: str
    version: str
    module: Path
    packages: Mapping[str, str]
    linker_flags: str
    build_time: str
    published: bool = True
    oldest: tuple[int, int] | None = None
    package: str = ""

    @property
    def minor(self) -> str:
        """The version's first two parts."""
        return self.version.rpartition(".")[0]

    def fingerprint(self) -> str:
        """A short hash that changes whenever a different binary would be built."""
        files = [self.module / "go.mod", self.module / "go.sum", *sorted(self.module.glob("*.go"))]
        content = b"".join(file.read_bytes() for file in files)
        return hashlib.sha256(content + self.linker_flags.encode()).hexdigest()[:16]


def toolchains(minor: str) -> tuple[Toolchain, ...]:
    """The toolchains of a control plane of this Kubernetes minor (``1.34``)."""
    return (_kubernetes(minor), _etcd(), _kwok())


def node_toolchains(minor: str) -> tuple[Toolchain, ...]:
    """The toolchains of what a node runs besides the control plane's programs."""
    return (
        _kubernetes(minor),
        _etcd(),
        _kubernetes_node(minor),
        Toolchain(
            project="coredns",
            version="1.13.1",
            module=_MODULES / "coredns",
            packages={"coredns": "."},
            linker_flags="-s -w",
            build_time="1 to 2 minutes",
        ),
        Toolchain(
            project="pause",
            version="1.0.0",
            module=_MODULES / "pause",
            packages={"pause": "."},
            linker_flags="-s -w",
            build_time="seconds",
            published=False,
        ),
    )


def kind_toolchain() -> Toolchain:
    """The toolchain of kind, which makes clusters of containers that are nodes."""
    return Toolchain(
        project="kind",
        version=KIND_VERSION,
        module=_MODULES / "kind",
        packages={"kind": "sigs.k8s.io/kind"},
        linker_flags="-s -w",
        build_time="half a minute",
    )


def helm_toolchain() -> Toolchain:
    """The toolchain of Helm, which renders and installs the chart."""
    minor = KUBERNETES_VERSIONS[DEFAULT_MINOR].split(".")[1]
    stamps = {
        "internal/version.version": f"v{HELM_VERSION}",
        "pkg/chartutil.k8sVersionMajor": "1",
        "pkg/chartutil.k8sVersionMinor": minor,
        "pkg/lint/rules.k8sVersionMajor": "1",
        "pkg/lint/rules.k8sVersionMinor": minor,
    }
    module = "helm.sh/helm/v3"
    return Toolchain(
        project="helm",
        version=HELM_VERSION,
        module=_MODULES / "helm",
        packages={"helm": f"{module}/cmd/helm"},
        linker_flags=" ".join(
            ["-s -w", *(f"-X {module}/{name}={value}" for name, value in stamps.items())]
        ),
        build_time="2 to 4 minutes",
    )


def prometheus_toolchain() -> Toolchain:
    """The toolchain of Prometheus, which scrapes what scaling reads; without its web pages."""
    return Toolchain(
        project="prometheus",
        version=PROMETHEUS_VERSION,
        module=_MODULES / "prometheus",
        packages={"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
        linker_flags=f"-s -w -X github.com/prometheus/common/version.Version={PROMETHEUS_VERSION}",
        build_time="5 to 10 minutes",
        published=False,
        oldest=(2, 40),
        package="prometheus",
    )


def descheduler_toolchain() -> Toolchain:
    """The toolchain of descheduler, which benchmarks compare defragmentation with."""
    stamp = f"sigs.k8s.io/descheduler/pkg/version.version=v{DESCHEDULER_VERSION}"
    return Toolchain(
        project="descheduler",
        version=DESCHEDULER_VERSION,
        module=_MODULES / "descheduler",
        packages={"descheduler": "sigs.k8s.io/descheduler/cmd/descheduler"},
        linker_flags=f"-s -w -X {stamp}",
        build_time="3 to 6 minutes",
        published=False,
    )


def target_platform() -> tuple[str, str]:
    """Operating system and architecture of this machine in Go's words."""
    machine = platform.machine()
    return sys.platform, _ARCHITECTURES.get(machine, machine)


def _kubernetes(minor: str) -> Toolchain:
    return _of_kubernetes(
        "kubernetes",
        minor,
        ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
        "5 to 10 minutes",
    )


def _kubernetes_node(minor: str) -> Toolchain:
    # A module of its own: whoever needs no nodes builds nothing of them.
    programs = ("kubeadm", "kubelet", "kube-proxy")
    return _of_kubernetes("kubernetes-node", minor, programs, "2 minutes after the former")


def _of_kubernetes(project: str, minor: str, programs: Sequence[str], build_time: str) -> Toolchain:
    version = KUBERNETES_VERSIONS.get(minor)
    module = _MODULES / f"{project}-{minor}"
    if version is None or not module.exists():
        known = ", ".join(m for m in KUBERNETES_VERSIONS if (_MODULES / f"{project}-{m}").exists())
        raise UnknownMinorError(f"{minor!r} is not one of {known}; choose one", field="minor")
    major, _, rest = minor.partition(".")
    stamps = {
        "gitVersion": f"v{version}",
        "gitMajor": major,
        "gitMinor": rest,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "1970-01-01T00:00:00Z",
    }
    return Toolchain(
        project=project,
        version=version,
        module=module,
        packages={program: f"k8s.io/kubernetes/cmd/{program}" for program in programs},
        linker_flags=" ".join(
            ["-s -w", *(f"-X {_STAMP}.{name}={value}" for name, value in stamps.items())]
        ),
        build_time=build_time,
    )


def _etcd() -> Toolchain:
    return Toolchain(
        project="etcd",
        version="3.6.16",
        module=_MODULES / "etcd",
        packages={"etcd": "go.etcd.io/etcd/server/v3"},
        linker_flags="-s -w",
        build_time="1 minute",
    )


def _kwok() -> Toolchain:
    return Toolchain(
        project="kwok",
        version="0.8.0",
        module=_MODULES / "kwok",
        packages={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
        linker_flags="-s -w",
        build_time="2 minutes",
    )

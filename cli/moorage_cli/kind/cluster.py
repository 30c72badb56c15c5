"""One kind cluster: brought up with all images in it, and taken down without a trace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from moorage_cli.control_plane.download import Hosts
from moorage_cli.control_plane.obtain import obtain_programs
from moorage_cli.control_plane.progress import Report
from moorage_cli.control_plane.toolchains import kind_toolchain
from moorage_cli.kind.engine import Engine, end_engine, ready_engine, running_engine
from moorage_cli.kind.errors import StepFailedError
from moorage_cli.kind.node_image import ready_node_image
from moorage_cli.kind.places import CLUSTER, FILES, cache, kubeconfig, state
from moorage_cli.kind.program_images import Archive, program_images
from moorage_cli.kind.run import run

_READY_WITHIN: Final = "300s"
_INOTIFY: Final = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_LEAST: Final = 512


@dataclass(frozen=True, slots=True)
class KindCluster:
    """A running cluster.

    Args:
        engine: that its nodes run in.
        kind: the program.
    """

    engine: Engine
    kind: Path

    def nodes(self) -> list[str]:
        """Names of the nodes, which are the engine's containers, too; empty when there is none."""
        return [n for n in self._kind("get", "nodes", f"--name={CLUSTER}").split() if n]

    def load(self, archive: Archive) -> None:
        """Put images into every worker's store."""
        workers = ",".join(n for n in self.nodes() if "control-plane" not in n)
        name = f"--name={CLUSTER}"
        self._kind("load", "image-archive", str(archive.file), name, f"--nodes={workers}")

    def kubectl(self, *arguments: str) -> str:
        """Return what kubectl says, asked on the control plane's node as its administrator."""
        kubectl = ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=60s"]
        return self.engine.docker("exec", f"{CLUSTER}-control-plane", *kubectl, *arguments)

    def export_logs(self, folder: Path) -> None:
        """Write the logs of every node and container into a folder."""
        self._kind("export", "logs", str(folder), f"--name={CLUSTER}")

    def create(self, image: str) -> None:
        """Make the cluster's containers and wait until every node is ready."""
        (state() / "audit/log").mkdir(parents=True, exist_ok=True)
        shutil.copy(FILES / "audit-policy.yaml", state() / "audit/policy.yaml")
        text = (FILES / "cluster.yaml").read_text().replace("@audit@", str(state() / "audit"))
        config = state() / "cluster.yaml"
        config.write_text(text)
        flags = [f"--name={CLUSTER}", f"--image={image}", f"--wait={_READY_WITHIN}"]
        self._kind("create", "cluster", *flags, "--config", str(config),
                   "--kubeconfig", str(kubeconfig()))  # fmt: skip

    def delete(self) -> None:
        """Remove the cluster and what it kept on this machine."""
        self._kind("delete", "cluster", f"--name={CLUSTER}", f"--kubeconfig={kubeconfig()}")
        shutil.rmtree(state(), ignore_errors=True)

    def _kind(self, *arguments: str) -> str:
        return run([self.kind, *arguments], environment=self.engine.environment)


def bring_up(source: Path, report: Report, hosts: Hosts | None) -> KindCluster:
    """Return a cluster with every image that the chart needs; an existing one is kept.

    Args:
        source: checkout that our images are made from.
        report: told what is going on while it takes long.
        hosts: servers to download from, ``None`` to download and pull nothing.

    Raises:
        MachineUnfitError: no container engine can run here.
        StepFailedError: a step failed.
        BuildFailedError: a program can be had in no way.
    """
    kind = obtain_programs(kind_toolchain(), report, hosts)["kind"]
    with only_one():
        cluster = KindCluster(ready_engine(report), kind)
        images = program_images(source, report)
        if not cluster.nodes():
            image = ready_node_image(cluster.engine, report, hosts)
            _allow_watches()
            report("creating the cluster", f"kind {CLUSTER}, 1 control plane, 3 workers")
            cluster.create(image)
        report("loading images into the nodes", ", ".join(images.images))
        cluster.load(images)
    return cluster


def take_down(report: Report, hosts: Hosts | None, *, keep_engine: bool = False) -> bool:
    """Remove the cluster, and the engine if it was started here; ``False`` when there was none."""
    with only_one():
        engine = running_engine()
        if engine is None:
            return False
        kind = obtain_programs(kind_toolchain(), report, hosts)["kind"]
        report("deleting the cluster", CLUSTER)
        KindCluster(engine, kind).delete()
        if not keep_engine:
            end_engine(engine)
    return True


@contextmanager
def only_one() -> Iterator[None]:
    """Let one process at a time bring the cluster up or down.

    Raises:
        StepFailedError: another does just now.
    """
    cache().mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache() / ".lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout as error:
        raise StepFailedError(
            f"another process brings the cluster up or down and holds {lock.lock_file}; wait for it"
        ) from error


def _allow_watches() -> None:
    """Each node's kubelet and systemd watch files; too few watches end in unclear errors."""
    try:
        if int(_INOTIFY.read_text()) < _INOTIFY_LEAST:
            _INOTIFY.write_text(str(_INOTIFY_LEAST))
    except OSError:
        return  # not ours to set: four nodes mostly get by with what is there

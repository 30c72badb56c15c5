"""Debian made into a Kubernetes node, as kind's own image build does it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from moorage_cli.control_plane.build import go_program
from moorage_cli.control_plane.toolchains import kind_toolchain
from moorage_cli.kind.places import FILES
from moorage_cli.kind.run import run

_MANIFESTS: Final = ("default-cni.yaml", "default-storage.yaml")
NODE_FILES: Final = ("pod-network.sh", "pod-network.service", *_MANIFESTS)
_UNITS_OFF: Final = (
    "lib/systemd/system/multi-user.target.wants/*",
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "lib/systemd/system/basic.target.wants/*",
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
)


def prepare_node(
    root: Path,
    programs: Mapping[str, Path],
    names: Mapping[str, str],
    version: str,
    scratch: Path,
) -> None:
    """Make Debian into a node.

    Args:
        root: Debian with the packages of a node.
        programs: files of Kubernetes' programs by name.
        names: under which kubeadm looks for its images, by program.
        version: of Kubernetes.
        scratch: for files that are needed meanwhile.
    """
    _copy_kind_files(root, scratch)
    _configure_containerd(root, names)
    _add_programs(root, programs, version)
    units = ["kubelet.service", "containerd.service", "undo-mount-hacks.service"]
    run(["chroot", root, "systemctl", "-q", "enable", *units, "pod-network.service"])
    run(["chroot", root, "systemctl", "-q", "mask", "systemd-binfmt.service"])
    for left in ("var/cache/apt/archives", "var/lib/apt/lists", "var/log"):
        shutil.rmtree(root / left, ignore_errors=True)
        (root / left).mkdir(parents=True)


def _copy_kind_files(root: Path, scratch: Path) -> None:
    base = _kind_files(scratch)
    for part in ("kind", "etc", "usr"):
        run(["cp", "-r", "--no-preserve=mode", base / part, root])
    for folder in ("usr/local/bin", "kind/bin"):
        for program in (root / folder).iterdir():
            program.chmod(0o755)
    for pattern in _UNITS_OFF:
        for unit in root.glob(pattern):
            unit.unlink()
    with (root / "etc/systemd/journald.conf").open("a") as journal:
        journal.write("ReadKMsg=no\n")


def _configure_containerd(root: Path, names: Mapping[str, str]) -> None:
    # Two changes for a machine without CAP_SYS_RESOURCE; elsewhere they do no harm.
    unit = root / "etc/systemd/system/containerd.service"
    unit.write_text(
        "\n".join(x for x in unit.read_text().split("\n") if not x.startswith("OOMScoreAdjust"))
    )
    settings = root / "etc/containerd/config.toml"
    _change(settings, "restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    _change(settings, "registry.k8s.io/pause:3.10", names["pause"])
    (root / "etc/containerd/cri-base.json").write_text(_container_defaults())


def _add_programs(root: Path, programs: Mapping[str, Path], version: str) -> None:
    # Debian's containerd and network plugins, where kind looks for its own.
    (root / "usr/local/bin/containerd").symlink_to("/usr/bin/containerd")
    for folder in ("opt/cni", "etc/kubernetes/manifests", "kind/manifests"):
        (root / folder).mkdir(parents=True)
    (root / "opt/cni/bin").symlink_to("/usr/lib/cni")
    for name in ("kubeadm", "kubelet", "kubectl"):
        shutil.copy(programs[name], root / "usr/bin" / name)
    shutil.copy(FILES / "pod-network.sh", root / "kind/bin")
    (root / "kind/bin/pod-network.sh").chmod(0o755)
    shutil.copy(FILES / "pod-network.service", root / "etc/systemd/system")
    for manifest in _MANIFESTS:
        shutil.copy(FILES / manifest, root / "kind/manifests")
    (root / "kind/version").write_text(f"v{version}")


def _kind_files(scratch: Path) -> Path:
    """What kind puts into its base image, out of its Go module, whose sum is pinned."""
    go = go_program(kind_toolchain(), ["kind's files"])
    module = shutil.copytree(kind_toolchain().module, scratch / "kind-module")
    environment = {"GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    command = [go, "mod", "download", "-json", "sigs.k8s.io/kind"]
    downloaded = json.loads(run(command, cwd=module, environment=environment))
    return Path(downloaded["Dir"]) / "images/base/files"


def _container_defaults() -> str:
    """Containerd's defaults for containers, and kind's hook that hides the machine's product id."""
    hook = '{"path": "/kind/bin/mount-product-files.sh"}'
    change = f".hooks.createContainer = [{hook}] | del(.process.rlimits)"
    return run(["bash", "-o", "pipefail", "-c", 'ctr oci spec | jq "$0"', change])


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if old not in text:
        raise AssertionError(f"{file} has no {old!r}")
    file.write_text(text.replace(old, new))

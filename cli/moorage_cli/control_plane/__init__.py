"""A local Kubernetes control plane: found or built programs, started and ended by the project."""

from moorage_cli.control_plane.binaries import Binaries, find_binaries
from moorage_cli.control_plane.plane import ControlPlane
from moorage_cli.control_plane.scheduler_config import ExtenderConfig, SchedulerConfig
from moorage_cli.control_plane.simulated_nodes import A100, H100, GpuModel, NodeSpec, gpu_nodes

__all__ = [
    "A100",
    "H100",
    "Binaries",
    "ControlPlane",
    "ExtenderConfig",
    "GpuModel",
    "NodeSpec",
    "SchedulerConfig",
    "find_binaries",
    "gpu_nodes",
]

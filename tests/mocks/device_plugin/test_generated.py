from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROTO = Path("moorage_mocks/device_plugin/device_plugin.proto")


def test_the_generated_messages_are_those_of_the_interface(tmp_path: Path) -> None:
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "e2e", *outputs, f"e2e/{PROTO}"]
    subprocess.run(command, cwd=ROOT, check=True)
    for suffix in ("_pb2.py", "_pb2.pyi"):
        name = PROTO.with_name(PROTO.stem + suffix)
        assert (tmp_path / name).read_text() == (ROOT / "e2e" / name).read_text(), "make protos"

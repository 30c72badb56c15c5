"""What our accounts asked the API server for, out of its own audit log: all of it, no more."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from moorage_cli.chart.helm import NAMESPACE

Right = tuple[str, str, str, str]  # account, group, resource with subresource, verb
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:"
"""
"""


@pytest.fixture
def calls(installed: Any) -> list[dict[str, Any]]:
    """Every call of our accounts so far, oldest first."""
    named = os.environ.get("E2E_AUDIT_LOG")
    if not named:
        pytest.skip("E2E_AUDIT_LOG names no audit log of the API server")
    lines = Path(named).read_text().splitlines()
    return [json.loads(line) for line in lines if line]


def test_no_call_of_ours_was_denied(calls: list[dict[str, Any]]) -> None:
    assert calls
    denied = {
        (call["user"]["username"].removeprefix(ACCOUNT), call["verb"], call["requestURI"])
        for call in calls
        if call.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
    }
    assert denied == set()

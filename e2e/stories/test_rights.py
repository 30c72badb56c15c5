"""What our accounts asked the API server for, out of its own audit log: all of it, no more."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from moorage_cli.chart.helm import NAMESPACE
from moorage_cli.manifests import read_manifests


class Right(NamedTuple):
    """What an account may do, or did."""

    account: str
    group: str
    resource: str
    verb: str


DOUBT = "read again after an answer that was lost or a conflict, which no story brings about"
NOT_SERVED = "the LeaderWorkerSet API is not served on this cluster"
KEPT = "the Lease of a former release is still there, on a cluster that is used twice"
OWNED = "Kubernetes' garbage collector deletes it with its owner unless the owner stays"
UNUSED = {
    ("moorage-extender", "pods", "get"): DOUBT,
    ("moorage-extender", "pods", "create"): "rings only when a pod waits for room a plan made",
    ("moorage-extender", "pods", "delete"): "as above",
    ("moorage-operator", "gpuinferencepools", "get"): DOUBT,
    ("moorage-operator", "gpuinferenceroles", "get"): DOUBT,
    ("moorage-operator", "deployments", "get"): DOUBT,
    ("moorage-operator", "services", "get"): DOUBT,
    ("moorage-operator", "poddisruptionbudgets", "get"): DOUBT,
    ("moorage-operator", "services", "delete"): OWNED,
    ("moorage-operator", "placementplans", "delete"): "retention: fifty plans are kept",
    ("moorage-extender", "leases", "create"): KEPT,
    ("moorage-operator", "leases", "create"): KEPT,
    **{
        ("moorage-operator", "leaderworkersets", verb): NOT_SERVED
        for verb in ("get", "list", "watch", "create", "patch", "delete")
    },
}
"""Rights that no story uses, and why an installation has them all the same."""


@pytest.fixture(scope="module")
def calls(installed: Any) -> list[dict[str, Any]]:
    """Every call of our accounts since the release was installed, oldest first."""
    named = os.environ.get("E2E_AUDIT_LOG")
    if not named:
        pytest.skip("E2E_AUDIT_LOG names no audit log of the API server")
    lines = Path(named).read_text().splitlines()
    found = [json.loads(line) for line in lines if line]
    return [call for call in found if call["requestReceivedTimestamp"] >= installed.since]


def account(call: dict[str, Any]) -> str:
    name: str = call["user"]["username"]
    return name.removeprefix(f"system:serviceaccount:{NAMESPACE}:")


def test_no_call_of_ours_was_denied(calls: list[dict[str, Any]]) -> None:
    assert calls
    denied = {
        (account(call), call["verb"], call["requestURI"])
        for call in calls
        if call.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
    }
    assert denied == set()


def used(calls: list[dict[str, Any]]) -> set[Right]:
    rights = set[Right]()
    for call in calls:
        target = call.get("objectRef") or {}
        resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
        right = Right(account(call), target.get("apiGroup", ""), resource, call["verb"])
        rights.add(right)
        if right.verb == "patch" and call.get("responseStatus", {}).get("code") == 201:
            rights.add(right._replace(verb="create"))  # an apply that creates needs both
    return rights


def granted() -> set[Right]:
    roles = {
        (manifest["kind"], manifest["metadata"]["name"]): manifest["rules"]
        for manifest in read_manifests("accounts")
        if manifest["kind"] in ("Role", "ClusterRole")
    }
    rights = set[Right]()
    for binding in read_manifests("accounts"):
        if not binding["kind"].endswith("Binding"):
            continue
        reference = binding["roleRef"]
        for subject, rule in product(
            binding["subjects"], roles[reference["kind"], reference["name"]]
        ):
            if "moorage-planner" in rule.get("resourceNames", ()):
                continue  # the planner's own Lease is of mode Service
            rights |= {
                Right(subject["name"], *what)
                for what in product(rule["apiGroups"], rule["resources"], rule["verbs"])
            }
    return rights


def test_every_right_is_used_or_says_why_not(calls: list[dict[str, Any]]) -> None:
    unused = granted() - used(calls)
    unexplained = {
        right for right in unused if (right.account, right.resource, right.verb) not in UNUSED
    }
    assert unexplained == set()

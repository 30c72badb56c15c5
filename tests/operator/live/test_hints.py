"""Hints on a real API server: statuses pass its schema, pods get their intents, events are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage_crds.names import HINT_ANNOTATION, HINT_INTENTS_ANNOTATION

pytestmark = pytest.mark.control_plane

Json = dict[str, Any]
EVERY_CLASS = (
    "must have H100, avoid spot, together with redis, away from batch pods on the same rack, "
    "spread across zones, at least 1.5 TB free memory, balanced cpu and memory, within 2 ms of the "
    "gateway, up for at least 7 days, no noisy neighbours, under $2 an hour, low power, gibber the "
    "flumox"
)


def pod(name: str, hint: str, scheduler: str = "moorage-scheduler", written: str = "") -> Json:
    annotations = {HINT_ANNOTATION: hint}
    if written:
        annotations[HINT_INTENTS_ANNOTATION] = written
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "schedulerName": scheduler,
            "nodeSelector": {"nobody": "has-this"},
            "containers": [{"name": "c", "image": "none"}],
        },
    }


def test_pools_and_pods_are_told_what_was_understood(site: Any, team: str, new_pool: Any) -> None:
    pool = new_pool(hints=EVERY_CLASS)
    pool["metadata"]["namespace"] = team
    pods = [
        pod("plain", "prefer H100, avoid spot"),
        pod("corrected", "prefer H100", written='{"intents": [{"class": "Cost"}]}'),
        pod("huge", "prefer spot " * 10_000),
        pod("german", "bitte auf die schnellen Maschinen im Keller"),
        pod("foreign", "prefer H100", scheduler="nobody"),
        pod("broken", "prefer H100", written='{"intents": [{"class": "Evict"}]}'),
    ]
    for one in pods:
        one["metadata"]["namespace"] = team
        site.plane.api.create(f"/api/v1/namespaces/{team}/pods", one)
    site.apply(pool)

    def told() -> Json:
        live = site.get("gip", team, "llama") or {}
        hint: Json = live.get("status", {}).get("hint", {})
        return hint

    site.eventually(told, why="the pool's status tells its hint")
    assert {intent["class"] for intent in told()["intents"]} >= {"Quantity", "Energy", "Network"}
    assert "flumox" in " ".join(told()["notUnderstood"])
    assert site.condition(team, "HintUnderstood")["reason"] == "PartlyUnderstood"

    def written(name: str) -> str:
        live = site.get("pod", team, name) or {"metadata": {}}
        text: str = live["metadata"].get("annotations", {}).get(HINT_INTENTS_ANNOTATION, "")
        return text

    site.eventually(lambda: written("plain"), why="the pod carries its intents")
    assert [i["class"] for i in json.loads(written("plain"))["intents"]] == [
        "Accelerator",
        "NodeLabel",
    ]

    def events() -> set[tuple[str, str]]:
        return {
            (event["involvedObject"]["name"], event["reason"])
            for event in site.list("events", team)
            if event["reason"].startswith("Hint")
        }

    expected = {
        ("huge", "HintTooLong"),
        ("german", "HintNotEnglish"),
        ("foreign", "HintOtherScheduler"),
        ("broken", "HintIntentsUnusable"),
    }
    site.eventually(lambda: events() == expected, why=f"the events are {expected}: {events()}")
    assert json.loads(written("corrected")) == {"intents": [{"class": "Cost"}]}
    assert written("foreign") == ""
    for name, refusal in (("huge", "TooLong"), ("german", "NotEnglish")):
        site.eventually(lambda name=name: written(name), why=f"{name} carries the reason")
        assert json.loads(written(name))["refusal"] == refusal
    site.plane.kubectl("delete", "pods", "--all", "-n", team, "--wait=false")

"""Hints of single pods: understood ones are written onto the pod, others bring a warning."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from moorage_cluster.errors import Failure, to_error
from moorage_cluster.events import Subject
from moorage_crds.names import HINT_ANNOTATION, HINT_INTENTS_ANNOTATION
from moorage_operator.services.hint_reading import HintReader
from moorage_operator.services.pod_hints import MAX_WAITING, PendingPod, PodHints
from moorage_policies.hints import HintSource, Origin, parse_hint, read_hint, write_hint

OURS = "moorage-scheduler"
TEXT = "prefer H100, avoid spot"


class Silent:
    def report(self, event: str, /, **facts: object) -> None:
        pass


class Door:
    """Pod hints over an API that remembers patches."""

    def __init__(self) -> None:
        self.patches: list[tuple[str, dict[str, Any]]] = []
        self.warnings: list[tuple[str, str]] = []
        self.counts: list[str] = []
        self.off = False
        self.leads = True
        self.refuse = False
        self.hints = PodHints(
            self,
            self._warn,
            HintReader(lambda: 0.0, lambda _: None, Silent()),
            is_off=lambda: self.off,
            leads=lambda: self.leads,
            schedulers={OURS},
            count=self.counts.append,
            reporter=Silent(),
        )

    async def request(self, method: str, path: str, **call: Any) -> bytes:
        assert (method, call["content_type"]) == ("PATCH", "application/merge-patch+json")
        if self.refuse:
            raise to_error(Failure(method, path, 403, "no", reason="Forbidden"))
        self.patches.append((path, call["body"]["metadata"]))
        return b"{}"

    async def _warn(self, subject: Subject, reason: str, message: str) -> None:
        assert (subject.namespace, subject.kind) == ("team", "Pod")
        self.warnings.append((reason, message))

    async def answer(self, *pods: PendingPod) -> None:
        self.hints.take_list(pods)
        while self.hints._waiting:
            _, pod = self.hints._waiting.popitem(last=False)
            if self.leads:
                await self.hints._try(pod)


@pytest.fixture
def door() -> Door:
    return Door()


def make_pod(text: str | None = TEXT, written: str = "", **fields: Any) -> PendingPod:
    annotations = {} if text is None else {HINT_ANNOTATION: text}
    if written:
        annotations[HINT_INTENTS_ANNOTATION] = written
    owner = {"kind": "ReplicaSet", "name": "rs", "uid": "owner", "controller": True}
    meta = {
        "name": "p",
        "namespace": "team",
        "uid": fields.get("uid", "uid-p"),
        "annotations": annotations,
        "labels": fields.get("labels", {}),
        "ownerReferences": [owner] if fields.get("owned") else [],
    }
    body = {"metadata": meta, "spec": {"schedulerName": fields.get("scheduler", OURS)}}
    return msgspec.convert(body, PendingPod)


async def test_intents_are_written_onto_the_pod_so_that_the_extender_reads_the_same(
    door: Door,
) -> None:
    await door.answer(make_pod())
    [(path, patch)] = door.patches
    assert path == "/api/v1/namespaces/team/pods/p"
    assert patch["uid"] == "uid-p"
    written = patch["annotations"][HINT_INTENTS_ANNOTATION]
    reading = read_hint(HintSource(TEXT, written))
    assert (reading.origin, reading.hint) == (Origin.WRITTEN, parse_hint(TEXT))
    await door.answer(make_pod(written=written))
    assert len(door.patches) == 1
    assert door.counts == ["Understood"]


async def test_intents_for_an_older_text_are_written_anew(door: Door) -> None:
    await door.answer(make_pod("avoid T4"))
    [(_, patch)] = door.patches
    await door.answer(make_pod(TEXT, written=patch["annotations"][HINT_INTENTS_ANNOTATION]))
    assert json.loads(door.patches[1][1]["annotations"][HINT_INTENTS_ANNOTATION]) == write_hint(
        TEXT, parse_hint(TEXT), "Local"
    )


@pytest.mark.parametrize("of", [True, False])
async def test_intents_that_a_person_corrected_stay(door: Door, of: bool) -> None:
    form = write_hint(TEXT, parse_hint("prefer T4"), "Local")
    if not of:
        del form["of"]
    await door.answer(make_pod(written=json.dumps(form)))
    await door.answer(make_pod(None, written=json.dumps({"intents": []})))
    assert door.patches == []
    assert door.counts == ["ByHand", "ByHand"]


@pytest.mark.parametrize(
    ("pod", "reason", "part"),
    [
        pytest.param(make_pod("x" * 1_000_000), "HintTooLong", "shorten", id="a-megabyte"),
        pytest.param(
            make_pod("bitte auf die schnellen Maschinen"), "HintNotEnglish", "English", id="german"
        ),
        pytest.param(make_pod("\ud800"), "HintNotText", "valid text", id="half-a-character"),
        pytest.param(
            make_pod("24 GHz of memory"), "HintNothingUnderstood", "no intent", id="wrong-unit"
        ),
        pytest.param(
            make_pod(scheduler="default-scheduler"),
            "HintOtherScheduler",
            "set schedulerName",
            id="not-ours",
        ),
        pytest.param(
            make_pod(written='{"intents": [{"class": "Cost", "evict": true}]}'),
            "HintIntentsUnusable",
            "unknown evict",
            id="unknown-key",
        ),
        pytest.param(make_pod(written="{"), "HintIntentsUnusable", "is not JSON", id="no-json"),
    ],
)
async def test_a_bad_hint_brings_one_warning_and_its_reason_where_it_is_ours(
    door: Door, pod: PendingPod, reason: str, part: str
) -> None:
    await door.answer(pod)
    await door.answer(pod)
    [(told, message)] = door.warnings
    assert told == reason
    assert part in message
    assert len(message) < 1024
    assert door.counts == [reason.removeprefix("Hint")] * 2
    if reason in {"HintOtherScheduler", "HintIntentsUnusable"}:  # not ours, or a person's own words
        assert door.patches == []
        return
    text = pod.metadata.annotations[HINT_ANNOTATION]
    for _, patch in door.patches:
        written = patch["annotations"][HINT_INTENTS_ANNOTATION]
        assert json.loads(written).get("refusal", "NothingUnderstood") == reason.removeprefix(
            "Hint"
        )
        assert len(written) < 4096
        assert read_hint(HintSource(text, written)).hint.intents == ()
    pod.metadata.annotations[HINT_INTENTS_ANNOTATION] = written
    await door.answer(pod)  # what is written is not told again
    assert len(door.patches) == len(door.counts) == 2


async def test_replicas_of_one_owner_bring_one_warning(door: Door) -> None:
    await door.answer(*(make_pod("24 GHz of memory", uid=f"u{n}", owned=True) for n in range(5)))
    assert len(door.warnings) == 1
    assert door.counts == ["NothingUnderstood"] * 5


async def test_pods_of_a_pool_are_answered_only_for_hints_of_their_own(door: Door) -> None:
    labels = {"moorage.dev/pool": "chat"}
    await door.answer(make_pod(None, labels=labels))
    assert (door.patches, door.counts) == ([], [])
    await door.answer(make_pod("avoid T4", labels=labels))  # its template says it
    assert len(door.patches) == 1


async def test_switched_off_by_the_policy(door: Door) -> None:
    door.off = True
    await door.answer(make_pod())
    assert [reason for reason, _ in door.warnings] == ["HintSwitchedOff"]
    assert door.patches == []


async def test_pods_without_a_hint_cost_nothing(door: Door) -> None:
    door.hints.take_list([make_pod(None, uid=str(n)) for n in range(100)])
    assert not door.hints._waiting


async def test_refused_writes_and_lost_leadership_hold_nobody_up(door: Door) -> None:
    door.refuse = True
    await door.answer(make_pod())
    door.refuse, door.leads = False, False
    await door.answer(make_pod())
    assert door.patches == []


async def test_a_flood_waits_in_bounded_room(door: Door) -> None:
    door.hints.take_list([make_pod(uid=str(n)) for n in range(MAX_WAITING + 10)])
    assert len(door.hints._waiting) == MAX_WAITING
    assert door.counts == ["overflow"] * 10

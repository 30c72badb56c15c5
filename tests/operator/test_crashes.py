"""The process killed at every write, before and after it took effect: one and the same end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Make = Callable[..., Json]
CLASSES = [{"class": "H100-80GB", "count": 8}, {"class": "A100-40GB", "count": 8}]
ROLE = "/apis/moorage.dev/v1alpha1/namespaces/team/gpuinferenceroles/llama-server"
VOLATILE = ("resourceVersion", "uid", "managedFields", "generation")


async def test_the_end_is_the_same_wherever_the_process_dies(
    new_bench: Callable[[], Any], new_pool: Make, new_role: Make
) -> None:
    calm = new_bench()
    await _story(calm, new_pool, new_role)
    expected, writes = _end_state(calm), len(calm.api.writes)
    assert writes > 20  # else the story is too short to show anything
    for number in range(1, writes + 1):
        for committed in (False, True):
            shaken = new_bench()
            shaken.api.crash_at = (number, committed)
            await _story(shaken, new_pool, new_role)
            assert shaken.api.crash_at is None, f"write {number} never came"
            assert _end_state(shaken) == expected, f"killed at write {number}, {committed=}"


async def _story(bench: Any, new_pool: Make, new_role: Make) -> None:
    """A pool is made, runs, is scaled, changes class, loses a role."""
    server = new_role(accelerators=CLASSES)
    bench.add_node("a1", "NVIDIA-A100-SXM4-40GB")
    bench.apply_pool(new_pool(roles=[server, new_role("router", replicas=1)]))
    await _settle(bench)
    bench.run_pods(place=lambda _pod: "h1")
    await _settle(bench)
    bench.api.edit(ROLE, lambda live: live["spec"].update(replicas=3))
    await _settle(bench)
    bench.run_pods(place=lambda _pod: None)  # the third replica is refused
    bench.now_s += 60
    await _settle(bench)
    bench.run_pods(place=lambda _pod: "a1")
    await _settle(bench)
    bench.apply_pool(new_pool(roles=[new_role(accelerators=CLASSES, replicas=1)]))
    await _settle(bench)
    bench.run_pods(place=lambda _pod: "h1")
    await _settle(bench)


async def _settle(bench: Any) -> None:
    while True:
        try:
            await bench.settle()
        except bench.crash:
            bench.restart()
        else:
            return


def _end_state(bench: Any) -> Json:
    """Return every object without what merely counts writes, and without times."""
    state = copy.deepcopy(bench.api.objects)
    for item in state.values():
        for name in VOLATILE:
            item["metadata"].pop(name, None)
        for owner in item["metadata"].get("ownerReferences", []):
            owner.pop("uid")
        _drop_generations(item.get("status", {}))
    return state


def _drop_generations(status: Json) -> None:
    status.pop("observedGeneration", None)
    for condition in status.get("conditions", []):
        condition.pop("observedGeneration")

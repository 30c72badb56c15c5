"""What each class of intent says of each node: 0 (worst) to 1 (best), NaN where unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from moorage_policies.hints.canonical import free_of, turned
from moorage_policies.hints.intent import ANY, SELF, Intent, IntentClass, Op, Quantity, Sign
from moorage_policies.hints.measures import amount_of, satisfaction, stretched, used_ratios
from moorage_policies.hints.node_match import accelerator_mask, domain_codes, label_mask
from moorage_policies.hints.pod_match import by_domain, counts_of
from moorage_policies.hints.signals import Signals
from moorage_policies.state import ABSENT, Snapshot
from moorage_policies.types import BoolArray, FloatArray, IntArray, Pod

_MS_PER_S = 1000.0
_LONGEST_MS = 1e9
_NEARNESS = (("region", 0.3), ("zone", 0.6), ("rack", 0.8), ("switch", 0.85), ("nvlink", 0.9))
"""How near a shared domain brings two nodes; the same node is 1, nothing shared 0."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a scorer looks at: the pod, the cluster, the candidate rows and measured facts."""

    pod: Pod
    snapshot: Snapshot
    rows: IntArray
    signals: Signals


Scored = tuple[FloatArray | None, str]
"""Score of every node, shape ``(nodes,)``, ``None`` if it cannot tell them apart; what it saw."""


def _by_mask(mask: BoolArray | None, intent: Intent) -> Scored:
    target = intent.target or ""
    if mask is None:
        return None, f"no node tells whether it is {target}"
    wished = mask if intent.sign is Sign.PREFER else ~mask
    verb = "are" if intent.sign is Sign.PREFER else "are not"
    return wished.astype(np.float64), f"{int(wished.sum())} of {len(mask)} nodes {verb} {target}"


def _accelerator(intent: Intent, view: View) -> Scored:
    return _by_mask(accelerator_mask(intent.target or "", view.snapshot), intent)


def _node_label(intent: Intent, view: View) -> Scored:
    return _by_mask(label_mask(intent.target or "", view.snapshot), intent)


def _domain_counts(intent: Intent, view: View) -> tuple[FloatArray | None, str]:
    target = intent.target or SELF
    counts = counts_of(target, view.pod, view.snapshot)
    if counts is None:
        return None, f"no {target} pod runs"
    held = by_domain(counts, intent.topology_key, view.snapshot.table)
    return held, f"{target} pods per {intent.topology_key}"


def _co_location(intent: Intent, view: View) -> Scored:
    held, reason = _domain_counts(intent, view)
    return (None if held is None else (held > 0).astype(np.float64)), reason


def _apart(intent: Intent, view: View) -> Scored:
    """Return 1 in an empty domain, less with each pod there."""
    held, reason = _domain_counts(intent, view)
    return (None if held is None else 1.0 / (1.0 + held)), reason


def _quantity(intent: Intent, view: View) -> Scored:
    quantity = _wished(intent)
    if quantity is None:
        return None, "no amount is given"
    have = amount_of(quantity, view.snapshot, view.signals)
    if have is None:
        return None, f"no node tells its {quantity.resource}"
    return _satisfied(quantity, have, view)


def _wished(intent: Intent) -> Quantity | None:
    if intent.quantity is None:
        return None
    return free_of(turned(intent.quantity) if intent.sign is Sign.AVOID else intent.quantity)


def _satisfied(quantity: Quantity, have: FloatArray, view: View) -> Scored:
    """Return the satisfaction of candidates; superlatives compare candidates only."""
    score = np.full(len(have), np.nan)
    score[view.rows] = satisfaction(quantity, have[view.rows])
    bound = "" if quantity.value is None else f" {quantity.value:g} {quantity.unit}"
    measure = "" if quantity.resource in _OWN_MEASURE else f"{quantity.measure.casefold()} "
    return score, f"{measure}{quantity.resource} {quantity.op}{bound}"


_OWN_MEASURE = {"age", "price", "power", "latency"}


def _balance(_intent: Intent, view: View) -> Scored:
    """Return 1 less the spread between used shares of CPU, memory and GPUs, the pod placed."""
    snapshot = view.snapshot
    demand = snapshot.demand_of(view.pod)
    ratios = used_ratios(snapshot)
    if demand is not None:
        columns = [snapshot.resources.index(r) for r in _BALANCED if r in snapshot.resources]
        total = np.maximum(snapshot.allocatable[:, columns].astype(np.float64), 1.0)
        ratios = np.clip(ratios + demand[columns] / total, 0.0, 1.0)
    known = np.isfinite(ratios)
    filled = np.where(known, ratios, 0.0)
    number = np.maximum(known.sum(axis=1), 1)
    mean = filled.sum(axis=1) / number
    variance = (np.where(known, (ratios - mean[:, None]) ** 2, 0.0)).sum(axis=1) / number
    return 1.0 - np.sqrt(variance), "used shares of CPU, memory and GPUs stay alike"


_BALANCED = ("cpu", "memory", "nvidia.com/gpu")


def _network(intent: Intent, view: View) -> Scored:
    target = intent.target or SELF
    goal = _goal(target, view)
    if goal is None:
        return None, f"nothing is known of where {target} is"
    if view.signals.rtt_ms is not None:
        rtt_ms = _mean_rtt_ms(view.signals.rtt_ms, goal)
        quantity = intent.quantity or Quantity("latency", Op.LEAST)
        return _satisfied(quantity, rtt_ms / _MS_PER_S, view)
    return _shared_domains(goal, view), f"domains shared with {target}"


def _goal(target: str, view: View) -> FloatArray | None:
    """Return how much of the target sits on each node, shape ``(nodes,)``."""
    if target.startswith(("zone=", "region=", "rack=", "hostname=", "switch=")):
        mask = label_mask(target, view.snapshot)
        return None if mask is None or not mask.any() else mask.astype(np.float64)
    if target == ANY and view.signals.rtt_ms is None:
        return None
    if target == ANY:
        return np.ones(len(view.snapshot.nodes))
    return counts_of(target, view.pod, view.snapshot)


def _mean_rtt_ms(rtt_ms: FloatArray, goal: FloatArray) -> FloatArray:
    rtt_ms = np.clip(rtt_ms, 0.0, _LONGEST_MS)
    known = np.isfinite(rtt_ms[:, goal > 0])
    weights = known * goal[goal > 0]
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = (np.where(known, rtt_ms[:, goal > 0], 0.0) * weights).sum(axis=1)
        return np.where(total > 0, sums / total, np.nan)


def _shared_domains(goal: FloatArray, view: View) -> FloatArray:
    near = np.zeros(len(goal))
    for key, score in _NEARNESS:
        codes = domain_codes(view.snapshot.table, key)
        if codes is not None:
            there = np.isin(codes, codes[goal > 0]) & (codes != ABSENT)
            near = np.where(there, score, near)
    return np.where(goal > 0, 1.0, near)


def _stability(intent: Intent, view: View) -> Scored:
    age_s = view.signals.age_s
    quantity = _wished(intent)
    if age_s is not None and quantity is not None:
        return _satisfied(quantity, age_s, view)
    ready = np.array([node.ready for node in view.snapshot.nodes], dtype=np.float64)
    old = intent.sign is Sign.PREFER
    if age_s is None:
        unclear = bool(ready.all()) or not old or quantity is not None
        return (None, "ages of nodes are unknown") if unclear else (ready, "nodes that are ready")
    score = np.full(len(age_s), np.nan)
    score[view.rows] = stretched(np.log1p(np.maximum(age_s[view.rows], 0.0)), more_is_better=old)
    return score * ready, "age of nodes, if ready"


def _noise(_intent: Intent, view: View) -> Scored:
    noise = view.signals.noise_ratio
    if noise is not None:
        return 1.0 - noise, "measured disturbance by neighbours"
    ratios = used_ratios(view.snapshot)
    busiest = np.where(np.isfinite(ratios), ratios, 0.0).max(axis=1)
    return 1.0 - busiest, "share of the busiest resource that others leave free"


def _cost(intent: Intent, view: View) -> Scored:
    price = view.signals.price_usd_per_h
    if price is not None:
        return _satisfied(_wished(intent) or Quantity("price", Op.LEAST), price, view)
    spot = label_mask("spot", view.snapshot)
    if spot is None or intent.quantity is not None:
        return None, "prices of nodes are unknown"
    return spot.astype(np.float64), "spot nodes cost less"


def _energy(intent: Intent, view: View) -> Scored:
    power = view.signals.power_w
    if power is None:
        return None, "power of nodes is unknown"
    quantity = _wished(intent)
    if quantity is not None and quantity.value is not None and quantity.unit is not None:
        return _satisfied(quantity, power, view)
    return _satisfied(Quantity("power", Op.LEAST), power, view)


SCORERS: Mapping[IntentClass, Callable[[Intent, View], Scored]] = {
    IntentClass.ACCELERATOR: _accelerator,
    IntentClass.NODE_LABEL: _node_label,
    IntentClass.CO_LOCATION: _co_location,
    IntentClass.ANTI_AFFINITY: _apart,
    IntentClass.SPREAD: _apart,
    IntentClass.QUANTITY: _quantity,
    IntentClass.BALANCE: _balance,
    IntentClass.NETWORK: _network,
    IntentClass.STABILITY: _stability,
    IntentClass.NOISE: _noise,
    IntentClass.COST: _cost,
    IntentClass.ENERGY: _energy,
}

"""What each class of intent says of each node: 0 (worst) to 1 (best), NaN where unknown."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from moorage_policies.hints.canonical import free_of, turned
from moorage_policies.hints.intent import ANY, SELF, Intent, IntentClass, Op, Quantity, Sign
from moorage_policies.hints.measures import amount_of, satisfaction, stretched, used_ratios
from moorage_policies.hints.memory import HintMemory
from moorage_policies.hints.node_match import (
    accelerator_mask,
    domain_codes,
    label_mask,
    label_numbers,
)
from moorage_policies.hints.pod_match import by_domain, counts_of
from moorage_policies.hints.signals import Signals
from moorage_policies.state import ABSENT, Snapshot
from moorage_policies.types import BoolArray, FloatArray, IntArray, Pod

PRICE_LABEL = "moorage.dev/usd-per-hour"
"""Label of nodes that tells their price."""
POWER_LABEL = "moorage.dev/watts"
"""Label of nodes that tells what they draw."""
_MS_PER_S = 1000.0
_LONGEST_MS = 1e9
_NEARNESS = (("region", 0.3), ("zone", 0.6), ("rack", 0.8), ("switch", 0.85), ("nvlink", 0.9))
"""How near a shared domain brings two nodes; the same node is 1, nothing shared 0."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a scorer looks at: pod, cluster, candidate rows, measured facts, what it said before."""

    pod: Pod
    snapshot: Snapshot
    at: IntArray | slice
    signals: Signals
    memory: HintMemory

    @property
    def rows(self) -> IntArray:
        """Return the rows of the candidates."""
        rows: IntArray = np.arange(len(self.snapshot.nodes), dtype=np.int64)[self.at]
        return rows


Scored = tuple[FloatArray | None, str]
"""Score of each candidate, ``None`` if it cannot tell them apart; what it looked at."""


def _of_candidates(every: Scored, view: View) -> Scored:
    """Return what is said of every node for the candidates alone."""
    score, reason = every
    return None if score is None else score[view.at], reason


def _by_mask(mask: BoolArray | None, intent: Intent) -> Scored:
    target = intent.target or ""
    if mask is None:
        return None, f"no node tells whether it is {target}"
    wished = mask if intent.sign is Sign.PREFER else ~mask
    verb = "are" if intent.sign is Sign.PREFER else "are not"
    return wished.astype(np.float64), f"{int(wished.sum())} of {len(mask)} nodes {verb} {target}"


def _accelerator(intent: Intent, view: View) -> Scored:
    target, snapshot = intent.target or "", view.snapshot
    every = view.memory.by_table(
        ("accelerator", target, intent.sign),
        snapshot,
        lambda: _by_mask(accelerator_mask(target, snapshot), intent),
    )
    return _of_candidates(every, view)


def _node_label(intent: Intent, view: View) -> Scored:
    target, snapshot = intent.target or "", view.snapshot
    every = view.memory.by_table(
        ("label", target, intent.sign),
        snapshot,
        lambda: _by_mask(label_mask(target, snapshot), intent),
    )
    return _of_candidates(every, view)


def _domain_counts(intent: Intent, view: View) -> tuple[FloatArray | None, str]:
    target = intent.target or SELF
    counts = counts_of(target, view.pod, view.snapshot, view.memory)
    if counts is None:
        return None, f"no {target} pod runs"
    held = by_domain(counts, intent.topology_key, view.snapshot.table)
    return held[view.at], f"{target} pods per {intent.topology_key}"


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
    if quantity.resource == "bandwidth":
        have = amount_of(quantity, view.snapshot, view.signals)
    else:
        have = _by_row(quantity, view)
    if have is None:
        return None, f"no node tells its {quantity.resource}"
    if quantity.value is None or quantity.resource == "bandwidth":
        return _satisfied(quantity, have[view.at])
    return have[view.at], _told(quantity)


def _by_row(quantity: Quantity, view: View) -> FloatArray | None:
    """Return how well each node meets a bound, or how much it has where the most is wished."""
    snapshot, signals = view.snapshot, view.signals

    def work_out(rows: IntArray | None) -> FloatArray:
        have = amount_of(quantity, snapshot, signals, rows)
        if have is None:
            return np.full(len(snapshot.nodes) if rows is None else len(rows), np.nan)
        return have if quantity.value is None else satisfaction(quantity, have)

    found = view.memory.by_row(("amount", quantity, snapshot.resources), snapshot, work_out)
    untold = len(found) > 0 and bool(np.isnan(found[0])) and bool(np.isnan(found).all())
    return None if untold else found


def _wished(intent: Intent) -> Quantity | None:
    if intent.quantity is None:
        return None
    return free_of(turned(intent.quantity) if intent.sign is Sign.AVOID else intent.quantity)


def _satisfied(quantity: Quantity, have: FloatArray) -> Scored:
    """Return how well the amounts of candidates meet a wish; superlatives compare them."""
    return satisfaction(quantity, have), _told(quantity)


def _told(quantity: Quantity) -> str:
    bound = "" if quantity.value is None else f" {quantity.value:g} {quantity.unit}"
    measure = "" if quantity.resource in _OWN_MEASURE else f"{quantity.measure.casefold()} "
    return f"{measure}{quantity.resource} {quantity.op}{bound}"


_OWN_MEASURE = {"age", "price", "power", "latency"}


def _balance(_intent: Intent, view: View) -> Scored:
    """Return 1 less the spread between used shares of CPU, memory and GPUs, the pod placed."""
    snapshot = view.snapshot
    demand = snapshot.demand_of(view.pod)
    key = ("balance", snapshot.resources, None if demand is None else demand.tobytes())
    balanced = view.memory.by_row(key, snapshot, lambda rows: _alike(snapshot, demand, rows))
    return balanced[view.at], "used shares of CPU, memory and GPUs stay alike"


def _alike(snapshot: Snapshot, demand: IntArray | None, rows: IntArray | None) -> FloatArray:
    ratios = used_ratios(snapshot, rows)
    if demand is not None:
        columns = [snapshot.resources.index(r) for r in _BALANCED if r in snapshot.resources]
        offered = snapshot.allocatable if rows is None else snapshot.allocatable[rows]
        total = np.maximum(offered[:, columns].astype(np.float64), 1.0)
        ratios = np.clip(ratios + demand[columns] / total, 0.0, 1.0)
    known = np.isfinite(ratios)
    filled = np.where(known, ratios, 0.0)
    number = np.maximum(known.sum(axis=1), 1)
    mean = filled.sum(axis=1) / number
    variance = (np.where(known, (ratios - mean[:, None]) ** 2, 0.0)).sum(axis=1) / number
    alike: FloatArray = 1.0 - np.sqrt(variance)
    return alike


_BALANCED = ("cpu", "memory", "nvidia.com/gpu")


def _network(intent: Intent, view: View) -> Scored:
    target = intent.target or SELF
    goal = _goal(target, view)
    if goal is None:
        return None, f"nothing is known of where {target} is"
    if view.signals.rtt_ms is not None:
        rtt_ms = _mean_rtt_ms(view.signals.rtt_ms, goal)[view.at]
        if np.isfinite(rtt_ms).any():
            quantity = intent.quantity or Quantity("latency", Op.LEAST)
            return _satisfied(quantity, rtt_ms / _MS_PER_S)
    there, places = goal > 0, view.signals.places
    if places is not None:
        return _shared_levels(there, places)[view.at], f"network levels shared with {target}"
    near = view.memory.by_table(
        ("near", there.tobytes()), view.snapshot, lambda: _shared_domains(there, view.snapshot)
    )
    return near[view.at], f"domains shared with {target}"


def _shared_levels(there: BoolArray, places: IntArray) -> FloatArray:
    """Return how deep the level is that a node shares with the target, the same node 1."""
    near = np.zeros(len(there))
    levels = places.shape[1]
    for level in range(levels):
        near = np.where(_in_held(places[:, level], there), (level + 1) / (levels + 1), near)
    return np.where(there, 1.0, near)


def _in_held(codes: IntArray, there: BoolArray) -> BoolArray:
    """Return which nodes are in a domain that holds one of those."""
    held = np.zeros(int(codes.max(initial=0)) + 2, dtype=np.bool_)
    held[codes[there]] = True
    held[ABSENT] = False  # the last one: nodes of no domain share none
    inside: BoolArray = held[codes]
    return inside


def _goal(target: str, view: View) -> FloatArray | None:
    """Return how much of the target sits on each node, shape ``(nodes,)``."""
    if target.startswith(("zone=", "region=", "rack=", "hostname=", "switch=")):
        mask = label_mask(target, view.snapshot)
        return None if mask is None or not mask.any() else mask.astype(np.float64)
    if target == ANY and view.signals.rtt_ms is None:
        return None
    if target == ANY:
        return np.ones(len(view.snapshot.nodes))
    return counts_of(target, view.pod, view.snapshot, view.memory)


def _mean_rtt_ms(rtt_ms: FloatArray, goal: FloatArray) -> FloatArray:
    rtt_ms = np.clip(rtt_ms[:, goal > 0], 0.0, _LONGEST_MS)
    known = np.isfinite(rtt_ms)
    weights = known * goal[goal > 0]
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = (np.where(known, rtt_ms, 0.0) * weights).sum(axis=1)
        return np.where(total > 0, sums / total, np.nan)


def _shared_domains(there: BoolArray, snapshot: Snapshot) -> FloatArray:
    near = np.zeros(len(there))
    for key, score in _NEARNESS:
        codes = domain_codes(snapshot.table, key)
        if codes is not None:
            near = np.where(_in_held(codes, there), score, near)
    return np.where(there, 1.0, near)


def _stability(intent: Intent, view: View) -> Scored:
    age_s, snapshot = _ages_s(view), view.snapshot
    quantity = _wished(intent)
    if age_s is not None and quantity is not None:
        return _satisfied(quantity, age_s[view.at])
    ready = view.memory.by_table("ready", snapshot, lambda: _ready(snapshot))[view.at]
    old = intent.sign is Sign.PREFER
    if age_s is None:
        unclear = bool(ready.all()) or not old or quantity is not None
        return (None, "ages of nodes are unknown") if unclear else (ready, "nodes that are ready")
    score = stretched(np.log1p(np.maximum(age_s[view.at], 0.0)), more_is_better=old)
    return score * ready, "age of nodes, if ready"


def _ages_s(view: View) -> FloatArray | None:
    signals, snapshot = view.signals, view.snapshot
    if signals.age_s is not None or signals.now_s is None:
        return signals.age_s

    def work_out(rows: IntArray | None) -> FloatArray:
        nodes = snapshot.nodes if rows is None else [snapshot.nodes[row] for row in rows.tolist()]
        return np.array([node.created_s for node in nodes], dtype=np.float64)

    created_s = view.memory.by_row("created", snapshot, work_out)
    known = created_s > 0
    return np.where(known, signals.now_s - created_s, np.nan) if known.any() else None


def _ready(snapshot: Snapshot) -> FloatArray:
    return np.array([node.ready for node in snapshot.nodes], dtype=np.float64)


def _noise(_intent: Intent, view: View) -> Scored:
    noise, opinion = view.signals.noise_ratio, view.signals.peace_of
    snapshot = view.snapshot
    quiet = None if noise is None else 1.0 - noise[view.at]
    peace = None if opinion is None else opinion(view.pod, snapshot, view.rows)
    if quiet is not None and peace is not None:
        return (quiet + peace) / 2, "measured use, and what workload classes lose to each other"
    if peace is not None:
        return peace, "what workload classes lose to each other"
    if quiet is not None:
        return quiet, "measured use of the busiest resource"
    key = ("quiet", snapshot.resources)
    free = view.memory.by_row(key, snapshot, lambda rows: _left_free(snapshot, rows))
    return free[view.at], "share of the busiest resource that others leave free"


def _left_free(snapshot: Snapshot, rows: IntArray | None) -> FloatArray:
    ratios = used_ratios(snapshot, rows)
    free: FloatArray = 1.0 - np.where(np.isfinite(ratios), ratios, 0.0).max(axis=1)
    return free


def _cost(intent: Intent, view: View) -> Scored:
    price = _labelled(PRICE_LABEL, view.signals.price_usd_per_h, view)
    if price is not None:
        return _satisfied(_wished(intent) or Quantity("price", Op.LEAST), price[view.at])
    spot = label_mask("spot", view.snapshot)
    if spot is None or intent.quantity is not None:
        return None, f"prices of nodes are unknown; label nodes with {PRICE_LABEL}"
    return spot[view.at].astype(np.float64), "spot nodes cost less"


def _energy(intent: Intent, view: View) -> Scored:
    power, opinion = _labelled(POWER_LABEL, view.signals.power_w, view), view.signals.frugality_of
    quantity = _wished(intent)
    if power is None and quantity is None and opinion is not None:
        frugal = opinion(view.pod, view.snapshot, view.rows)
        if frugal is not None:
            return frugal, "energy by accelerator class, as the policy tells it"
    if power is None:
        return None, f"power of nodes is unknown; label nodes with {POWER_LABEL}"
    if quantity is not None and quantity.value is not None and quantity.unit is not None:
        return _satisfied(quantity, power[view.at])
    return _satisfied(Quantity("power", Op.LEAST), power[view.at])


def _labelled(key: str, measured: FloatArray | None, view: View) -> FloatArray | None:
    """Return what labels say of each node, else what is measured; NaN where nobody says."""
    table = view.snapshot.table
    told = view.memory.by_table(("number", key), view.snapshot, lambda: label_numbers(key, table))
    if told is None or measured is None:
        return measured if told is None else told
    return np.where(np.isnan(told), measured, told)


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


def rests_on(intent: Intent, pod: Pod) -> Hashable:
    """Return all of the pod that the intent's score depends on."""
    if intent.kind is IntentClass.BALANCE:
        return frozenset(pod.requests.items())
    if intent.kind is IntentClass.SPREAD or intent.target == SELF:
        return pod.namespace, frozenset(pod.labels.items())
    return pod.namespace


def rests_on_snapshot(intent: Intent, signals: Signals) -> bool:
    """Return whether the score of a node is the same among whatever candidates."""
    quantity = intent.quantity
    if intent.kind is IntentClass.QUANTITY:
        return quantity is None or (quantity.value is not None and quantity.resource != "bandwidth")
    if intent.kind is IntentClass.NETWORK:
        return signals.rtt_ms is None and signals.places is None
    if intent.kind is IntentClass.NOISE:
        return signals.noise_ratio is None and signals.peace_of is None
    return intent.kind not in {IntentClass.STABILITY, IntentClass.COST, IntentClass.ENERGY}

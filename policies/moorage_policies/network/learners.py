"""Model families: each learns from a table of trials the three pieces that a model is made of.

Only order within a decision matters for placement, so durations are compared with the mean of their
own decision wherever a job was run on several nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moorage_policies.errors import UnavailableError
from moorage_policies.network import features
from moorage_policies.network.formula import (
    Formula,
    Ways,
    expect_s,
    find_ways,
    join_ways,
    select_ways,
)
from moorage_policies.network.learn_formula import learn_constants
from moorage_policies.network.model import INPUTS, LEAST_COST_S, encode, estimate, log_of
from moorage_policies.network.runs import Trial
from moorage_policies.network.trees import LEAF, MAX_LEAVES, Forest, Tree
from moorage_policies.types import BoolArray, FloatArray, IntArray

KNOWN_SHARE = 0.98
STEPS = 8
PULL = 0.02
BOOSTED_TREES, BOOSTED_LEAVES, LEARNING_RATE = 120, 8, 0.05
BAGGED_TREES = 100
MOST_ROWS = 6000
"""Candidates that the formula's few constants are found from; more would add little."""

HELD_OUT = 4
"""Every so many-th decision tells how far trees are believed."""
LEAST_BELIEF = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Trials as rows, one a candidate.

    Args:
        trials: the trials that rows come from.
        group: trial of each row, shape ``(rows,)``.
        seconds: costs, shape ``(rows, costs)``.
        traits: shape ``(rows, traits)``.
        duration_s: measured, shape ``(rows,)``.
        ways: to the peers.
    """

    trials: tuple[Trial, ...]
    group: IntArray
    seconds: FloatArray
    traits: FloatArray
    duration_s: FloatArray
    ways: Ways

    @property
    def log_s(self) -> FloatArray:
        """Return the logarithm of durations."""
        return np.log(self.duration_s)

    def part(self, chosen: BoolArray | IntArray) -> Table:
        """Return some of the rows; trials keep their numbers."""
        return Table(
            self.trials,
            self.group[chosen],
            self.seconds[chosen],
            self.traits[chosen],
            self.duration_s[chosen],
            select_ways(self.ways, chosen),
        )

    def rows_by_trial(self) -> Iterator[IntArray]:
        """Yield the rows of each trial."""
        order = np.argsort(self.group, kind="stable")
        ends = np.cumsum(np.bincount(self.group, minlength=len(self.trials)))
        yield from np.split(order, ends[:-1])

    def centred(self, values: FloatArray) -> FloatArray:
        """Return what rows differ from the mean of their trial, lone ones from the mean of all."""
        count = np.bincount(self.group, minlength=len(self.trials))
        flat = values.reshape(len(values), -1)
        sums = np.stack([np.bincount(self.group, column, len(count)) for column in flat.T], axis=1)
        means = (sums / np.maximum(count, 1)[:, None])[self.group]
        lone = count[self.group] == 1
        if lone.any():
            means[lone] = flat[lone].mean(axis=0)
        return (flat - means).reshape(values.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """What a family learns; see ``Model``."""

    cost_weights: FloatArray
    slopes: FloatArray
    trees: tuple[Tree, ...] = ()
    formula: Formula | None = None

    def estimate(self, table: Table) -> FloatArray:
        """Return what costs or the formula say, logarithm of seconds, shape ``(rows,)``."""
        if self.formula is None:
            return estimate(table.seconds, self.cost_weights)
        return log_of(expect_s(self.formula, table.ways))


def make_table(trials: Sequence[Trial]) -> Table:
    """Return the rows of all trials whose durations can be used."""
    usable = tuple(
        trial
        for trial in trials
        if len(trial.rows) and np.isfinite(trial.duration_s).all() and (trial.duration_s > 0).all()
    )
    if not usable:
        nothing = np.zeros((0, 0))
        return Table((), np.zeros(0, dtype=np.int64), nothing, nothing, np.zeros(0), join_ways(()))
    return Table(
        usable,
        np.repeat(np.arange(len(usable)), [len(trial.rows) for trial in usable]),
        np.concatenate([features.costs(t.view, t.job, t.rows) for t in usable]),
        np.concatenate([features.traits(t.view, t.job, t.rows) for t in usable]),
        np.concatenate([trial.duration_s for trial in usable]),
        join_ways([find_ways(t.view, t.job, t.rows) for t in usable]),
    )


def learn_nearest(_table: Table, _seed: int) -> Pieces:
    """Return the rule that the shortest mean round trip wins."""
    slopes = np.zeros(len(INPUTS))
    slopes[INPUTS.index("rtt-mean")] = 1.0
    return Pieces(np.zeros(len(features.COSTS)), slopes)


def learn_costs(table: Table, _seed: int) -> Pieces:
    """Return weights from 0 up under which costs add up to durations."""
    usable = np.isfinite(table.seconds).mean(axis=0) >= KNOWN_SHARE
    rows = np.logical_and.reduce(np.isfinite(table.seconds[:, usable]), axis=1)
    part = table.part(rows)
    scale = part.seconds[:, usable].mean(axis=0) + 1e-9
    seconds = part.seconds[:, usable] / scale
    weights = _positive(seconds / part.duration_s[:, None], np.ones(len(seconds))) + 1e-6
    for _ in range(STEPS):  # Gauss-Newton on log durations within each decision
        total = np.maximum(seconds @ weights, LEAST_COST_S)
        slope = part.centred(seconds / total[:, None])
        wanted = part.centred(part.log_s - np.log(total)) + slope @ weights
        # a pull towards the last weights: within decisions their common factor is free
        pull = np.diag(PULL * np.sqrt(len(seconds)) / (weights + 0.3 * weights.mean()))
        weights = _positive(np.concatenate((slope, pull)), np.concatenate((wanted, pull @ weights)))
        weights += 1e-9
    weights[weights < 1e-6 * weights.max()] = 0.0
    full = np.zeros(len(features.COSTS))
    full[usable] = weights / scale
    return Pieces(full, np.zeros(len(INPUTS)))


def learn_ridge(table: Table, _seed: int) -> Pieces:
    """Return slopes of a ridge regression of log durations on all inputs."""
    none = np.zeros(len(features.COSTS))
    inputs = _without_estimate(table)
    known, rows = _known(inputs)
    part = table.part(rows)
    apart = part.centred(inputs[rows][:, known])
    scale = apart.std(axis=0)
    scale[scale < 1e-9] = np.inf  # noqa: PLR2004 - tells nothing apart
    apart = apart / scale
    gram = apart.T @ apart + 1e-2 * len(apart) * np.eye(apart.shape[1])
    slopes = np.zeros(len(INPUTS))
    slopes[known] = np.linalg.solve(gram, apart.T @ part.centred(part.log_s)) / scale
    return Pieces(none, slopes)


def learn_boosting(table: Table, seed: int) -> Pieces:
    """Return boosted trees on log durations."""
    none = np.zeros(len(features.COSTS))
    trees = _boost(table, _without_estimate(table), table.log_s, seed)
    return Pieces(none, np.zeros(len(INPUTS)), trees)


def learn_formula(table: Table, seed: int) -> Pieces:
    """Return the formula with the constants that suit the runs."""
    part = _some(table, seed)
    solve = _library("scipy.optimize").least_squares
    formula = learn_constants(part.ways, part.log_s, part.centred, solve)
    return Pieces(np.zeros(len(features.COSTS)), np.zeros(len(INPUTS)), (), formula)


def learn_boosted_formula(table: Table, seed: int, whole: Pieces | None = None) -> Pieces:
    """Return the formula, and boosted trees on what it leaves unexplained.

    How far the trees are believed is what they explain of decisions that they have not seen.

    Args:
        table: the runs.
        seed: of the trees.
        whole: the formula of these runs, if it has been learned already.
    """
    whole = whole or learn_formula(table, seed)
    kept = table.group % HELD_OUT != 0
    if not kept.any() or kept.all():
        return whole
    first = learn_formula(table.part(kept), seed)
    trees = _boost_rest(table.part(kept), first, seed)
    belief = _belief(table.part(~kept), first, trees)
    if belief < LEAST_BELIEF:
        return whole
    believed = tuple(
        replace(tree, value=belief * tree.value) for tree in _boost_rest(table, whole, seed)
    )
    return replace(whole, trees=believed)


def _boost_rest(table: Table, pieces: Pieces, seed: int) -> tuple[Tree, ...]:
    estimated = pieces.estimate(table)
    inputs = encode(table.seconds, table.traits, estimated)
    return _boost(table, inputs, table.log_s - np.nan_to_num(estimated), seed)


def _belief(table: Table, pieces: Pieces, trees: tuple[Tree, ...]) -> float:
    """Return the share, 0 to 1, of the trees' word that makes the least error on these rows."""
    estimated = pieces.estimate(table)
    inputs = np.nan_to_num(encode(table.seconds, table.traits, estimated))
    told = table.centred(Forest(trees, len(INPUTS)).predict(inputs))
    left = table.centred(table.log_s - np.nan_to_num(estimated))
    total = float(told @ told)
    return float(np.clip(told @ left / total, 0.0, 1.0)) if total > 0 else 0.0


def _some(table: Table, seed: int) -> Table:
    """Return whole trials of the table, drawn until there are ``MOST_ROWS``."""
    if len(table.group) <= MOST_ROWS:
        return table
    order = np.random.default_rng(seed).permutation(len(table.trials))
    count = np.bincount(table.group, minlength=len(table.trials))[order]
    drawn = np.zeros(len(order), dtype=bool)
    drawn[order[np.cumsum(count) <= MOST_ROWS]] = True
    return table.part(drawn[table.group])


def _without_estimate(table: Table) -> FloatArray:
    return encode(table.seconds, table.traits, np.full(len(table.group), np.nan))


def learn_forest(table: Table, seed: int) -> Pieces:
    """Return a random forest on log durations."""
    ensemble = _library("sklearn.ensemble")
    none = np.zeros(len(features.COSTS))
    inputs = _without_estimate(table)
    known, rows = _known(inputs)
    part = table.part(rows)
    forest = ensemble.RandomForestRegressor(
        BAGGED_TREES,
        max_leaf_nodes=MAX_LEAVES,
        max_features=1 / 3,
        min_samples_leaf=3,
        max_samples=0.7,
        random_state=seed,
    ).fit(inputs[rows][:, known], part.centred(part.log_s))
    names = np.flatnonzero(known)
    trees = tuple(_from_sklearn(tree.tree_, names) for tree in forest.estimators_)
    return Pieces(none, np.zeros(len(INPUTS)), trees)


FAMILIES: Mapping[str, Callable[[Table, int], Pieces]] = {
    "nearest-rtt": learn_nearest,
    "costs": learn_costs,
    "formula": learn_formula,
    "ridge": learn_ridge,
    "boosted-formula": learn_boosted_formula,
    "boosting": learn_boosting,
    "forest": learn_forest,
}


def learn(family: str, table: Table, seed: int, known: Mapping[str, Pieces]) -> Pieces:
    """Return what a family learns, less what simpler ones learned from the same table already."""
    if family == "boosted-formula":
        return learn_boosted_formula(table, seed, known.get("formula"))
    return FAMILIES[family](table, seed)


def _known(inputs: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Return the columns that are nearly always known, and the rows that know all of them."""
    columns = np.isfinite(inputs).mean(axis=0) >= KNOWN_SHARE
    return columns, np.logical_and.reduce(np.isfinite(inputs[:, columns]), axis=1)


def _boost(table: Table, inputs: FloatArray, target: FloatArray, seed: int) -> tuple[Tree, ...]:
    lightgbm = _library("lightgbm")
    known, rows = _known(inputs)
    part = table.part(rows)
    params = {
        "objective": "regression",
        "num_leaves": BOOSTED_LEAVES,
        "learning_rate": LEARNING_RATE,
        "min_data_in_leaf": 40,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "feature_fraction": 0.5,
        "lambda_l2": 5.0,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(inputs[rows][:, known], part.centred(target[rows]), free_raw_data=True)
    booster = lightgbm.train(params, data, BOOSTED_TREES)
    names = np.flatnonzero(known)
    return tuple(
        _from_lightgbm(tree["tree_structure"], names) for tree in booster.dump_model()["tree_info"]
    )


def _positive(matrix: FloatArray, wanted: FloatArray) -> FloatArray:
    linear = _library("sklearn.linear_model")
    fitted = linear.LinearRegression(positive=True, fit_intercept=False).fit(matrix, wanted)
    weights: FloatArray = fitted.coef_
    return weights


def _from_sklearn(found: Any, names: IntArray) -> Tree:  # noqa: ANN401 - no types there
    leaf = found.children_left < 0
    return Tree(
        np.where(leaf, LEAF, names[np.maximum(found.feature, 0)]),
        np.where(leaf, 0.0, found.threshold),
        np.where(leaf, 0, found.children_left),
        np.where(leaf, 0, found.children_right),
        np.where(leaf, found.value[:, 0, 0], 0.0) / BAGGED_TREES,
    )


def _from_lightgbm(root: Mapping[str, Any], names: IntArray) -> Tree:
    nodes: list[tuple[int, float, int, int, float]] = []
    waiting: list[tuple[Mapping[str, Any], int, int]] = [(root, -1, 0)]
    while waiting:
        node, parent, side = waiting.pop()
        here = len(nodes)
        if parent >= 0:
            feature, threshold, left, right, value = nodes[parent]
            children = (here, right) if side == 0 else (left, here)
            nodes[parent] = (feature, threshold, *children, value)
        if "split_feature" in node:
            nodes.append((int(names[node["split_feature"]]), float(node["threshold"]), 0, 0, 0.0))
            waiting += [(node["right_child"], here, 1), (node["left_child"], here, 0)]
        else:
            nodes.append((LEAF, 0.0, 0, 0, float(node["leaf_value"])))
    columns = list(zip(*nodes, strict=True))
    return Tree(
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=np.float64),
        np.array(columns[2], dtype=np.int64),
        np.array(columns[3], dtype=np.int64),
        np.array(columns[4], dtype=np.float64),
    )


def _library(name: str) -> Any:  # noqa: ANN401 - optional, without types
    """Return a model library.

    Raises:
        UnavailableError: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise UnavailableError(
            f"training needs {name.split('.', maxsplit=1)[0]}; install moorage[train]"
        ) from error

from __future__ import annotations

import numpy as np
import pytest

from moorage_policies.network.fit import Training, train
from moorage_policies.network.runs import Trial
from moorage_policies.network.simulator import Noise, simulate
from moorage_policies.network.worlds import shaped_sites

NODES = 8


def simulated(seed: int, conditions: int, nodes: int = NODES) -> list[Trial]:
    chance = np.random.default_rng(seed)
    return simulate(chance, shaped_sites(chance, nodes, conditions), Noise())


@pytest.fixture(scope="session")
def trials() -> list[Trial]:
    """Trials of one world: the first 80 train, the others were never seen."""
    return simulated(11, 70)


@pytest.fixture(scope="session")
def training(trials: list[Trial]) -> Training:
    return train(trials[:80], seed=1, families=("nearest-rtt", "costs", "boosted-formula"))

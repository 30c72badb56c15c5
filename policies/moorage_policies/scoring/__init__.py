"""Preferences: which of the feasible nodes a pod should go to."""

from moorage_policies.scoring.energy import Draw, Energy
from moorage_policies.scoring.fairness import Fairness, disruptions_in, weigh_disruptions
from moorage_policies.scoring.fragmentation import Fragmentation
from moorage_policies.scoring.heterogeneity import Heterogeneity
from moorage_policies.scoring.hints import HintedNodes
from moorage_policies.scoring.interference import Interference
from moorage_policies.scoring.load import Load
from moorage_policies.scoring.mix import MixLearner, RequestMix, Shape, mix_from
from moorage_policies.scoring.network import NetworkNodes
from moorage_policies.scoring.ranking import (
    DEFAULT_WEIGHTS,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    MAX_SCORE,
    Form,
    Ranker,
    Ranking,
    RankingParams,
    Scorer,
    WeightOverride,
)

__all__ = [
    "DEFAULT_WEIGHTS",
    "HIGHEST_PRIORITY",
    "LOWEST_PRIORITY",
    "MAX_SCORE",
    "Draw",
    "Energy",
    "Fairness",
    "Form",
    "Fragmentation",
    "Heterogeneity",
    "HintedNodes",
    "Interference",
    "Load",
    "MixLearner",
    "NetworkNodes",
    "Ranker",
    "Ranking",
    "RankingParams",
    "RequestMix",
    "Scorer",
    "Shape",
    "WeightOverride",
    "disruptions_in",
    "mix_from",
    "weigh_disruptions",
]

"""Preferences: which of the feasible nodes a pod should go to."""

from moorage_policies.scoring.fragmentation import Fragmentation
from moorage_policies.scoring.hints import HintedNodes
from moorage_policies.scoring.mix import MixLearner, RequestMix, Shape, mix_from
from moorage_policies.scoring.ranking import (
    DEFAULT_WEIGHTS,
    MAX_SCORE,
    Form,
    Ranker,
    Ranking,
    RankingParams,
    Scorer,
)

__all__ = [
    "DEFAULT_WEIGHTS",
    "MAX_SCORE",
    "Form",
    "Fragmentation",
    "HintedNodes",
    "MixLearner",
    "Ranker",
    "Ranking",
    "RankingParams",
    "RequestMix",
    "Scorer",
    "Shape",
    "mix_from",
]

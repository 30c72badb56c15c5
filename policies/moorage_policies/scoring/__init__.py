"""Preferences: which of the feasible nodes a pod should go to."""

from moorage_policies.scoring.fragmentation import stranded, stranded_delta
from moorage_policies.scoring.hints import HintedNodes
from moorage_policies.scoring.mix import MixLearner, RequestMix, mix_from
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
    "HintedNodes",
    "MixLearner",
    "Ranker",
    "Ranking",
    "RankingParams",
    "RequestMix",
    "Scorer",
    "mix_from",
    "stranded",
    "stranded_delta",
]

"""What every handler is given."""

from __future__ import annotations

from dataclasses import dataclass

from moorage_cluster.endpoint import Credentials
from moorage_operator.services.view import ClusterView


@dataclass(frozen=True, slots=True)
class Memo:
    """The view that handlers write to, and the credentials that kopf logs in with."""

    view: ClusterView
    credentials: Credentials

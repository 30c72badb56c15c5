"""What the planner said of each pod, for the preempt verb and for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from moorage_crds.names import SCHEDULER_NAME
from moorage_policies.packing.translate import why_unsupported
from moorage_policies.planning.answer import Word
from moorage_policies.preemption.victims import PlannerWord
from moorage_policies.types import Pod


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: the word, and the same for people."""

    word: Word
    message: str


class Answers:
    """The last word on each waiting pod; nobody waits for a planner that does not plan."""

    __slots__ = ("_said", "_vetoed", "enabled")

    def __init__(self) -> None:
        self.enabled = False
        self._said: dict[str, Said] = {}
        self._vetoed: set[str] = set()

    def word_for(self, pod: Pod) -> PlannerWord:
        """Return what preempt has to know: serving, declined, or silent while it still thinks."""
        if not self.enabled or pod.scheduler != SCHEDULER_NAME or why_unsupported(pod):
            return "declined"
        said = self._said.get(pod.uid)
        if said is None:
            return "silent"
        return "serving" if said.word == "Planned" else "declined"

    def find(self, uid: str) -> Said | None:
        """Return what was said of a pod last."""
        return self._said.get(uid)

    def say(self, uid: str, said: Said) -> bool:
        """Keep an answer; return whether it is news."""
        known = self._said.get(uid)
        self._said[uid] = said
        return known != said

    def forget(self, uid: str) -> None:
        """Take back what was said of a pod: it is looked at anew."""
        self._said.pop(uid, None)

    def keep_only(self, waiting: Collection[str], pending: Collection[str]) -> None:
        """Forget pods that do not wait any more.

        Args:
            waiting: pods that are known to fit nowhere, by UID.
            pending: pods without a node. The scheduler tells of a failure after it asked about
                victims: a pod that was held back is not yet among those that wait.
        """
        self._said = {uid: said for uid, said in self._said.items() if uid in waiting}
        self._vetoed = {uid for uid in self._vetoed if uid in pending}

    def note_veto(self, uid: str) -> None:
        """Remember that a preemption was held back: the scheduler will not ask again by itself."""
        self._vetoed.add(uid)

    def note_asked(self, uid: str) -> None:
        """Remember that the scheduler has asked about a pod: it was woken."""
        self._vetoed.discard(uid)

    def released(self) -> tuple[str, ...]:
        """Return pods whose preemption was held back, need not be any more, and still sleep."""
        free = (
            uid
            for uid in self._vetoed
            if not self.enabled or (uid in self._said and self._said[uid].word != "Planned")
        )
        return tuple(sorted(free))

    def all(self) -> Mapping[str, Said]:
        """Return every answer, by UID."""
        return self._said

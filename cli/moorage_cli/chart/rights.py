"""The table of what each rule of our accounts is for, out of the manifests' comments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

HEADER = """\
# What each right is for

Written from `cli/moorage_cli/manifests/accounts.yaml` by `make chart`; edit the comments there. The
chart gives its accounts exactly these rules; nobody else gets any. No rule has a wildcard, reads
Secrets, or lets an account extend its own rights.

| account | API group | resources | verbs | what for |
|---|---|---|---|---|
"""

SCHEDULER_RIGHTS = """\

In mode SecondScheduler kube-scheduler shares its pod, and so its account, with the extender. The
chart binds the cluster's own rules for schedulers to that account, so that they follow the
cluster's version, and adds a Role for the Lease:

- ClusterRole `system:kube-scheduler`: what any kube-scheduler does, as reading pods and nodes,
  binding, evicting by preemption and writing events.
- ClusterRole `system:volume-scheduler`: volumes of pods that wait for their first consumer.
- Role `extension-apiserver-authentication-reader` in `kube-system`: who asks for its metrics.
- Role `<release>-scheduler-lease`: leader election by one Lease; create cannot be limited by name.

People get no right but by `<release>-viewer` and `<release>-editor` (pools; part of the cluster's
view, edit and admin roles unless `rbac.aggregate` is off) and `<release>-placement-viewer` and
`<release>-placement-editor` (policies and plans; bind them yourself). `moorage-installation` has no
rules: it is the object that a second release finds in its way.
"""


@dataclass(frozen=True, slots=True)
class Right:
    """One rule and why it is there."""

    account: str
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    reason: str

    def to_row(self) -> str:
        """Return the rule as a row of the table."""
        groups = ", ".join(group or "core" for group in self.groups)
        cells = (self.account, groups, ", ".join(self.resources), ", ".join(self.verbs))
        return f"| {' | '.join(cells)} | {self.reason} |"


def rights_table() -> str:
    """Return the page of the documentation."""
    rows = "\n".join(right.to_row() for right in rights())
    return f"{HEADER}{rows}\n{SCHEDULER_RIGHTS}"


def accounts_text() -> str:
    """Return the manifests as they are shipped, comments included."""
    return files("moorage_cli.manifests").joinpath("accounts.yaml").read_text(encoding="utf-8")


def rights() -> tuple[Right, ...]:
    """Return every rule of every role with the comment above it."""
    documents = accounts_text().split("\n---\n")
    return tuple(right for text in documents for right in _rights_of(text))


def _rights_of(text: str) -> Iterator[Right]:
    document, reason, fresh = yaml.safe_load(text), "", True
    if document is None or "rules" not in document:
        return
    rules = iter(document["rules"])
    for line in text.splitlines():
        if line.startswith("#"):
            words = line.removeprefix("#").strip()
            reason, fresh = (words if fresh else f"{reason} {words}"), False
        elif line.startswith("- "):
            fresh = True
            yield _right(document["metadata"]["name"], next(rules), reason)
        else:
            fresh = True


def _right(account: str, rule: dict[str, Any], reason: str) -> Right:
    names = rule.get("resourceNames", ())
    resources = tuple(rule["resources"])
    if names:
        resources = tuple(f"{resource} ({', '.join(names)})" for resource in resources)
    return Right(account, tuple(rule["apiGroups"]), resources, tuple(rule["verbs"]), reason)

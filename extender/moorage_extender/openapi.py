"""Twins of the wire types for the OpenAPI document; no request ever passes through them."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.json_schema import models_json_schema

REFERENCE = "#/components/schemas/{model}"
KubernetesObject = dict[str, Any]


class _Twin(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class ExtenderArgs(_Twin):
    """A pod and the nodes in question for it."""

    Pod: KubernetesObject
    """core/v1 Pod."""
    Nodes: KubernetesObject | None
    """core/v1 NodeList, with nodeCacheCapable: false."""
    NodeNames: list[str] | None
    """Node names, with nodeCacheCapable: true."""


class ExtenderFilterResult(_Twin):
    """The nodes that pass, in the form in which they came."""

    Nodes: KubernetesObject | None
    NodeNames: list[str] | None
    FailedNodes: dict[str, str]
    """Always empty."""
    FailedAndUnresolvableNodes: dict[str, str]
    """Why each other node is out; evicting pods would not help."""
    Error: str


class HostPriority(_Twin):
    """One node's score."""

    Host: str
    Score: int = Field(ge=0, le=10)


class HostPriorityList(RootModel[list[HostPriority]]):
    """One score for every node of the request, in its order."""


class MetaPod(_Twin):
    """A victim."""

    UID: str


class MetaVictims(_Twin):
    """Victims on one node, by falling priority."""

    Pods: list[MetaPod] | None
    NumPDBViolations: int


class Victims(_Twin):
    """Victims on one node as whole pods."""

    Pods: list[KubernetesObject] | None
    NumPDBViolations: int


class ExtenderPreemptionArgs(_Twin):
    """A pod that fits nowhere and what kube-scheduler would evict for it."""

    Pod: KubernetesObject
    NodeNameToVictims: dict[str, Victims] | None
    NodeNameToMetaVictims: dict[str, MetaVictims] | None


class ExtenderPreemptionResult(_Twin):
    """Whom to evict where; empty is a veto."""

    NodeNameToMetaVictims: dict[str, MetaVictims]


class ExtenderBindingArgs(_Twin):
    """Which pod to bind to which node."""

    PodName: str
    PodNamespace: str
    PodUID: str
    Node: str


class ExtenderBindingResult(_Twin):
    """Whether the pod is bound."""

    Error: str
    """Empty when the pod sits on the node."""


class Rejection(_Twin):
    """Why a request was not answered."""

    error: str
    field: str
    """The field at fault, empty when the whole request is."""


class Operation(NamedTuple):
    """One verb: what it does, takes and answers."""

    summary: str
    request: type[BaseModel]
    answer: type[BaseModel]


OPERATIONS = {
    "filter": Operation(
        "Take out nodes whose room is spoken for", ExtenderArgs, ExtenderFilterResult
    ),
    "prioritize": Operation("Score nodes 0 to 10 for one pod", ExtenderArgs, HostPriorityList),
    "preempt": Operation(
        "Choose whom to evict, or veto", ExtenderPreemptionArgs, ExtenderPreemptionResult
    ),
    "bind": Operation("Bind one pod to one node", ExtenderBindingArgs, ExtenderBindingResult),
}


def describe_verbs(app: FastAPI) -> None:
    """Make the app's OpenAPI document tell what the verbs take and answer."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # the way that FastAPI documents


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    models = {model for one in OPERATIONS.values() for model in (one.request, one.answer)}
    ordered = sorted(models | {Rejection}, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=REFERENCE
    )
    document["components"] = {"schemas": definitions["$defs"]}
    document["paths"] = {f"/{verb}": {"post": _describe(verb)} for verb in OPERATIONS}
    return document


def _describe(verb: str) -> dict[str, Any]:
    operation = OPERATIONS[verb]
    return {
        "operationId": verb,
        "summary": operation.summary,
        "requestBody": {"required": True, **_content(operation.request)},
        "responses": {
            "200": {"description": "Answer", **_content(operation.answer)},
            "400": {"description": "Not what kube-scheduler sends", **_content(Rejection)},
            "413": {"description": "Request larger than allowed", **_content(Rejection)},
        },
    }


def _content(model: type[BaseModel]) -> dict[str, Any]:
    reference = REFERENCE.format(model=model.__name__)
    return {"content": {"application/json": {"schema": {"$ref": reference}}}}

"""The example manifests: taken by the API server and read by the models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage_cli.control_plane.api import ApiClient
from moorage_crds.names import GROUP
from moorage_crds.render import MODELS

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
OTHERS = {
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
}
DOCUMENTS = [
    pytest.param(document, id=f"{path.stem}-{document['kind']}")
    for path in sorted(EXAMPLES.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
OURS = [case for case in DOCUMENTS if case.values[0]["apiVersion"].startswith(GROUP)]
BY_KIND = {resource.kind: resource for resource in MODELS}


def test_there_are_examples_of_what_users_write() -> None:
    kinds = [case.values[0]["kind"] for case in OURS]
    assert kinds.count("GPUInferencePool") >= 3
    assert "PlacementPolicy" in kinds


@pytest.mark.parametrize("document", OURS)
def test_the_models_read_an_example_and_give_it_back(document: dict[str, Any]) -> None:
    model = MODELS[BY_KIND[document["kind"]]]
    assert model.read(document).manifest() == document


@pytest.mark.control_plane
@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_api_server_takes_an_example(api: ApiClient, document: dict[str, Any]) -> None:
    resource = BY_KIND.get(document["kind"])
    path = resource.path("default") if resource else OTHERS[document["kind"]]
    api.raw("POST", path, query={"dryRun": "All", "fieldValidation": "Strict"}, body=document)

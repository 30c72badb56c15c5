"""Wrong values are refused by a message that names the key."""

from __future__ import annotations

import json
import re

import pytest

from moorage_cli.chart.helm import Helm
from moorage_policies.errors import BadInputError


@pytest.mark.parametrize(
    ("key", "value", "where", "what"),
    [
        pytest.param("modus", "Service", "", "modus", id="unknown-key"),
        pytest.param("extender.weigth", 3, "/extender", "weigth", id="unknown-key-inside"),
        pytest.param(
            "extender.settings.verbDeadline", 1, "/extender/settings", "verbDeadline",
            id="unknown-setting",
        ),
        pytest.param(
            "operator.settings.worker", 1, "/operator/settings", "worker", id="setting-of-none"
        ),
        pytest.param("mode", "Sidecar", "/mode", "SecondScheduler", id="unknown-mode"),
        pytest.param("crds.keep", "yes", "/crds/keep", "want boolean", id="text-for-a-switch"),
        pytest.param("scheduler.replicas", 0, "/scheduler/replicas", "minimum", id="no-replicas"),
        pytest.param("scheduler.replicas", "2", "/scheduler/replicas", "want integer", id="text"),
        pytest.param(
            "scheduler.name", "My Scheduler", "/scheduler/name", "pattern", id="no-dns-label"
        ),
        pytest.param(
            "scheduler.percentageOfNodesToScore", 101, "/scheduler/percentageOfNodesToScore",
            "maximum", id="above-100-percent",
        ),
        pytest.param("extender.weight", 0, "/extender/weight", "minimum", id="weight-zero"),
        pytest.param("extender.port", 70000, "/extender/port", "maximum", id="no-port"),
        pytest.param(
            "extender.httpTimeout", "2", "/extender/httpTimeout", "pattern", id="no-unit"
        ),
        pytest.param(
            "extender.image.digest", "sha256:abc", "/extender/image/digest", "pattern",
            id="short-digest",
        ),
        pytest.param(
            "extender.image.pullPolicy", "Sometimes", "/extender/image/pullPolicy", "pattern",
            id="pull-policy",
        ),
        pytest.param(
            "extender.managedResources", [{}], "/extender/managedResources/0", "name",
            id="resource-without-name",
        ),
        pytest.param(
            "extender.resources.requests.cpu", "a lot", "/extender/resources/requests/cpu",
            "pattern", id="no-quantity",
        ),
        pytest.param(
            "extender.settings.verbDeadlineS", 0, "/extender/settings/verbDeadlineS",
            "exclusiveMinimum", id="no-time",
        ),
        pytest.param(
            "extender.settings.rankingForm", "random", "/extender/settings/rankingForm",
            "top-node", id="unknown-form",
        ),
        pytest.param(
            "extender.service.clusterIp", "extender.svc", "/extender/service/clusterIp", "pattern",
            id="name-for-an-address",
        ),
        pytest.param(
            "extender.service.tls.source", "Vault", "/extender/service/tls/source", "CertManager",
            id="unknown-source",
        ),
        pytest.param(
            "operator.settings.workers", 65, "/operator/settings/workers", "maximum",
            id="too-many-workers",
        ),
        pytest.param(
            "operator.podDisruptionBudget.maxUnavailable", 0,
            "/operator/podDisruptionBudget/maxUnavailable", "minimum", id="undrainable",
        ),
        pytest.param(
            "global.imagePullSecrets", ["name"], "/global/imagePullSecrets/0", "want object",
            id="bare-secret-name",
        ),
        pytest.param(
            "admission.requireScheduler", "Maybe", "/admission/requireScheduler", "Deny",
            id="unknown-strictness",
        ),
        pytest.param(
            "admission.reservedPriorities", [{"name": "high"}],
            "/admission/reservedPriorities/0", "namespaces", id="reserved-for-whom",
        ),
        pytest.param(
            "networkPolicy.apiServerPorts", [0], "/networkPolicy/apiServerPorts/0", "minimum",
            id="port-zero",
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_name(
    helm: Helm, key: str, value: object, where: str, what: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        helm.template(settings={key: json.dumps(value)})
    message = str(refused.value)
    assert f"at '{where}'" in message
    assert what in message


def test_service_mode_with_existing_secrets_needs_their_name(helm: Helm) -> None:
    settings = {"mode": '"Service"', "extender.service.tls.source": '"Secret"'}
    with pytest.raises(BadInputError, match=r"extender\.service\.tls\.serverSecret: name the Sec"):
        helm.template(settings=settings)


@pytest.mark.parametrize("version", ["1.33.0", "1.33.4-eks-113cf36", "1.37.1", "1.34.2+k3s1"])
def test_supported_versions_render_whatever_the_vendor_appends(helm: Helm, version: str) -> None:
    rendered = helm.template(kubernetes=version)
    image = re.search(r"image: registry\.k8s\.io/kube-scheduler:(.*)", rendered)
    assert image is not None
    assert image[1] == f"v{re.split('[-+]', version)[0]}"


def test_an_old_cluster_is_refused(helm: Helm) -> None:
    with pytest.raises(BadInputError, match=r"requires kubeVersion: >=1\.33\.0-0"):
        helm.template(kubernetes="1.32.9")

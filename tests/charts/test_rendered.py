"""What the rendered objects promise, whatever their text."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moorage_cli.chart.helm import Helm
from moorage_cli.installation import EXTENDER_WEIGHT, scheduler_config
from moorage_cli.manifests import read_manifests
from moorage_crds.names import SCHEDULER_NAME
from moorage_crds.render import crd_manifests
from moorage_extender.config import Settings
from moorage_extender.probe.settings import ProbeSettings
from moorage_operator.config import OperatorConfig

SERVICE = {"mode": '"Service"'}
SECRET = {
    **SERVICE,
    "extender__service__tls__source": '"Secret"',
    "extender__service__tls__serverSecret": '"server"',
}
GENERATED = {**SERVICE, "extender__service__tls__source": '"Generated"'}
MODES = pytest.mark.parametrize(
    "mode", [pytest.param({}, id="second-scheduler"), pytest.param(SERVICE, id="service")]
)
EVERYTHING = {
    "networkPolicy__enabled": "true",
    "monitoring__serviceMonitor__enabled": "true",
    "monitoring__prometheusRule__enabled": "true",
    "monitoring__dashboards__enabled": "true",
    "admission__requireScheduler": '"Deny"',
}


def pod_specs(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for thing in objects:
        if thing["kind"] == "Pod":
            yield thing["spec"]
        elif thing["kind"] == "Deployment":
            yield thing["spec"]["template"]["spec"]


def containers(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for spec in pod_specs(objects) for c in spec["containers"]}


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def scheduler_configuration(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (text,) = [
        o["data"]["scheduler.yaml"] for o in objects if "scheduler.yaml" in o.get("data", {})
    ]
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@MODES
@pytest.mark.parametrize("extras", [{}, EVERYTHING], ids=["default", "everything"])
def test_rendering_twice_gives_the_same(helm: Helm, mode: Any, extras: Any) -> None:
    settings = {key.replace("__", "."): json for key, json in {**mode, **extras}.items()}
    assert helm.template(settings=settings) == helm.template(settings=settings)


def test_no_template_looks_into_the_cluster_or_hooks_into_the_install(root: Path) -> None:
    for path in (root / "charts/moorage/templates").rglob("*"):
        text = path.read_text() if path.is_file() else ""
        assert not re.search(r"\blookup\b|\brand[A-Z]\w+|\bnow\b", text), path
        assert set(re.findall(r"helm.sh/hook: (\S+)", text)) <= {"test"}, path


@pytest.mark.parametrize(
    ("keep", "annotations"),
    [("true", {"helm.sh/resource-policy": "keep"}), ("false", None)],
    ids=["keep", "delete"],
)
def test_custom_resources_are_the_models_and_kept_on_demand(
    render: Any, keep: str, annotations: Any
) -> None:
    objects = render(crds__install="true", crds__keep=keep)
    crds = [o for o in objects if o["kind"] == "CustomResourceDefinition"]
    for crd in crds:
        assert crd["metadata"].pop("annotations", None) == annotations
    by_name = {crd["metadata"]["name"]: crd for crd in crds}
    assert by_name == {crd["metadata"]["name"]: crd for crd in crd_manifests()}
    rest = [o for o in objects if o not in crds]
    assert rest == render(crds__install="false")


@MODES
def test_accounts_have_the_rules_that_the_project_tests_with(
    render: Any, find: Any, mode: Any
) -> None:
    objects = render(**mode)
    for manifest in read_manifests("accounts"):
        if "rules" in manifest:
            name = manifest["metadata"]["name"]
            rendered = find(objects, manifest["kind"], name)
            assert rendered["rules"] == manifest["rules"], name


@MODES
def test_every_account_that_runs_is_bound_and_no_other(render: Any, mode: Any) -> None:
    objects = render(**mode)
    running = {
        spec["serviceAccountName"] for spec in pod_specs(objects) if "serviceAccountName" in spec
    }
    made = {o["metadata"]["name"] for o in objects if o["kind"] == "ServiceAccount"}
    bound = {
        (subject["namespace"], subject["name"])
        for o in objects
        if o["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in o["subjects"]
    }
    assert made == running
    assert bound == {("moorage-system", name) for name in running}


def test_only_the_second_scheduler_has_a_schedulers_rights(render: Any) -> None:
    def builtin(objects: list[dict[str, Any]]) -> set[str]:
        return {
            o["roleRef"]["name"]
            for o in objects
            if "roleRef" in o and not o["roleRef"]["name"].startswith("moorage")
        }

    assert builtin(render()) == {
        "system:kube-scheduler",
        "system:volume-scheduler",
        "extension-apiserver-authentication-reader",
    }
    assert builtin(render(**SERVICE)) == set()


@MODES
def test_pods_meet_the_restricted_standard_and_mount_tokens_only_where_used(
    render: Any, mode: Any
) -> None:
    for spec in pod_specs(render(**mode)):
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is ("serviceAccountName" in spec)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all(
            {"configMap", "secret", "emptyDir"} & volume.keys()
            for volume in spec.get("volumes", ())
        )
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            # a limit would delay answers to the scheduler; the solver must not
            assert ("cpu" in container["resources"]["limits"]) is (container["name"] == "solver")
            assert "memory" in container["resources"]["limits"]


def test_the_second_scheduler_is_configured_as_the_project_tests_it(render: Any) -> None:
    config = scheduler_configuration(render())
    tested = scheduler_config("http://127.0.0.1:8888")
    assert config["percentageOfNodesToScore"] == tested.nodes_to_score_percent == 100
    assert [profile["schedulerName"] for profile in config["profiles"]] == [SCHEDULER_NAME]
    (extender,), (expected,) = config["extenders"], tested.extenders
    assert extender == {
        "urlPrefix": expected.url_prefix,
        "filterVerb": expected.filter_verb,
        "prioritizeVerb": expected.prioritize_verb,
        "preemptVerb": expected.preempt_verb,
        "bindVerb": expected.bind_verb,
        "weight": EXTENDER_WEIGHT,
        "httpTimeout": "2s",
        "nodeCacheCapable": True,
        "ignorable": True,
        "managedResources": [{"name": "nvidia.com/gpu", "ignoredByScheduler": False}],
    }
    assert config["leaderElection"]["resourceName"] == "moorage-scheduler"
    assert config["leaderElection"]["resourceNamespace"] == "moorage-system"
    assert config["delayCacheUntilActive"] is False


def test_the_second_scheduler_places_pods_on_gpu_nodes_alone(render: Any) -> None:
    terms = [{"matchExpressions": [{"key": "gpus", "operator": "Exists"}]}]
    objects = render(
        scheduler__gpuNodeTerms='[{"matchExpressions": [{"key": "gpus", "operator": "Exists"}]}]'
    )
    (profile,) = scheduler_configuration(objects)["profiles"]
    (plugin,) = profile["pluginConfig"]
    added = plugin["args"]["addedAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert (plugin["name"], added) == ("NodeAffinity", {"nodeSelectorTerms": terms})
    (profile,) = scheduler_configuration(render(scheduler__gpuNodeTerms="[]"))["profiles"]
    assert profile == {"schedulerName": SCHEDULER_NAME}


def test_pods_roll_when_the_schedulers_configuration_changes(render: Any, find: Any) -> None:
    def checksum(**settings: str) -> str:
        template = find(render(**settings), "Deployment", "moorage-scheduler")["spec"]["template"]
        found: str = template["metadata"]["annotations"]["checksum/scheduler"]
        return found

    assert checksum() != checksum(extender__weight="121")
    assert checksum() == checksum(operator__replicas="3")


def test_extender_and_scheduler_meet_on_loopback(render: Any) -> None:
    objects = render(extender__port="9000")
    found = containers(objects)
    assert set(found) == {"operator", "ready", "scheduler", "extender", "solver"}
    assert environment(found["extender"])["MOORAGE_EXTENDER_HOST"] == "127.0.0.1"
    assert scheduler_configuration(objects)["extenders"][0]["urlPrefix"] == "http://127.0.0.1:9000"
    assert [port["name"] for port in found["extender"]["ports"]] == ["health"]
    targets = {
        p["targetPort"] for o in objects if o["kind"] == "Service" for p in o["spec"]["ports"]
    }
    assert targets == {"health", "scheduler"}


@MODES
def test_planner_and_solver_meet_at_one_socket_and_one_of_them_plans(
    render: Any, mode: Any
) -> None:
    objects = render(**mode)
    found = containers(objects)
    extender, solver = environment(found["extender"]), environment(found["solver"])
    assert extender["MOORAGE_EXTENDER_SOLVER_SOCKET"] == solver["MOORAGE_SOLVER_SOCKET"]
    for container in (found["extender"], found["solver"]):
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert solver["MOORAGE_SOLVER_SOCKET"].startswith(mounts["solver"])
    namespace, lease = extender["MOORAGE_EXTENDER_PLANNER_LEASE"].split("/")
    assert namespace == extender["MOORAGE_EXTENDER_BELL_NAMESPACE"]
    names = [
        name
        for role in objects
        if role["kind"] == "Role"
        for rule in role["rules"]
        if "get" in rule["verbs"] and "leases" in rule["resources"]
        for name in rule.get("resourceNames", ())
    ]
    assert lease in names


def test_without_a_solver_nothing_plans(render: Any) -> None:
    found = containers(render(solver__enabled="false"))
    assert "solver" not in found
    assert "MOORAGE_EXTENDER_PLANNER" not in environment(found["extender"])


PROBE = {"probe__enabled": "true"}


@MODES
def test_probes_and_extender_find_each_other_and_probes_have_no_rights(
    render: Any, mode: Any
) -> None:
    objects = render(**mode, **PROBE, probe__modelConfigMap='"model"')
    (daemon,) = [o for o in objects if o["kind"] == "DaemonSet"]
    spec = daemon["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    extender, probe = environment(containers(objects)["extender"]), environment(container)
    host, _, port = extender["MOORAGE_EXTENDER_NETWORK_PROBES"].partition(":")
    assert host == probe["MOORAGE_PROBE_PEERS"]
    assert port == probe["MOORAGE_PROBE_PORT"]
    (service,) = [o for o in objects if o["kind"] == "Service" and o["spec"].get("clusterIP")]
    assert host.split(".")[:2] == [service["metadata"]["name"], service["metadata"]["namespace"]]
    assert service["spec"]["selector"].items() <= (
        daemon["spec"]["template"]["metadata"]["labels"].items()
    )
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    bound = [s["name"] for o in objects for s in o.get("subjects", ())]
    assert spec["serviceAccountName"] not in bound
    mounts = {m["name"]: m["mountPath"] for m in containers(objects)["extender"]["volumeMounts"]}
    model = extender["MOORAGE_EXTENDER_NETWORK_MODEL_FILE"]
    assert model == f"{mounts['network-model']}/model.json"


def test_the_probe_reads_every_setting_as_it_was_written(
    render: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = render(
        **PROBE,
        probe__settings__bandwidthTestKib="512",
        probe__settings__nodeExporter='"http://$(MOORAGE_NODE_ADDRESS):9100/metrics"',
        probe__settings__cpu="false",
    )
    (daemon,) = [o for o in objects if o["kind"] == "DaemonSet"]
    (container,) = daemon["spec"]["template"]["spec"]["containers"]
    for name, value in environment(container).items():
        monkeypatch.setenv(name, value or "n1")
    settings = ProbeSettings()  # type: ignore[call-arg]  # from the environment
    assert (settings.bandwidth_test_kib, settings.cpu, settings.port) == (512, False, 8890)
    assert settings.node_exporter.endswith(":9100/metrics")


def test_without_a_probe_nothing_looks_at_the_network(render: Any) -> None:
    objects = render()
    assert not [o for o in objects if o["kind"] == "DaemonSet"]
    names = environment(containers(objects)["extender"])
    assert not [name for name in names if "NETWORK" in name]


def test_programs_read_every_setting_as_it_was_written(
    render: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = render(
        extender__settings="""{"accelerators": ["a.b/c"], "weights": {"fragmentation": 1.5},
          "verbDeadlineS": 0.25, "decisionsKept": 1000000, "logLevel": "debug",
          "protectedNamespaces": ["one", "two"]}""",
        operator__settings="""{"workers": 64, "sweepIntervalS": 1000000, "callsPerS": 12.5}""",
    )
    for container in containers(objects).values():
        for name, value in environment(container).items() if "env" in container else ():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("MOORAGE_OPERATOR_LEASE_NAMESPACE", "moorage-system")
    extender, operator = Settings(), OperatorConfig()
    assert extender.accelerators == ("a.b/c",)
    assert extender.weights == {"fragmentation": 1.5}
    assert (extender.verb_deadline_s, extender.decisions_kept) == (0.25, 1_000_000)
    assert extender.protected_namespaces == {"one", "two"}
    assert extender.log_level == "debug"
    assert (operator.workers, operator.sweep_interval_s, operator.calls_per_s) == (64, 1e6, 12.5)
    assert operator.lease_name == "moorage-operator"


@pytest.mark.parametrize("mode", [SECRET, SERVICE, GENERATED], ids=["secret", "issuer", "helm"])
def test_behind_a_service_only_callers_with_a_certificate_come_in(
    render: Any, find: Any, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = render(**mode)
    deployment = find(objects, "Deployment", "moorage-extender")
    listed = deployment["spec"]["template"]["spec"]["containers"]
    (container,) = (c for c in listed if c["name"] == "extender")
    volumes = {v["name"]: v for v in deployment["spec"]["template"]["spec"]["volumes"]}
    for name, value in environment(container).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.host == "0.0.0.0"
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in container["volumeMounts"]}
    mount = mounts["tls"]
    assert settings.tls_client_ca_file == mount / "ca.crt"
    assert settings.tls_certificate_file == mount / "tls.crt"
    assert volumes["tls"]["secret"]["secretName"] == (
        "server" if mode == SECRET else "moorage-extender-server"
    )
    assert deployment["spec"]["replicas"] == 1
    assert not [o for o in objects if "scheduler.yaml" in o.get("data", {})]


def test_an_admin_is_given_the_entry_for_his_own_scheduler(render: Any, find: Any) -> None:
    entry = find(
        render(**SECRET, extender__service__clusterIp='"10.96.0.77"'),
        "ConfigMap",
        "moorage-extender-entry",
    )
    extender = yaml.safe_load(entry["data"]["extender.yaml"])
    assert extender["urlPrefix"] == "https://10.96.0.77:443"
    assert extender["enableHTTPS"] is True
    assert set(extender["tlsConfig"]) == {"caFile", "certFile", "keyFile"}
    entry = find(render(**SECRET), "ConfigMap", "moorage-extender-entry")
    extender = yaml.safe_load(entry["data"]["extender.yaml"])
    assert extender["urlPrefix"] == "https://moorage-extender.moorage-system.svc:443"


def test_generated_certificates_name_the_service_and_trust_their_client(
    render: Any, find: Any
) -> None:
    objects = render(**GENERATED, extender__service__clusterIp='"10.96.0.77"')

    def certificate(secret: str, key: str) -> x509.Certificate:
        data = find(objects, "Secret", f"moorage-extender-{secret}")["data"][key]
        return x509.load_pem_x509_certificate(base64.b64decode(data))

    server, client = certificate("server", "tls.crt"), certificate("client", "tls.crt")
    authority = certificate("server", "ca.crt")
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "moorage-extender.moorage-system.svc" in names.get_values_for_type(x509.DNSName)
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.96.0.77"]
    for leaf in (server, client):
        key = authority.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        assert leaf.signature_hash_algorithm is not None
        key.verify(
            leaf.signature,
            leaf.tbs_certificate_bytes,
            padding.PKCS1v15(),
            leaf.signature_hash_algorithm,
        )


def test_cert_manager_signs_with_an_authority_of_this_release_alone(render: Any) -> None:
    objects = render(**SERVICE, extender__service__clusterIp='"10.96.0.77"')
    leaves = [
        o["spec"] for o in objects if o["kind"] == "Certificate" and not o["spec"].get("isCA")
    ]
    assert {tuple(leaf["usages"]) for leaf in leaves} == {("server auth",), ("client auth",)}
    assert {leaf["issuerRef"]["name"] for leaf in leaves} == {"moorage-extender"}
    assert [leaf["ipAddresses"] for leaf in leaves if "ipAddresses" in leaf] == [["10.96.0.77"]]
    given = render(**SERVICE, extender__service__tls__certManager='{"issuerRef": {"name": "ours"}}')
    assert [o for o in given if o["kind"] == "Issuer"] == []
    assert {o["spec"]["issuerRef"]["name"] for o in given if o["kind"] == "Certificate"} == {"ours"}


def test_one_registry_secret_label_and_priority_for_everything(render: Any) -> None:
    objects = render(
        global__imageRegistry='"mirror:5000"',
        global__imagePullSecrets='[{"name": "pull"}]',
        global__commonLabels='{"team": "a"}',
        global__priorityClassName='"own"',
        **EVERYTHING,
    )
    assert all(c["image"].startswith("mirror:5000/") for c in containers(objects).values())
    assert all(spec["imagePullSecrets"] == [{"name": "pull"}] for spec in pod_specs(objects))
    assert all(o["metadata"]["labels"]["team"] == "a" for o in objects)
    running = [spec for spec in pod_specs(objects) if "serviceAccountName" in spec]
    assert {spec["priorityClassName"] for spec in running} == {"own"}


@MODES
def test_selectors_meet_exactly_one_component(render: Any, mode: Any) -> None:
    objects = render(**mode, **EVERYTHING)
    labels = {
        o["metadata"]["name"]: o["spec"]["template"]["metadata"]["labels"]
        for o in objects
        if o["kind"] == "Deployment"
    }
    selectors = [
        (o["kind"], o["metadata"]["name"], selector.get("matchLabels", selector))
        for o in objects
        if o["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment")
        for selector in [o["spec"].get("selector") or o["spec"]["podSelector"]]
    ]
    assert len(selectors) == 2 + 2 + 2 + (2 if not mode else 3)
    for kind, name, selector in selectors:
        met = [n for n, have in labels.items() if selector.items() <= have.items()]
        assert len(met) == 1, (kind, name)


def test_scraping_finds_ports_that_services_have(render: Any) -> None:
    objects = render(**EVERYTHING)
    services = [o for o in objects if o["kind"] == "Service"]
    for monitor in (o for o in objects if o["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [s for s in services if wanted <= s["metadata"]["labels"].items()]
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} == ports


def test_names_follow_the_release_but_one_holder_does_not(helm: Helm) -> None:
    objects = list(yaml.safe_load_all(helm.template(release="gpus", namespace="here")))
    cluster_wide = {o["metadata"]["name"] for o in objects if "namespace" not in o["metadata"]}
    fixed = {name for name in cluster_wide if not name.startswith("gpus-moorage-")}
    assert fixed - {crd["metadata"]["name"] for crd in crd_manifests()} == {"moorage-installation"}
    namespaces = {o["metadata"].get("namespace", "here") for o in objects}
    assert namespaces == {"here", "kube-system"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({}, "moorage doctor", id="next-step"),
        pytest.param({"scheduler.image.tag": '"v1.31.0"'}, "another minor", id="minor"),
        pytest.param({"scheduler.gpuNodeTerms": "[]"}, "gpuNodeTerms is empty", id="all-nodes"),
        pytest.param({"crds.keep": "false"}, "deletes every pool", id="crds-go"),
        pytest.param({"mode": '"Service"'}, "resolves no Service names", id="no-dns"),
        pytest.param(
            {"mode": '"Service"', "extender.service.tls.source": '"Generated"'},
            "new certificates at every upgrade", id="generated",
        ),
    ],
)  # fmt: skip
def test_notes_tell_the_next_step_and_warn(
    helm: Helm, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    # Helm shows notes to those who install alone, so a copy of the chart has them as an object.
    chart = shutil.copytree(helm.chart, tmp_path / "moorage")
    notes = (chart / "templates/NOTES.txt").read_text()
    (chart / "templates/_notes.tpl").write_text(f'{{{{ define "notes" }}}}{notes}{{{{ end }}}}')
    (chart / "templates/notes.yaml").write_text(
        "kind: ConfigMap\nmetadata: {name: notes}\n"
        'data:\n  notes: |\n    {{- include "notes" . | nindent 4 }}\n'
    )
    objects = yaml.safe_load_all(Helm(helm.program, chart).template(settings=settings))
    (shown,) = [o["data"]["notes"] for o in objects if o["metadata"]["name"] == "notes"]
    assert said in shown
    assert ("WARNING" in shown) is (said != "moorage doctor")

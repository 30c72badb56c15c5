"""The values of the Helm chart: the one source of values.yaml and values.schema.json."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_cli.chart.base import (
    Amounts,
    Block,
    Container,
    DisruptionBudget,
    DnsLabel,
    Duration,
    Image,
    KubernetesObject,
    Pod,
    PortNumber,
    ReplicaCount,
    Resources,
    ServiceAccount,
)
from moorage_cli.chart.settings import ExtenderSettings, OperatorSettings, ProbeSettings
from moorage_cli.installation import EXTENDER_WEIGHT
from moorage_crds.names import SCHEDULER_NAME


class Global(Block):
    """What holds for every component."""

    image_registry: str = ""
    """Registry of all images, for instance a mirror; empty: each image's own."""

    image_pull_secrets: list[KubernetesObject] = []
    """Secrets to pull images with, as [{name: ...}]."""

    common_labels: dict[str, str] = {}
    """Labels of every object."""

    priority_class_name: str = "system-cluster-critical"
    """Priority class of our pods: nothing is scheduled to GPUs while they wait for room."""


class Crds(Block):
    """The custom resources."""

    install: bool = True
    """Install and upgrade the CustomResourceDefinitions with the chart."""

    keep: bool = True
    """Leave them, and so every pool, in the cluster when the chart is uninstalled."""


class LeaderElection(Block):
    """Which of the schedulers acts."""

    lease_name: DnsLabel = "moorage-scheduler"
    """Name of the Lease, in the release's namespace."""

    lease_duration: Duration = "15s"
    """How long the others wait for a silent leader."""

    renew_deadline: Duration = "10s"
    """How long the leader tries to renew before it gives up."""

    retry_period: Duration = "2s"
    """Pause between tries."""


class Scheduler(Container):
    """The second scheduler (mode SecondScheduler)."""

    name: DnsLabel = SCHEDULER_NAME
    """The schedulerName of pods that it takes; pools' pods have moorage-scheduler."""

    replicas: ReplicaCount = 2
    """Pods of kube-scheduler and extender; one of them acts."""

    image: Image = Image(registry="registry.k8s.io", repository="kube-scheduler")
    """Upstream kube-scheduler; an empty tag is the cluster's version, without a vendor's suffix."""

    resources: Resources = Resources(
        requests=Amounts(cpu="250m", memory="256Mi"), limits=Amounts(memory="2Gi")
    )
    """Requests and limits."""

    leader_election: LeaderElection = LeaderElection()
    """Leader election; the leader's extender is the active one."""

    gpu_node_terms: list[KubernetesObject] = [
        {
            "matchExpressions": [
                {"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]}
            ]
        },
        {"matchExpressions": [{"key": "cloud.google.com/gke-accelerator", "operator": "Exists"}]},
    ]
    """Node selector terms, any of which makes a node ours: the profile places pods there alone."""

    percentage_of_nodes_to_score: Annotated[int, Field(ge=0, le=100)] = 100
    """100 lets the extender see every node that fits; 0 is kube-scheduler's adaptive choice."""

    client_qps: Annotated[int, Field(ge=1)] = 1000
    """Calls to the API server per second."""

    client_burst: Annotated[int, Field(ge=1)] = 2000
    """Calls to the API server at once."""

    pod_initial_backoff_seconds: Annotated[int, Field(ge=1)] = 1
    """Wait before the first retry of a pod that did not fit, seconds."""

    pod_max_backoff_seconds: Annotated[int, Field(ge=1)] = 10
    """Longest such wait, seconds."""

    log_verbosity: Annotated[int, Field(ge=0, le=10)] = 2
    """Value of -v."""


class ManagedResource(Block):
    """A resource whose pods come to the extender."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the extended resource."""

    ignored_by_scheduler: bool = False
    """Leave the resource's arithmetic to the extender alone; ours leaves it to the scheduler."""


class CertManager(Block):
    """Certificates by cert-manager."""

    issuer_ref: KubernetesObject = {}
    """An existing issuer of a private authority; empty: an authority for this release alone.
    Every client certificate of the authority may bind pods."""

    duration: Duration = "2160h"
    """How long a certificate is valid."""

    renew_before: Duration = "720h"
    """How long before its end it is renewed."""


class Tls(Block):
    """Certificates of the verbs in Service mode: callers need one, too."""

    source: Literal["CertManager", "Secret", "Generated"] = "CertManager"
    """CertManager: cert-manager issues and renews. Secret: server and client Secrets exist already.
    Generated: Helm makes new ones at every render and upgrade, for trials only."""

    server_secret: str = ""
    """Secret with tls.crt, tls.key and ca.crt (who may call); needed with source Secret."""

    client_secret: str = ""
    """Secret with the scheduler's tls.crt, tls.key and ca.crt; named in the notes alone."""

    client_names: list[str] = ["kube-scheduler"]
    """Common names or alternative names of client certificates that may call the verbs, others are
    answered 403; the certificates made here bear the first. Empty: every one of the authority."""

    cert_manager: CertManager = CertManager()
    """How cert-manager issues."""


class Service(Block):
    """How an admin's own scheduler reaches the extender (mode Service)."""

    port: PortNumber = 443
    """Port of the Service."""

    cluster_ip: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]*$")] = ""
    """Fixed address out of the Service range, for a scheduler without cluster DNS; it is put into
    the certificate. Empty: the cluster chooses, and the scheduler needs DNS."""

    listen_address: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]+$")] = "0.0.0.0"  # noqa: S104 - mutual TLS guards it
    """Address that the verbs listen on; :: on IPv6 clusters."""

    tls: Tls = Tls()
    """Certificates."""

    annotations: dict[str, str] = {}
    """Annotations of the Service."""


class Extender(Container):
    """The extender, beside the second scheduler or behind a Service."""

    image: Image = Image(repository="moorage/extender")
    """Our extender; an empty tag is the chart's appVersion."""

    resources: Resources = Resources(
        requests=Amounts(cpu="500m", memory="512Mi"), limits=Amounts(memory="4Gi")
    )
    """Requests and limits."""

    port: PortNumber = 8888
    """Port of the verbs."""

    health_port: PortNumber = 8889
    """Port of health, metrics and decision records."""

    weight: Annotated[int, Field(ge=1)] = EXTENDER_WEIGHT
    """Factor of our scores; from 120 on one step outweighs all in-tree scores together."""

    ignorable: bool = True
    """Scheduling goes on without us when we do not answer; false: pods wait for us."""

    http_timeout: Duration = "2s"
    """How long the scheduler waits for an answer; it schedules one pod at a time."""

    bind: bool = True
    """Bind through the extender, so that it knows of a binding before the watch tells."""

    managed_resources: list[ManagedResource] = [ManagedResource(name="nvidia.com/gpu")]
    """Only pods that ask for one of these come to the extender."""

    settings: ExtenderSettings = ExtenderSettings()
    """The program's own settings."""

    pod: Pod = Pod()
    """The pod of the extender; in mode SecondScheduler kube-scheduler shares it."""

    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    """Disruption budget of the extender's pods."""

    service_account: ServiceAccount = ServiceAccount()
    """Account of the extender's pod; in mode SecondScheduler kube-scheduler shares it."""

    service: Service = Service()
    """Mode Service."""


class Solver(Container):
    """The solver beside the extender: it looks for rearrangements when a pod fits nowhere."""

    enabled: bool = True
    """Plan for pods that fit nowhere; false: only kube-scheduler's own preemption makes room."""

    niceness: Annotated[int, Field(ge=0, le=19)] = 10
    """How far it steps back behind the other processes of its node."""

    resources: Resources = Resources(
        requests=Amounts(cpu="100m", memory="256Mi"), limits=Amounts(cpu="2", memory="2Gi")
    )
    """Requests and limits; the CPU limit keeps a search from slowing the verbs down."""


class Probe(Container):
    """The probe on each node: measures the network for scores, see docs/network.md."""

    enabled: bool = False
    """Run a probe on each node, and let the extender read all of them."""

    mode: Literal["Recommend", "Auto"] = "Recommend"
    """Auto: the network counts in the ranking. Recommend: it is only compared with the choice."""

    image: Image = Image(repository="moorage/probe")
    """The probe; an empty tag is the chart's appVersion."""

    model_config_map: str = ""
    """ConfigMap with model.json of `moorage train network`; empty: topology alone orders nodes."""

    model_digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """Digest of model.json, as the training printed it; any other is refused. Empty takes any."""

    port: PortNumber = 8890
    """TCP port of telemetry and metrics."""

    echo_port: PortNumber = 8891
    """UDP port of echoes."""

    resources: Resources = Resources(
        requests=Amounts(cpu="10m", memory="96Mi"), limits=Amounts(memory="256Mi")
    )
    """Requests and limits."""

    settings: ProbeSettings = ProbeSettings()
    """The program's own settings."""

    pod: Pod = Pod(tolerations=[{"operator": "Exists"}], topology_spread_constraints=[])
    """The probe's pod; its selector says which nodes are measured."""

    service_account: ServiceAccount = ServiceAccount()
    """Account of the probe; it has no rights and no token."""


class Operator(Container):
    """The operator."""

    replicas: ReplicaCount = 2
    """Replicas; one of them acts, by a Lease."""

    image: Image = Image(repository="moorage/operator")
    """Our operator; an empty tag is the chart's appVersion."""

    resources: Resources = Resources(
        requests=Amounts(cpu="100m", memory="256Mi"), limits=Amounts(memory="2Gi")
    )
    """Requests and limits."""

    port: PortNumber = 8081
    """Port of health and metrics."""

    lease_name: DnsLabel = "moorage-operator"
    """Name of the Lease, in the release's namespace."""

    settings: OperatorSettings = OperatorSettings()
    """The program's own settings."""

    pod: Pod = Pod()
    """The operator's pod."""

    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    """Disruption budget of the operator's pods."""

    service_account: ServiceAccount = ServiceAccount()
    """Account of the operator."""


class Rbac(Block):
    """Rights of people."""

    aggregate: bool = True
    """Extend the cluster's view, edit and admin roles to our resources."""


class NetworkPolicy(Block):
    """Who may talk to our pods, and to whom they talk."""

    enabled: bool = False
    """Create NetworkPolicies."""

    metrics_from: list[KubernetesObject] = []
    """Peers that may read metrics and health; empty: all."""

    verbs_from: list[KubernetesObject] = []
    """Peers that may call the verbs in mode Service; empty: all that have a certificate."""

    api_server_ports: list[PortNumber] = [443, 6443]
    """Ports on which the API server is reached."""


class ServiceMonitor(Block):
    """Scraping by the Prometheus operator."""

    enabled: bool = False
    """Create ServiceMonitors."""

    interval: Duration = "30s"
    """Scrape interval."""

    labels: dict[str, str] = {}
    """Labels by which Prometheus selects them."""


class PrometheusRule(Block):
    """Alerts for the Prometheus operator."""

    enabled: bool = False
    """Create the PrometheusRule."""

    labels: dict[str, str] = {}
    """Labels by which Prometheus selects it."""


class Dashboards(Block):
    """Dashboards for Grafana's sidecar."""

    enabled: bool = False
    """Create ConfigMaps with the dashboards."""

    labels: dict[str, str] = {"grafana_dashboard": "1"}
    """Labels by which the sidecar finds them."""


class Monitoring(Block):
    """Metrics, alerts, dashboards."""

    service_monitor: ServiceMonitor = ServiceMonitor()
    """Scraping."""

    prometheus_rule: PrometheusRule = PrometheusRule()
    """Alerts."""

    dashboards: Dashboards = Dashboards()
    """Dashboards."""


class ReservedPriority(Block):
    """A priority class that only some namespaces may use."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the PriorityClass."""

    namespaces: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=63)]], Field(max_length=256)
    ]
    """Namespaces whose pods and pools may have it; empty: none."""


class Admission(Block):
    """Guards at the API server: against over-commit, and priorities for anybody.

    Two schedulers on one node do not see each other's pods.
    """

    require_scheduler: Literal["Off", "Warn", "Deny"] = "Off"
    """What happens to a new pod that asks for a managed resource of another scheduler."""

    exempt_namespaces: list[str] = ["kube-system"]
    """Namespaces that it does not watch; the release's own is exempt always."""

    reserved_priorities: Annotated[list[ReservedPriority], Field(max_length=64)] = []
    """Priority classes that only some namespaces may use; all others are free."""


class Values(Block):
    """Everything that can be set."""

    global_: Annotated[Global, Field(alias="global")] = Global()
    """For every component."""

    mode: Literal["SecondScheduler", "Service"] = "SecondScheduler"
    """SecondScheduler: our own kube-scheduler with the extender beside it, works everywhere.
    Service: the extender alone, for the scheduler of a control plane that you configure."""

    crds: Crds = Crds()
    """The custom resources."""

    scheduler: Scheduler = Scheduler()
    """The second scheduler."""

    extender: Extender = Extender()
    """The extender."""

    solver: Solver = Solver()
    """The solver."""

    operator: Operator = Operator()
    """The operator."""

    probe: Probe = Probe()
    """The probe."""

    rbac: Rbac = Rbac()
    """Rights of people."""

    admission: Admission = Admission()
    """Guards at the API server."""

    network_policy: NetworkPolicy = NetworkPolicy()
    """Network policies."""

    monitoring: Monitoring = Monitoring()
    """Metrics, alerts, dashboards."""

{{/* The extender's container, which both modes run. */}}
{{- define "moorage.extender.container" -}}
{{- $values := .Values.extender -}}
{{- $service := eq .Values.mode "Service" -}}
- name: extender
  image: {{ include "moorage.image" (dict "root" . "image" $values.image "tag" .Chart.AppVersion) }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  {{- with $values.extraArgs }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
  - name: MOORAGE_EXTENDER_HOST
    value: {{ ternary $values.service.listenAddress "127.0.0.1" $service | quote }}
  - name: MOORAGE_EXTENDER_PORT
    value: {{ $values.port | quote }}
  - name: MOORAGE_EXTENDER_HEALTH_PORT
    value: {{ $values.healthPort | quote }}
  {{- if $service }}
  - name: MOORAGE_EXTENDER_TLS_CERTIFICATE_FILE
    value: /etc/moorage/tls/tls.crt
  - name: MOORAGE_EXTENDER_TLS_KEY_FILE
    value: /etc/moorage/tls/tls.key
  - name: MOORAGE_EXTENDER_TLS_CLIENT_CA_FILE
    value: /etc/moorage/tls/ca.crt
  {{- with $values.service.tls.clientNames }}
  - name: MOORAGE_EXTENDER_TLS_CLIENT_NAMES
    value: {{ toJson . | squote }}
  {{- end }}
  {{- end }}
  {{- if .Values.solver.enabled }}
  - name: MOORAGE_EXTENDER_PLANNER
    value: {{ ternary "OwnLease" "WithScheduler" $service }}
  - name: MOORAGE_EXTENDER_PLANNER_LEASE
    value: {{ printf "%s/%s" .Release.Namespace (ternary "moorage-planner" .Values.scheduler.leaderElection.leaseName $service) }}
  - name: MOORAGE_EXTENDER_SOLVER_SOCKET
    value: /run/moorage/solver.sock
  - name: MOORAGE_EXTENDER_BELL_NAMESPACE
    value: {{ .Release.Namespace }}
  {{- end }}
  {{- if .Values.probe.enabled }}
  - name: MOORAGE_EXTENDER_NETWORK_MODE
    value: {{ .Values.probe.mode }}
  - name: MOORAGE_EXTENDER_NETWORK_PROBES
    value: {{ printf "%s-probe.%s.svc:%v" (include "moorage.fullname" .) .Release.Namespace .Values.probe.port }}
  {{- if .Values.probe.modelConfigMap }}
  - name: MOORAGE_EXTENDER_NETWORK_MODEL_FILE
    value: /etc/moorage/network/model.json
  {{- with .Values.probe.modelDigest }}
  - name: MOORAGE_EXTENDER_NETWORK_MODEL_DIGEST
    value: {{ . }}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- with include "moorage.settings" (dict "prefix" "MOORAGE_EXTENDER" "settings" $values.settings) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  ports:
  - name: health
    containerPort: {{ $values.healthPort }}
  {{- if $service }}
  - name: verbs
    containerPort: {{ $values.port }}
  {{- end }}
  livenessProbe:
    httpGet:
      path: /livez
      port: health
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet:
      path: /readyz
      port: health
    periodSeconds: 5
    timeoutSeconds: 5
  {{- include "moorage.container" $values | nindent 2 }}
  volumeMounts:
  {{- include "moorage.scratchMount" . | nindent 2 }}
  {{- if .Values.solver.enabled }}
  {{- include "moorage.solver.mount" . | nindent 2 }}
  {{- end }}
  {{- if and .Values.probe.enabled .Values.probe.modelConfigMap }}
  - name: network-model
    mountPath: /etc/moorage/network
    readOnly: true
  {{- end }}
  {{- if $service }}
  - name: tls
    mountPath: /etc/moorage/tls
    readOnly: true
  {{- end }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The solver: the extender's image, its own share of the CPU; they meet at a socket. */}}
{{- define "moorage.solver.container" -}}
{{- $values := .Values.solver -}}
{{- $image := .Values.extender.image -}}
- name: solver
  image: {{ include "moorage.image" (dict "root" . "image" $image "tag" .Chart.AppVersion) }}
  imagePullPolicy: {{ $image.pullPolicy }}
  command:
  - /venv/bin/moorage-solver
  {{- with $values.extraArgs }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
  - name: MOORAGE_SOLVER_SOCKET
    value: /run/moorage/solver.sock
  - name: MOORAGE_SOLVER_NICENESS
    value: {{ $values.niceness | quote }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- include "moorage.container" $values | nindent 2 }}
  volumeMounts:
  {{- include "moorage.scratchMount" . | nindent 2 }}
  {{- include "moorage.solver.mount" . | nindent 2 }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "moorage.solver.mount" -}}
- name: solver
  mountPath: /run/moorage
{{- end -}}

{{/* The upstream kube-scheduler's container. */}}
{{- define "moorage.scheduler.container" -}}
{{- $values := .Values.scheduler -}}
{{- $version := regexFind "^v[0-9]+[.][0-9]+[.][0-9]+" .Capabilities.KubeVersion.Version -}}
- name: scheduler
  image: {{ include "moorage.image" (dict "root" . "image" $values.image "tag" $version) }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  command:
  - kube-scheduler
  args:
  - --config=/etc/moorage/scheduler/scheduler.yaml
  - --v={{ $values.logVerbosity }}
  {{- with $values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $values.extraEnv }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
  - name: scheduler
    containerPort: 10259
  livenessProbe:
    httpGet:
      path: /livez
      port: scheduler
      scheme: HTTPS
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet:
      path: /readyz
      port: scheduler
      scheme: HTTPS
    periodSeconds: 5
    timeoutSeconds: 5
  {{- include "moorage.container" $values | nindent 2 }}
  volumeMounts:
  - name: scheduler
    mountPath: /etc/moorage/scheduler
    readOnly: true
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The configuration of the second scheduler. */}}
{{- define "moorage.scheduler.config" -}}
{{- $values := .Values.scheduler -}}
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  qps: {{ $values.clientQps }}
  burst: {{ $values.clientBurst }}
leaderElection:
  leaderElect: true
  resourceLock: leases
  resourceName: {{ $values.leaderElection.leaseName }}
  resourceNamespace: {{ .Release.Namespace }}
  leaseDuration: {{ $values.leaderElection.leaseDuration }}
  renewDeadline: {{ $values.leaderElection.renewDeadline }}
  retryPeriod: {{ $values.leaderElection.retryPeriod }}
delayCacheUntilActive: false
percentageOfNodesToScore: {{ $values.percentageOfNodesToScore }}
podInitialBackoffSeconds: {{ $values.podInitialBackoffSeconds }}
podMaxBackoffSeconds: {{ $values.podMaxBackoffSeconds }}
profiles:
- schedulerName: {{ $values.name }}
  {{- with $values.gpuNodeTerms }}
  pluginConfig:
  - name: NodeAffinity
    args:
      addedAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms:
            {{- toYaml . | nindent 12 }}
  {{- end }}
extenders:
- {{ include "moorage.extenderEntry" (dict "root" . "url" (printf "http://127.0.0.1:%v" .Values.extender.port)) | nindent 2 | trim }}
{{- end -}}

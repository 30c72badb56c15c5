{{- define "moorage.fullname" -}}
{{- if contains "moorage" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-moorage" (.Release.Name | trunc 32 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "moorage.selectorLabels" -}}
app.kubernetes.io/name: moorage
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of every object. Call with root and component. */}}
{{- define "moorage.labels" -}}
{{ include "moorage.selectorLabels" . }}
app.kubernetes.io/part-of: moorage
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_") }}
{{- with .root.Values.global.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name and labels. Call with root, component and, if not the component's, name. */}}
{{- define "moorage.metadata" -}}
name: {{ .name | default (printf "%s-%s" (include "moorage.fullname" .root) .component) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "moorage.labels" . | nindent 2 }}
{{- end -}}

{{- define "moorage.clusterMetadata" -}}
name: {{ .name | default (printf "%s-%s" (include "moorage.fullname" .root) .component) }}
labels:
  {{- include "moorage.labels" . | nindent 2 }}
{{- end -}}

{{/* Reference of an image. Call with root, image and the tag to take when none is set. */}}
{{- define "moorage.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry -}}
{{- $name := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne $registry "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .tag) -}}
{{- end -}}
{{- end -}}

{{/* The component that runs the extender: it names the pod, its account and its disruption budget. */}}
{{- define "moorage.extender.component" -}}
{{- ternary "scheduler" "extender" (eq .Values.mode "SecondScheduler") -}}
{{- end -}}

{{- define "moorage.serviceAccountName" -}}
{{- .account.name | default (printf "%s-%s" (include "moorage.fullname" .root) .component) -}}
{{- end -}}

{{/* A program's settings as environment variables. Call with prefix and settings. */}}
{{- define "moorage.settings" -}}
{{- $prefix := .prefix -}}
{{- range $key, $value := .settings }}
- name: {{ printf "%s_%s" $prefix (upper (snakecase $key)) }}
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end -}}

{{/* What every container has. Call with the container's block. */}}
{{- define "moorage.container" -}}
securityContext:
  {{- toYaml .securityContext | nindent 2 }}
{{- $requests := .resources.requests }}
{{- $limits := .resources.limits }}
{{- if or $requests $limits }}
resources:
  {{- with $requests }}
  requests:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $limits }}
  limits:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What every pod's spec has. Call with root, component, pod and account. */}}
{{- define "moorage.podSpec" -}}
serviceAccountName: {{ include "moorage.serviceAccountName" . }}
securityContext:
  {{- toYaml .pod.securityContext | nindent 2 }}
{{- with .pod.priorityClassName | default .root.Values.global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml . | nindent 4 | trim }}
    {{- if not (hasKey . "labelSelector") }}
    labelSelector:
      matchLabels:
        {{- include "moorage.selectorLabels" $ | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "moorage.podMetadata" -}}
labels:
  {{- include "moorage.labels" . | nindent 2 }}
  {{- with .pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) .annotations .pod.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The rules of one role of files/accounts.yaml, which are those that the project tests with. */}}
{{- define "moorage.rules" -}}
{{- $kind := .kind -}}
{{- $name := .name -}}
{{- range splitList "\n---\n" (.root.Files.Get "files/accounts.yaml") -}}
{{- $document := fromYaml . -}}
{{- if and (eq $document.kind $kind) (eq $document.metadata.name $name) -}}
{{- toYaml $document.rules -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The entry of `extenders` of a KubeSchedulerConfiguration. Call with root, url and files. */}}
{{- define "moorage.extenderEntry" -}}
{{- $extender := .root.Values.extender -}}
urlPrefix: {{ .url }}
filterVerb: filter
prioritizeVerb: prioritize
preemptVerb: preempt
{{- if $extender.bind }}
bindVerb: bind
{{- end }}
weight: {{ $extender.weight }}
httpTimeout: {{ $extender.httpTimeout }}
nodeCacheCapable: true
ignorable: {{ $extender.ignorable }}
{{- with $extender.managedResources }}
managedResources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .files }}
enableHTTPS: true
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "moorage.extender.host" -}}
{{- printf "%s-extender.%s.svc" (include "moorage.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "moorage.tls.serverSecret" -}}
{{- $tls := .Values.extender.service.tls -}}
{{- if eq $tls.source "Secret" -}}
{{- required "extender.service.tls.serverSecret: name the Secret with tls.crt, tls.key and ca.crt, or choose another extender.service.tls.source" $tls.serverSecret -}}
{{- else -}}
{{- printf "%s-extender-server" (include "moorage.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "moorage.tls.clientSecret" -}}
{{- .Values.extender.service.tls.clientSecret | default (printf "%s-extender-client" (include "moorage.fullname" .)) -}}
{{- end -}}

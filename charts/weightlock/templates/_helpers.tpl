{{/* Labels of every object. */}}
{{- define "weightlock.labels" -}}
app.kubernetes.io/name: weightlock
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What selects the pods of a component; never more, since selectors cannot change. */}}
{{- define "weightlock.selector" -}}
app.kubernetes.io/name: weightlock
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* The image of one of .Values.images, by digest. Context: root, name. */}}
{{- define "weightlock.image" -}}
{{- $image := index .root.Values.images .name -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else if and $image.tag .root.Values.images.allowTags -}}
{{ $image.repository }}:{{ $image.tag }}
{{- else if $image.tag -}}
{{ fail (printf "images.%s: found the tag %s, expected a digest: a tag is whatever somebody moves it to. Set images.%s.digest, or images.allowTags=true on a test cluster." .name $image.tag .name) }}
{{- else -}}
{{ fail (printf "images.%s.digest: missing, expected sha256:... of the image that you built or pulled" .name) }}
{{- end -}}
{{- end }}

{{/* Namespaces that are never judged, as a JSON list: the values' and the release's own. */}}
{{- define "weightlock.exempt" -}}
{{ append .Values.exemptNamespaces .Release.Namespace | uniq | toJson }}
{{- end }}

{{/*
The objects of a file that kustomize uses too, moved to the release's namespace.
Context: root, file. Yields YAML documents.
*/}}
{{- define "weightlock.objects" -}}
{{- $root := .root -}}
{{- $exempt := include "weightlock.exempt" $root | fromJsonArray -}}
{{- range $text := splitList "\n---\n" (required (printf "the chart lacks %s" .file) ($root.Files.Get .file)) }}
{{- $object := fromYaml $text }}
{{- if hasKey $object "Error" }}{{ fail (printf "%s: %s" $.file $object.Error) }}{{ end }}
{{- if $object.kind }}
{{- $labels := include "weightlock.labels" $root | fromYaml }}
{{- $_ := set $object.metadata "labels" (merge $labels (default dict $object.metadata.labels)) }}
{{- if $object.metadata.namespace }}
{{- $_ := set $object.metadata "namespace" $root.Release.Namespace }}
{{- end }}
{{- range $object.subjects }}
{{- $_ := set . "namespace" $root.Release.Namespace }}
{{- end }}
{{- range $object.webhooks }}
{{- $_ := set .clientConfig.service "namespace" $root.Release.Namespace }}
{{- range (default dict .namespaceSelector).matchExpressions }}
{{- if and (eq .key "kubernetes.io/metadata.name") (eq .operator "NotIn") }}
{{- $_ := set . "values" $exempt }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $object.webhooks (eq $root.Values.tls.mode "certManager") }}
{{- $from := printf "%s/weightlock-webhook" $root.Release.Namespace }}
{{- $_ := set $object.metadata "annotations" (dict "cert-manager.io/inject-ca-from" $from) }}
{{- end }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Servers before 1.21 do not write the label that exempts a namespace by its name. Without it the webhook's
own pods would have to wait for the webhook. `lookup` finds nothing outside of a cluster.
*/}}
{{- define "weightlock.checkNameLabels" -}}
{{- if and (semverCompare "<1.21-0" .Capabilities.KubeVersion.Version) (lookup "v1" "Namespace" "" "kube-system") }}
{{- range $name := include "weightlock.exempt" . | fromJsonArray }}
{{- $labels := dig "metadata" "labels" "kubernetes.io/metadata.name" "" (lookup "v1" "Namespace" "" $name) }}
{{- if ne $labels $name }}
{{- fail (printf "this Kubernetes does not label namespaces with their name. Before you install: kubectl create namespace %s; kubectl label namespace %s kubernetes.io/metadata.name=%s" $name $name $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Takes CEL rules out of a schema. Old servers would drop them by themselves, but helm checks objects
against what the server knows, and refuses.
*/}}
{{- define "weightlock.withoutCel" -}}
{{- if kindIs "map" . }}
{{- $_ := unset . "x-kubernetes-validations" }}
{{- range $child := . }}{{ include "weightlock.withoutCel" $child }}{{ end }}
{{- else if kindIs "slice" . }}
{{- range $child := . }}{{ include "weightlock.withoutCel" $child }}{{ end }}
{{- end }}
{{- end }}

{{/* What pods of both processes have in common, in the Restricted profile. */}}
{{- define "weightlock.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "weightlock.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "weightlock.probes" -}}
livenessProbe:
  httpGet: {path: /healthz, port: http}
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* Replicas on different nodes where there are as many. */}}
{{- define "weightlock.affinity" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "weightlock.selector" . | nindent 12 }}
{{- end }}

{{/* Variables that both processes read. */}}
{{- define "weightlock.env" -}}
- name: WEIGHTLOCK_NAMESPACE
  value: {{ .Release.Namespace }}
- name: WEIGHTLOCK_VERIFIER_IMAGE
  value: {{ include "weightlock.image" (dict "root" . "name" "verifier") }}
- name: WEIGHTLOCK_VERIFIER_CPU_IMAGE
  value: {{ include "weightlock.image" (dict "root" . "name" "verifierCpu") }}
- name: WEIGHTLOCK_ALLOW_TAGS
  value: {{ .Values.images.allowTags | quote }}
- name: WEIGHTLOCK_EXEMPT_NAMESPACES
  value: {{ include "weightlock.exempt" . | fromJsonArray | join "," }}
{{- with .Values.forbiddenHostPaths }}
- name: WEIGHTLOCK_FORBIDDEN_HOST_PATHS
  value: {{ join "," . | quote }}
{{- end }}
- name: WEIGHTLOCK_LOG_FORMAT
  value: {{ .Values.logFormat }}
{{- end }}

{{- define "weightlock.operatorEnv" -}}
{{ include "weightlock.env" . }}
- name: WEIGHTLOCK_IMAGE_PULL_POLICY
  value: {{ .Values.images.pullPolicy }}
{{- with .Values.images.pullSecrets }}
- name: WEIGHTLOCK_IMAGE_PULL_SECRETS
  value: {{ join "," . }}
{{- end }}
{{- with .Values.operator.verifierImageIds }}
- name: WEIGHTLOCK_VERIFIER_IMAGE_IDS
  value: {{ join "," . }}
{{- end }}
- name: WEIGHTLOCK_STATE_DIR
  value: /tmp
- name: WEIGHTLOCK_WORKERS
  value: {{ .Values.operator.workers | quote }}
{{- end }}

{{- define "weightlock.webhookEnv" -}}
{{ include "weightlock.env" . }}
- name: WEIGHTLOCK_OPERATOR_USER
  value: system:serviceaccount:{{ .Release.Namespace }}:weightlock-operator
- name: WEIGHTLOCK_TLS_MODE
  value: {{ if eq .Values.tls.mode "certManager" }}files{{ else }}self{{ end }}
{{- if eq .Values.tls.mode "certManager" }}
- name: WEIGHTLOCK_INJECT_CA_FROM
  value: {{ .Release.Namespace }}/weightlock-webhook
{{- end }}
{{- if .Values.webhook.clientCaConfigMap }}
- name: WEIGHTLOCK_CLIENT_CA
  value: /client-ca/ca.crt
{{- end }}
- name: WEIGHTLOCK_WITHOUT_POLICY
  value: {{ .Values.webhook.admitWithoutPolicy | quote }}
- name: WEIGHTLOCK_RUNTIME_CLASSES
  value: {{ join "," .Values.webhook.runtimeClasses | quote }}
{{- with .Values.webhook.deviceClasses }}
- name: WEIGHTLOCK_DEVICE_CLASSES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.webhook.jobManagers }}
- name: WEIGHTLOCK_JOB_MANAGERS
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}

{{/*
Further variables. Kubernetes takes the last of two with one name, so one that the chart sets itself would
silently win over a value, and what the webhook believes would no longer be what its configurations say.
Context: extra, env (rendered), where.
*/}}
{{- define "weightlock.extraEnv" -}}
{{- $set := list -}}
{{- range fromYamlArray .env }}{{ $set = append $set .name }}{{ end -}}
{{- range .extra -}}
{{- if has .name $set -}}
{{- fail (printf "%s: found %s, expected no variable that the chart sets: use its value instead" $.where .name) -}}
{{- end -}}
{{- end -}}
{{- toYaml .extra -}}
{{- end }}

{{- define "weightlock.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/*
The newest version of flow control that the server has. Rendered without a server, helm knows every
version, so what its own version says counts too.
*/}}
{{- define "weightlock.flowControlVersion" -}}
{{- $found := .Values.flowControl.apiVersion -}}
{{- $root := . -}}
{{- range $each := list (list "v1" "1.29") (list "v1beta3" "1.26") (list "v1beta2" "1.23") (list "v1beta1" "1.20") -}}
{{- $has := $root.Capabilities.APIVersions.Has (printf "flowcontrol.apiserver.k8s.io/%s" (first $each)) -}}
{{- if and (not $found) $has (semverCompare (printf ">=%s-0" (last $each)) $root.Capabilities.KubeVersion.Version) -}}
{{- $found = first $each -}}
{{- end -}}
{{- end -}}
{{- if not $found -}}
{{- fail "flowControl.enabled: the cluster has no flowcontrol.apiserver.k8s.io, expected Kubernetes 1.20 or later with API Priority and Fairness. Set flowControl.enabled=false." -}}
{{- end -}}
{{- $found -}}
{{- end }}

{{/* The chart's name. */}}
{{- define "stepfleet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name in names of objects: once, not twice, where it says the chart's name already. */}}
{{- define "stepfleet.fullname" -}}
{{- $name := include "stepfleet.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
The name of one of our objects: the release's name and a suffix, 63 characters at most. What is
too long loses its end to a hash of the whole, so that two long names stay two.
(list $ "suffix")
*/}}
{{- define "stepfleet.objectName" -}}
{{- $name := printf "%s-%s" (include "stepfleet.fullname" (index . 0)) (index . 1) -}}
{{- if gt (len $name) 63 -}}
{{- printf "%s-%s" (trunc 54 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/*
What selects the pods of a component. Selectors are forever: nothing else ever belongs here.
(list $ "name" "component")
*/}}
{{- define "stepfleet.selector" -}}
app.kubernetes.io/name: {{ index . 1 | quote }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 2 | quote }}
{{- end -}}

{{/* All labels of an object. (list $ "name" "component") */}}
{{- define "stepfleet.labels" -}}
{{- $ := index . 0 -}}
{{ include "stepfleet.selector" . }}
app.kubernetes.io/part-of: stepfleet
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" | quote }}
{{- with $.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
The labels of pods: nothing that changes with the chart's version, which would replace every worker.
(list $ "name" "component" podLabels)
*/}}
{{- define "stepfleet.podLabels" -}}
{{ include "stepfleet.selector" . }}
app.kubernetes.io/part-of: stepfleet
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with index . 3 }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image. (list $ image) */}}
{{- define "stepfleet.image" -}}
{{- $ := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := printf "%s/%s" $.Values.image.registry $image.name -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (coalesce $image.tag $.Values.image.tag $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/*
A map with another laid over it, as JSON: maps are merged, everything else is replaced, null
removes. sprig's own merge loses false and 0. (list base over)
*/}}
{{- define "stepfleet.merged" -}}
{{- $merged := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $merged $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $merged $key)) -}}
{{- $_ := set $merged $key (include "stepfleet.merged" (list (get $merged $key) $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $merged $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $merged -}}
{{- end -}}

{{/* Environment of a container: everybody's, then what beats it, by name. (list $ env) */}}
{{- define "stepfleet.env" -}}
{{- $ := index . 0 -}}
{{- $common := include "stepfleet.merged" (list (dict "RUST_LOG" $.Values.logging.level) $.Values.env) | fromJson -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- range $name, $value := include "stepfleet.merged" (list $common (index . 1)) | fromJson }}
- name: {{ $name | quote }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* A pod of Pod Security's profile 'restricted'. */}}
{{- define "stepfleet.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "stepfleet.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Both probes. (list liveness readiness) */}}
{{- define "stepfleet.probes" -}}
livenessProbe:
  httpGet:
    path: /healthz
    port: http
{{ toYaml (index . 0) | indent 2 }}
readinessProbe:
  httpGet:
    path: /readyz
    port: http
{{ toYaml (index . 1) | indent 2 }}
{{- end -}}

{{/* Topology spread with our selector. (list constraints selector) */}}
{{- define "stepfleet.topologySpread" -}}
{{- $selector := index . 1 | fromYaml -}}
{{- range index . 0 }}
- {{ toYaml . | nindent 2 | trim }}
  labelSelector:
    matchLabels:
      {{- toYaml $selector | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* Where a pod may run. */}}
{{- define "stepfleet.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Annotations of a ServiceAccount: the role for IRSA, and what is said. */}}
{{- define "stepfleet.serviceAccountAnnotations" -}}
{{- with .roleArn }}
eks.amazonaws.com/role-arn: {{ . | quote }}
{{- end }}
{{- with .annotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The name of a ServiceAccount that there is one of. (list $ "component" serviceAccount) */}}
{{- define "stepfleet.serviceAccountName" -}}
{{- $account := index . 2 -}}
{{- if $account.create -}}
{{- $account.name | default (include "stepfleet.objectName" (list (index . 0) (index . 1))) -}}
{{- else -}}
{{- $account.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "stepfleet.autoscaler.serviceAccountName" -}}
{{- include "stepfleet.serviceAccountName" (list . "autoscaler" .Values.autoscaler.serviceAccount) -}}
{{- end -}}

{{- define "stepfleet.trigger.serviceAccountName" -}}
{{- include "stepfleet.serviceAccountName" (list . "trigger" .Values.trigger.serviceAccount) -}}
{{- end -}}

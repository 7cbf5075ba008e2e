{{/* Names and labels. What deploy/operator.yaml installs has the names of a release "td-redis-operator": it can be taken over. */}}
{{- define "operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "operator.name" . -}}
{{- (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Cluster-wide objects of two releases must not have one name. */}}
{{- define "operator.clusterName" -}}
{{- $fullname := include "operator.fullname" . -}}
{{- if eq $fullname (include "operator.namespace" .) -}}
{{- $fullname -}}
{{- else -}}
{{- printf "%s-%s" $fullname (include "operator.namespace" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Never changed: a Deployment's selector cannot be. */}}
{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ include "operator.fullname" . }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "operator.serviceAccount" -}}
{{- default (.Values.serviceAccount.create | ternary (include "operator.fullname" .) "default") .Values.serviceAccount.name -}}
{{- end -}}

{{- define "operator.priorityClass" -}}
{{- default (.Values.priorityClass.create | ternary (include "operator.clusterName" .) "") .Values.priorityClass.name -}}
{{- end -}}

{{- define "operator.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ $tag }}{{ end -}}
{{- end -}}

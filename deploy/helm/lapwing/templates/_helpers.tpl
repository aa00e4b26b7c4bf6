{{- define "lapwing.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "lapwing.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "lapwing.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "lapwing.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "lapwing.selector" -}}
app.kubernetes.io/name: {{ include "lapwing.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lapwing.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "lapwing.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "lapwing.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "lapwing.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* What the chart sets wins over what the values say: services and probes depend on it. */}}
{{- define "lapwing.embedded" -}}
{{- if ne (dig "storage" "mode" "embedded" .Values.config) "server" }}yes{{ end }}
{{- end }}

{{- define "lapwing.config" -}}
{{- $set := dict
  "data_dir" "/var/lib/lapwing"
  "receivers" (dict "otlp" (dict "grpc" (dict "listen" "0.0.0.0:4317") "http" (dict "listen" "0.0.0.0:4318")))
  "admin" (dict "listen" "0.0.0.0:4319") }}
{{- if include "lapwing.embedded" . }}
{{- $_ := set $set "storage" (dict "embedded" (dict "listen" "0.0.0.0:8123")) }}
{{- end }}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $set) }}
{{- end }}

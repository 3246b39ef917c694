{{- define "stillhouse.labels" -}}
app.kubernetes.io/part-of: stillhouse
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "stillhouse.tag" -}}
{{ .Values.images.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "stillhouse.image" -}}
{{- $values := (index . 0).Values.images }}
{{- $values.registry }}/{{ index . 1 }}:{{ include "stillhouse.tag" (index . 0) }}{{ with get $values.digests (index . 1) }}@{{ . }}{{ end }}
{{- end }}

{{- define "stillhouse.priorityClass" -}}
{{- /* Of the whole cluster, so that its own name tells releases apart. */ -}}
{{ .Values.stages.priorityClass.name | default (printf "%s-%s-stage" .Release.Namespace .Release.Name) }}
{{- end }}

{{- define "stillhouse.stageAccount" -}}
{{ .Values.identity.stageAccount | default (printf "%s-stage" .Release.Name) }}
{{- end }}

{{- /* The volume of model files that pods share: a name of yours, or one by the release; empty without one. */ -}}
{{- define "stillhouse.claim" -}}
{{ .Values.models.claim | default (.Values.models.create | ternary (printf "%s-models" .Release.Name) "") }}
{{- end }}

{{- define "stillhouse.mlflowUri" -}}
{{ .Values.mlflow.enabled | ternary (printf "http://%s-mlflow:5000" .Release.Name) .Values.mlflow.uri }}
{{- end }}

{{- define "stillhouse.storeEndpoint" -}}
{{ .Values.store.seaweedfs.enabled | ternary (printf "http://%s-store:8333" .Release.Name) .Values.store.endpoint }}
{{- end }}

{{- /* What every pod of ours gets: no root, no token, no capability, a read-only image. */ -}}
{{- define "stillhouse.podSecurity" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.images.pullSecret }}
imagePullSecrets:
  - name: {{ . }}
{{- end }}
{{- end }}

{{- define "stillhouse.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- /* Replicas with these labels go to different nodes where there are several. */ -}}
{{- define "stillhouse.apart" -}}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- toYaml . | nindent 14 }}
{{- end }}

{{- /* Addresses and ports as rules of a network policy. */ -}}
{{- define "stillhouse.addresses" -}}
{{- range . }}
- to:
    - ipBlock:
        cidr: {{ .cidr }}
        {{- with .except }}
        except: {{ toJson . }}
        {{- end }}
  ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . | int }}}
    {{- end }}
{{- end }}
{{- end }}

{{- /* (list context name): the objects of the named template. Their pods get what `pods` in the values says of every pod of the chart. */ -}}
{{- define "stillhouse.dressed" -}}
{{- $context := index . 0 }}
{{- range $text := regexSplit "(?m)^---\\s*$" (include (index . 1) $context) -1 }}
{{- $object := fromYaml $text }}
{{- with $object.Error }}{{ fail . }}{{ end }}
{{- if $object }}
{{- if eq $object.kind "Pod" }}
{{- include "stillhouse.dress" (list $object $object.metadata.name $context.Values.pods) }}
{{- else if eq $object.kind "CronJob" }}
{{- include "stillhouse.dress" (list $object.spec.jobTemplate.spec.template $object.metadata.name $context.Values.pods) }}
{{- else if has $object.kind (list "Deployment" "StatefulSet" "Job") }}
{{- include "stillhouse.dress" (list $object.spec.template $object.metadata.name $context.Values.pods) }}
{{- end }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}

{{- /* (list pod name values): changes the pod in place and prints nothing. What the chart itself sets stays. */ -}}
{{- define "stillhouse.dress" -}}
{{- $pod := index . 0 }}
{{- $name := index . 1 }}
{{- $values := index . 2 }}
{{- range $field := list "labels" "annotations" }}
{{- with get $values $field }}
{{- $_ := set $pod.metadata $field (merge (get $pod.metadata $field | default dict) .) }}
{{- end }}
{{- end }}
{{- range $field := list "nodeSelector" "priorityClassName" "runtimeClassName" }}
{{- with get $values $field }}
{{- if not (hasKey $pod.spec $field) }}{{ $_ := set $pod.spec $field . }}{{ end }}
{{- end }}
{{- end }}
{{- with $values.tolerations }}
{{- $_ := set $pod.spec "tolerations" (concat ($pod.spec.tolerations | default list) .) }}
{{- end }}
{{- range $secret := $values.imagePullSecrets }}
{{- $_ := set $pod.spec "imagePullSecrets" (append ($pod.spec.imagePullSecrets | default list) (dict "name" $secret) | uniq) }}
{{- end }}
{{- range $volume := $values.volumes }}
{{- $volumes := $pod.spec.volumes | default list }}
{{- range $volumes }}
{{- if eq .name $volume.name }}{{ fail (printf "pods.volumes: %s already has a volume %s; choose another name" $name .name) }}{{ end }}
{{- end }}
{{- $_ := set $pod.spec "volumes" (append $volumes $volume) }}
{{- end }}
{{- range $container := concat ($pod.spec.initContainers | default list) $pod.spec.containers }}
{{- include "stillhouse.dressContainer" (list $container $name $values) }}
{{- end }}
{{- end }}

{{- /* (list container name values): adds the variables that the container does not set itself, and the mounts. */ -}}
{{- define "stillhouse.dressContainer" -}}
{{- $container := index . 0 }}
{{- $name := index . 1 }}
{{- $values := index . 2 }}
{{- $own := list }}
{{- range $container.env }}{{ $own = append $own .name }}{{ end }}
{{- range $variable := $values.env }}
{{- if not (has $variable.name $own) }}
{{- $_ := set $container "env" (append ($container.env | default list) $variable) }}
{{- end }}
{{- end }}
{{- range $mount := $values.volumeMounts }}
{{- $mounts := $container.volumeMounts | default list }}
{{- range $mounts }}
{{- if eq .mountPath $mount.mountPath }}{{ fail (printf "pods.volumeMounts: %s already has a volume at %s; choose another path" $name .mountPath) }}{{ end }}
{{- end }}
{{- $_ := set $container "volumeMounts" (append $mounts $mount) }}
{{- end }}
{{- end }}

{{- /* Names and pieces that several templates share. */ -}}

{{- /* K10's name for this server: its own rules, people and scripts know it. */ -}}
{{- define "keepwatch.name" -}}aggregatedapis-svc{{- end }}

{{- /* For objects without a namespace. */ -}}
{{- define "keepwatch.clusterName" -}}{{ .Release.Namespace }}-{{ include "keepwatch.name" . }}{{- end }}

{{- /* Where K10 is. K10's own chart takes it for granted that this is the release's namespace. */ -}}
{{- define "keepwatch.k10Namespace" -}}
{{- .Values.k10Namespace | default .Release.Namespace -}}
{{- end }}

{{- /* What K10's aggregated groups end in, as K10's chart has it. Nothing public shows that the custom
resources of config.kio.kasten.io move too, so they stay. */ -}}
{{- define "keepwatch.apiDomain" -}}
{{- if .Values.useNamespacedAPI -}}
kio.{{ include "keepwatch.k10Namespace" . | replace "-" "." }}
{{- else -}}
kio.kasten.io
{{- end -}}
{{- end }}

{{- /* Group and version of everything that is aggregated. */ -}}
{{- define "keepwatch.apiservices" -}}
{{- .Files.Get "files/apiservices.yaml" | replace "kio.kasten.io" (include "keepwatch.apiDomain" .) -}}
{{- end }}

{{- define "keepwatch.account" -}}
{{- .Values.serviceAccount.name | default (include "keepwatch.name" .) -}}
{{- end }}

{{- define "keepwatch.selector" -}}
component: aggregatedapis
run: {{ include "keepwatch.name" . }}
{{- end }}

{{- define "keepwatch.labels" -}}
{{ include "keepwatch.selector" . }}
app.kubernetes.io/name: keepwatch
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "keepwatch.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* The Secret with the serving certificate; the server derives the same name. */ -}}
{{- define "keepwatch.certificateSecret" -}}
{{- if eq .Values.certificate.provider "secret" -}}
{{- .Values.certificate.secretName | required "certificate.secretName is needed with certificate.provider=secret" -}}
{{- else -}}
{{ include "keepwatch.name" . }}-tls
{{- end -}}
{{- end }}

{{- define "keepwatch.policy" -}}
{{- if eq .Values.auditPolicy.name "custom" -}}
{{- .Values.auditPolicy.custom | required "auditPolicy.custom is needed with auditPolicy.name=custom" -}}
{{- else -}}
{{- $text := .Files.Get (printf "files/policy-%s.yaml" .Values.auditPolicy.name) -}}
{{- $aggregated := "group: (actions|apps|repositories|vault|dr)[.]kio[.]kasten[.]io" -}}
{{- regexReplaceAll $aggregated $text (printf "group: ${1}.%s" (include "keepwatch.apiDomain" .)) -}}
{{- end -}}
{{- end }}

{{- /* "true" if audit lines go to a file. */ -}}
{{- define "keepwatch.toFile" -}}
{{- with .Values.siem.logging.cluster -}}
{{- if and .enabled .file.enabled (ne .file.path "-") -}}true{{- end -}}
{{- end -}}
{{- end }}

{{- /* A size such as 16Gi as a number of Mi. */ -}}
{{- define "keepwatch.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- if hasSuffix "Ti" . -}}{{ mul $number 1048576 }}
{{- else if hasSuffix "Gi" . -}}{{ mul $number 1024 }}
{{- else -}}{{ $number }}{{- end -}}
{{- end }}

{{- /* What no schema can say. */ -}}
{{- define "keepwatch.check" -}}
{{- $limit := include "keepwatch.mebibytes" .Values.journal.limit | int64 -}}
{{- if gt (include "keepwatch.mebibytes" .Values.journal.retentionSize | int64) $limit -}}
{{- fail (printf "journal.retentionSize=%s is more than journal.limit=%s" .Values.journal.retentionSize .Values.journal.limit) -}}
{{- end -}}
{{- if and .Values.persistence.enabled (not .Values.persistence.existingClaim) (le (include "keepwatch.mebibytes" .Values.persistence.size | int64) $limit) -}}
{{- fail (printf "persistence.size=%s must be more than journal.limit=%s" .Values.persistence.size .Values.journal.limit) -}}
{{- end -}}
{{- $file := .Values.siem.logging.cluster.file.path -}}
{{- if include "keepwatch.toFile" . -}}
{{- range list "/var/lib/keepwatch/" "/etc/" "/var/run/secrets/" -}}
{{- if hasPrefix . $file -}}
{{- fail (printf "siem.logging.cluster.file.path=%s is in a folder of the server's own" $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The command line of `keepwatch serve`. */ -}}
{{- define "keepwatch.arguments" -}}
- serve
- --secure-port={{ .Values.service.aggregatedApiPort }}
- --data-dir=/var/lib/keepwatch
{{- if eq .Values.certificate.provider "self" }}
- --tls-service={{ .Release.Namespace }}/{{ include "keepwatch.name" . }}
{{- else }}
- --tls-cert-file=/etc/keepwatch/tls/tls.crt
- --tls-private-key-file=/etc/keepwatch/tls/tls.key
{{- end }}
- --audit-policy-file=/etc/kubernetes/agg-audit-policy.yaml
{{- with .Values.siem.logging }}
- --enable-k10-audit-cluster={{ .cluster.enabled }}
{{- if include "keepwatch.toFile" $ }}
- --audit-log-file={{ .cluster.file.path }}
- --audit-log-file-size={{ .cluster.file.size }}
- --audit-log-maxbackup={{ .cluster.file.maxBackups }}
- --audit-log-maxage={{ .cluster.file.maxAge }}
{{- else }}
- --audit-log-file=-
{{- end }}
- --audit-log-format={{ .cluster.format }}
{{- with .cluster.lineSize }}
- --audit-line-size={{ int64 . }}
{{- end }}
- --siem-signals-match-k10-filter={{ .signals.matchK10Filter }}
- --heartbeat={{ .heartbeat }}
- --enable-k10-audit-cloud-aws-s3={{ .cloud.awsS3.enabled }}
- --audit-cloud-path={{ .cloud.path }}
{{- end }}
- --siem-detection={{ .Values.siem.detection.enabled }}
{{- with .Values.destinations }}
{{- with .namespaces }}
- --audit-config-namespaces={{ join "," . }}
{{- end }}
{{- with .endpoints }}
- --audit-endpoints={{ join "," . }}
{{- end }}
{{- with .ownCredentialsEndpoints }}
- --audit-own-credentials-endpoints={{ join "," . }}
{{- end }}
{{- with .allowedNetworks }}
- --audit-allowed-networks={{ join "," . }}
{{- end }}
{{- with .refusedNetworks }}
- --audit-refused-networks={{ join "," . }}
{{- end }}
{{- if .plainHttp }}
- --audit-plain-http=true
{{- end }}
{{- with .stsEndpoint }}
- --audit-sts-endpoint={{ . }}
{{- end }}
{{- if .caConfigMap }}
- --audit-ca-file=/etc/keepwatch/destinations/ca.crt
{{- end }}
{{- if .claims }}
- --audit-volumes=/mnt/claims
{{- end }}
- --audit-seal-size={{ .sealSize }}
- --audit-seal-age={{ .sealAge }}
{{- end }}
{{- if .Values.useNamespacedAPI }}
- --k10-api-domain={{ include "keepwatch.apiDomain" . }}
{{- end }}
{{- with .Values.k10Namespace }}
- --k10-namespace={{ . }}
{{- end }}
{{- with .Values.clusterName }}
- {{ printf "--cluster-name=%s" . | quote }}
{{- end }}
- --journal-retention-age={{ .Values.journal.retentionAge }}
- --journal-retention-size={{ .Values.journal.retentionSize }}
- --journal-limit={{ .Values.journal.limit }}
- --history={{ .Values.journal.history }}
- --max-requests-inflight={{ .Values.limits.maxRequestsInflight }}
- --max-mutating-requests-inflight={{ .Values.limits.maxMutatingRequestsInflight }}
- --request-timeout={{ .Values.limits.requestTimeout }}
- --shutdown-delay-duration={{ .Values.limits.shutdownDelay }}
- --log-format={{ .Values.logFormat }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

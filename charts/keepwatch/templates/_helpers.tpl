{{- /* Templates that several files use. */ -}}

{{- /* Every file begins with this template. A missing or null value gets its default, because `--reuse-values`
restores the values of an older release, which lack newer ones. Free-form maps are not changed. */ -}}
{{- define "keepwatch.defaults" -}}
{{- $values := .Values -}}
{{- range $path, $default := .Files.Get "files/defaults.yaml" | fromYaml -}}
{{- $keys := splitList "." $path -}}
{{- $section := $values -}}
{{- range initial $keys -}}
{{- if not (kindIs "map" (get $section .)) -}}
{{- $_ := set $section . (dict) -}}
{{- end -}}
{{- $section = get $section . -}}
{{- end -}}
{{- if or (not (hasKey $section (last $keys))) (kindIs "invalid" (get $section (last $keys))) -}}
{{- $_ := set $section (last $keys) $default -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* K10's name for this server, which K10's rules and users' scripts refer to. */ -}}
{{- define "keepwatch.name" -}}aggregatedapis-svc{{- end }}

{{- /* The name of cluster-scoped objects. */ -}}
{{- define "keepwatch.clusterName" -}}{{ .Release.Namespace }}-{{ include "keepwatch.name" . }}{{- end }}

{{- /* The namespace of K10. K10's own chart assumes the namespace of the release. */ -}}
{{- define "keepwatch.k10Namespace" -}}
{{- .Values.k10Namespace | default .Release.Namespace -}}
{{- end }}

{{- /* The domain of K10's aggregated groups, as in K10's chart. No public source shows that the group
config.kio.kasten.io changes too, so it does not. */ -}}
{{- define "keepwatch.apiDomain" -}}
{{- if .Values.useNamespacedAPI -}}
kio.{{ include "keepwatch.k10Namespace" . | replace "-" "." }}
{{- else -}}
kio.kasten.io
{{- end -}}
{{- end }}

{{- /* Group and version of all aggregated APIs. */ -}}
{{- define "keepwatch.apiservices" -}}
{{- .Files.Get "files/apiservices.yaml" | replace "kio.kasten.io" (include "keepwatch.apiDomain" .) -}}
{{- end }}

{{- /* Those that this release registers. Behind the proxy, K10's own chart registers K10's. */ -}}
{{- define "keepwatch.registered" -}}
{{- range include "keepwatch.apiservices" . | fromYamlArray -}}
{{- if or (not $.Values.proxy.enabled) (eq .group "siem.keepwatch.io") }}
- group: {{ .group }}
  version: {{ .version }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The port of the Service for Keepwatch's own API, and its name. */ -}}
{{- define "keepwatch.apiServicePort" -}}
{{- if .Values.proxy.enabled -}}{{ int64 .Values.proxy.servicePort }}{{- else -}}{{ int64 .Values.service.port }}{{- end -}}
{{- end }}

{{- define "keepwatch.apiPortName" -}}
{{- if .Values.proxy.enabled -}}api{{- else -}}https{{- end -}}
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
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "keepwatch.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* The name of this cluster in the events of the admission webhook. */ -}}
{{- define "keepwatch.admissionCluster" -}}
{{- .Values.admissionWebhook.cluster | default .Values.clusterName -}}
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

{{- /* "true" if the platform assigns each namespace its user and group IDs. */ -}}
{{- define "keepwatch.onOpenShift" -}}
{{- if eq .Values.platform "auto" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}true{{- end -}}
{{- else if eq .Values.platform "openshift" -}}true{{- end -}}
{{- end }}

{{- /* A number without exponent: Helm reads a million from a file as 1e+06. */ -}}
{{- define "keepwatch.digits" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end }}

{{- /* The pod's security context, without the image's own IDs if the platform assigns them. */ -}}
{{- define "keepwatch.podSecurityContext" -}}
{{- $default := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- $context := deepCopy (.Values.podSecurityContext | default $default) -}}
{{- range list "runAsUser" "runAsGroup" "fsGroup" -}}
{{- if hasKey $context . -}}
{{- if kindIs "invalid" (get $context .) -}}
{{- $_ := unset $context . -}}
{{- else if not (regexMatch "^[0-9]{1,10}$" (include "keepwatch.digits" (get $context .))) -}}
{{- fail (printf "podSecurityContext.%s=%v is not an ID: set a number from 0" . (get $context .)) -}}
{{- else if and (include "keepwatch.onOpenShift" $) (eq (int64 (get $context .)) 65532) -}}
{{- $_ := unset $context . -}}
{{- else -}}
{{- $_ := set $context . (int64 (get $context .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $context -}}
{{- end }}

{{- /* The container's security context. */ -}}
{{- define "keepwatch.securityContext" -}}
{{- toYaml (.Values.securityContext | default (dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")))) -}}
{{- end }}

{{- /* The ServiceAccount's token, the cluster's CA and the namespace. */ -}}
{{- define "keepwatch.accountVolume" -}}
projected:
  defaultMode: 0440
  sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: 3607
    - configMap:
        name: kube-root-ca.crt
        items:
          - {key: ca.crt, path: ca.crt}
    - downwardAPI:
        items:
          - path: namespace
            fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}
{{- end }}

{{- /* The volume name of a claim. The name of a claim may be longer than that of a volume, and may have dots. */ -}}
{{- define "keepwatch.claimVolume" -}}
claim-{{ . | replace "." "-" | trunc 57 | trimSuffix "-" }}
{{- end }}

{{- /* The volume for the folder of the file; by default an emptyDir. */ -}}
{{- define "keepwatch.fileVolume" -}}
{{- $volume := deepCopy (.Values.siem.logging.cluster.file.volume | default (dict)) -}}
{{- if gt (len $volume) 1 -}}
{{- $_ := unset $volume "emptyDir" -}}
{{- end -}}
{{- if gt (len $volume) 1 -}}
{{- fail (printf "siem.logging.cluster.file.volume has several volume sources: %s" (keys $volume | sortAlpha | join ", ")) -}}
{{- end -}}
{{- toYaml ($volume | default (dict "emptyDir" (dict))) -}}
{{- end }}

{{- /* The forwarder of audit logs. No Service selects its pods. */ -}}
{{- define "keepwatch.forwarderName" -}}audit-log-forwarder{{- end }}

{{- define "keepwatch.forwarderSelector" -}}
component: {{ include "keepwatch.forwarderName" . }}
run: {{ include "keepwatch.forwarderName" . }}
{{- end }}

{{- define "keepwatch.forwarderLabels" -}}
{{ include "keepwatch.forwarderSelector" . }}
app.kubernetes.io/name: keepwatch-forward
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* Validation that the schema cannot express. */ -}}
{{- define "keepwatch.check" -}}
{{- $limit := include "keepwatch.mebibytes" .Values.journal.limit | int64 -}}
{{- if gt (include "keepwatch.mebibytes" .Values.journal.retentionSize | int64) $limit -}}
{{- fail (printf "journal.retentionSize=%s is more than journal.limit=%s" .Values.journal.retentionSize .Values.journal.limit) -}}
{{- end -}}
{{- if and .Values.persistence.enabled (not .Values.persistence.existingClaim) (le (include "keepwatch.mebibytes" .Values.persistence.size | int64) $limit) -}}
{{- fail (printf "persistence.size=%s must be more than journal.limit=%s" .Values.persistence.size .Values.journal.limit) -}}
{{- end -}}
{{- with .Values.auditWebhook -}}
{{- if and .enabled (not .clusters) -}}
{{- fail "auditWebhook.enabled needs names in auditWebhook.clusters" -}}
{{- end -}}
{{- if and .enabled (not .clusterTokensSecretName) (not .tokenSecretName) (not .clientCaSecretName) -}}
{{- fail "auditWebhook.enabled needs auditWebhook.clusterTokensSecretName, auditWebhook.tokenSecretName or auditWebhook.clientCaSecretName" -}}
{{- end -}}
{{- if and .enabled .clientNames (not .clientCaSecretName) -}}
{{- fail "auditWebhook.clientNames needs auditWebhook.clientCaSecretName" -}}
{{- end -}}
{{- if and .enabled (eq (int64 .port) (int64 $.Values.service.aggregatedApiPort)) -}}
{{- fail "auditWebhook.port must differ from service.aggregatedApiPort" -}}
{{- end -}}
{{- end -}}
{{- with .Values.bucketSources -}}
{{- if and .sources .s3Endpoint (not .credentialsSecretName) -}}
{{- fail "bucketSources.s3Endpoint needs bucketSources.credentialsSecretName: the pod's own cloud credentials go to AWS only" -}}
{{- end -}}
{{- end -}}
{{- with .Values.auditLogForwarder -}}
{{- if and .enabled (not .webhookConfigSecretName) -}}
{{- fail "auditLogForwarder.enabled needs auditLogForwarder.webhookConfigSecretName" -}}
{{- end -}}
{{- if lt (include "keepwatch.mebibytes" .bufferSize | int64) 16 -}}
{{- fail (printf "auditLogForwarder.bufferSize=%s must be at least 16Mi" .bufferSize) -}}
{{- end -}}
{{- end -}}
{{- with .Values.admissionWebhook -}}
{{- if .enabled -}}
{{- if not (include "keepwatch.admissionCluster" $) -}}
{{- fail "admissionWebhook.enabled needs a name in clusterName or admissionWebhook.cluster" -}}
{{- end -}}
{{- if and (not .token) (not .tokenSecretName) (not .clientCaSecretName) -}}
{{- fail "admissionWebhook.enabled needs admissionWebhook.token, admissionWebhook.tokenSecretName or admissionWebhook.clientCaSecretName" -}}
{{- end -}}
{{- if not .groups -}}
{{- fail "admissionWebhook.enabled needs names in admissionWebhook.groups" -}}
{{- end -}}
{{- if has (int64 .port) (list (int64 $.Values.service.aggregatedApiPort) (int64 $.Values.auditWebhook.port)) -}}
{{- fail "admissionWebhook.port must differ from service.aggregatedApiPort and auditWebhook.port" -}}
{{- end -}}
{{- if eq (int64 .servicePort) (int64 $.Values.service.port) -}}
{{- fail "admissionWebhook.servicePort must differ from service.port" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "keepwatch.checkProxy" . -}}
{{- $file := .Values.siem.logging.cluster.file.path -}}
{{- if include "keepwatch.toFile" . -}}
{{- range list "/var/lib/keepwatch/" "/etc/" "/var/run/secrets/" "/keepwatch/" "/mnt/claims/" -}}
{{- if hasPrefix . $file -}}
{{- fail (printf "siem.logging.cluster.file.path=%s is in a folder that the server uses itself" $file) -}}
{{- end -}}
{{- end -}}
{{- if or (regexMatch "^/(dev|proc|sys)/|/[.]{1,2}(/|$)" $file) (contains ":" (dir $file)) -}}
{{- fail (printf "siem.logging.cluster.file.path=%s is not in a folder at which a volume can be mounted" $file) -}}
{{- end -}}
{{- end -}}
{{- include "keepwatch.checkNames" . -}}
{{- end }}

{{- define "keepwatch.checkProxy" -}}
{{- with .Values.proxy -}}
{{- if .enabled -}}
{{- if not .upstream -}}
{{- fail "proxy.enabled needs the URL of the API server in proxy.upstream" -}}
{{- end -}}
{{- if and (not .upstreamCaSecretName) (not .upstreamInsecureSkipTlsVerify) -}}
{{- fail "proxy.enabled needs proxy.upstreamCaSecretName, or proxy.upstreamInsecureSkipTlsVerify" -}}
{{- end -}}
{{- if and .upstreamCaSecretName .upstreamInsecureSkipTlsVerify -}}
{{- fail "proxy.upstreamCaSecretName and proxy.upstreamInsecureSkipTlsVerify exclude each other" -}}
{{- end -}}
{{- if contains (printf ".%s.svc" $.Release.Namespace) .upstream -}}
{{- fail (printf "proxy.upstream=%s is in the namespace of the release: install the proxy in a namespace of its own" .upstream) -}}
{{- end -}}
{{- $ports := list (int64 $.Values.service.aggregatedApiPort) -}}
{{- $servicePorts := list (int64 $.Values.service.port) -}}
{{- if $.Values.auditWebhook.enabled -}}
{{- $ports = append $ports (int64 $.Values.auditWebhook.port) -}}
{{- end -}}
{{- if $.Values.admissionWebhook.enabled -}}
{{- $ports = append $ports (int64 $.Values.admissionWebhook.port) -}}
{{- $servicePorts = append $servicePorts (int64 $.Values.admissionWebhook.servicePort) -}}
{{- end -}}
{{- if has (int64 .apiPort) $ports -}}
{{- fail (printf "proxy.apiPort=%v is the port of another listener" (int64 .apiPort)) -}}
{{- end -}}
{{- if has (int64 .servicePort) $servicePorts -}}
{{- fail (printf "proxy.servicePort=%v is another port of the Service" (int64 .servicePort)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Rejects values that conflict with what the chart sets itself. */ -}}
{{- define "keepwatch.checkNames" -}}
{{- $labels := include "keepwatch.labels" . | fromYaml -}}
{{- range $value, $given := dict "podLabels" .Values.podLabels "serviceMonitor.labels" .Values.serviceMonitor.labels -}}
{{- range $label, $_ := $given -}}
{{- if hasKey $labels $label -}}
{{- fail (printf "%s: label %s is set by the chart" $value $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if hasKey (.Values.podAnnotations | default dict) "checksum/audit-policy" -}}
{{- fail "podAnnotations: annotation checksum/audit-policy is set by the chart" -}}
{{- end -}}
{{- $volumes := list "data" "audit-policy" "account" "tls" "audit-log" "destinations-ca" "audit-webhook-clusters" "audit-webhook-tokens" "audit-webhook-ca" "audit-webhook-tls" "upstream-ca" -}}
{{- range uniq .Values.destinations.claims -}}
{{- $volume := include "keepwatch.claimVolume" . -}}
{{- if has $volume $volumes -}}
{{- fail (printf "destinations.claims: %s would have the same volume name %s as another claim" . $volume) -}}
{{- end -}}
{{- $volumes = append $volumes $volume -}}
{{- end -}}
{{- range .Values.extraVolumes -}}
{{- if has (toString .name) $volumes -}}
{{- fail (printf "extraVolumes: volume %v is used by the chart" .name) -}}
{{- end -}}
{{- end -}}
{{- $own := include "keepwatch.ownArguments" . -}}
{{- range .Values.extraArgs -}}
{{- $flag := regexFind "^--[a-z0-9-]+" . -}}
{{- if regexMatch (printf "(?m)^- \"?%s=" $flag) $own -}}
{{- fail (printf "extraArgs: %s is set by the chart; docs/reference/values.md lists its value" $flag) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The command line of `keepwatch serve` or `keepwatch proxy`. */ -}}
{{- define "keepwatch.arguments" -}}
{{- /* Kubernetes expands $(NAME) in arguments; a doubled $ stays as it is. */ -}}
{{- include "keepwatch.ownArguments" . | replace "$" "$$" }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- /* The flags that the chart's values set. */ -}}
{{- define "keepwatch.ownArguments" -}}
{{- if .Values.proxy.enabled }}
- proxy
{{- with .Values.proxy }}
- {{ printf "--upstream=%s" .upstream | quote }}
{{- with .upstreamServerName }}
- {{ printf "--upstream-server-name=%s" . | quote }}
{{- end }}
{{- if .upstreamInsecureSkipTlsVerify }}
- --upstream-insecure-skip-tls-verify
{{- else }}
- --upstream-ca-file=/etc/keepwatch/upstream-ca/ca.crt
{{- end }}
- {{ printf "--api-port=%v" (int64 .apiPort) | quote }}
{{- end }}
{{- else }}
- serve
{{- end }}
- {{ printf "--secure-port=%v" (int64 .Values.service.aggregatedApiPort) | quote }}
- --data-dir=/var/lib/keepwatch
{{- if eq .Values.certificate.provider "self" }}
- {{ printf "--tls-service=%s/%s" .Release.Namespace (include "keepwatch.name" .) | quote }}
{{- else }}
- --tls-cert-file=/etc/keepwatch/tls/tls.crt
- --tls-private-key-file=/etc/keepwatch/tls/tls.key
{{- end }}
- --audit-policy-file=/etc/kubernetes/agg-audit-policy.yaml
{{- with .Values.siem.logging }}
- {{ printf "--enable-k10-audit-cluster=%v" (.cluster.enabled) | quote }}
{{- if include "keepwatch.toFile" $ }}
- {{ printf "--audit-log-file=%v" (.cluster.file.path) | quote }}
- {{ printf "--audit-log-file-size=%v" (int64 .cluster.file.size) | quote }}
- {{ printf "--audit-log-maxbackup=%v" (int64 .cluster.file.maxBackups) | quote }}
- {{ printf "--audit-log-maxage=%v" (int64 .cluster.file.maxAge) | quote }}
{{- else }}
- --audit-log-file=-
{{- end }}
- {{ printf "--audit-log-format=%v" (.cluster.format) | quote }}
- {{ printf "--audit-line-size=%v" (int64 .cluster.lineSize) | quote }}
- {{ printf "--audit-log-resume-from=%v" (.cluster.resumeFrom) | quote }}
- {{ printf "--siem-signals-match-k10-filter=%v" (.signals.matchK10Filter) | quote }}
- {{ printf "--heartbeat=%v" (.heartbeat) | quote }}
- {{ printf "--enable-k10-audit-cloud-aws-s3=%v" (.cloud.awsS3.enabled) | quote }}
- {{ printf "--audit-cloud-path=%v" (.cloud.path) | quote }}
{{- end }}
- {{ printf "--siem-detection=%v" (.Values.siem.detection.enabled) | quote }}
{{- with .Values.destinations }}
{{- with .namespaces }}
- {{ printf "--audit-config-namespaces=%v" (uniq . | join ",") | quote }}
{{- end }}
{{- with .endpoints }}
- {{ printf "--audit-endpoints=%v" (join "," .) | quote }}
{{- end }}
{{- with .ownCredentialsEndpoints }}
- {{ printf "--audit-own-credentials-endpoints=%v" (join "," .) | quote }}
{{- end }}
{{- with .allowedNetworks }}
- {{ printf "--audit-allowed-networks=%v" (join "," .) | quote }}
{{- end }}
{{- with .refusedNetworks }}
- {{ printf "--audit-refused-networks=%v" (join "," .) | quote }}
{{- end }}
{{- if .plainHttp }}
- --audit-plain-http=true
{{- end }}
{{- with .stsEndpoint }}
- {{ printf "--audit-sts-endpoint=%v" (.) | quote }}
{{- end }}
{{- if .caConfigMap }}
- --audit-ca-file=/etc/keepwatch/destinations/ca.crt
{{- end }}
{{- if .claims }}
- --audit-volumes=/mnt/claims
{{- end }}
- {{ printf "--audit-seal-size=%v" (.sealSize) | quote }}
- {{ printf "--audit-seal-age=%v" (.sealAge) | quote }}
{{- end }}
{{- with .Values.auditWebhook }}
{{- if .enabled }}
- {{ printf "--audit-webhook-port=%v" (int64 .port) | quote }}
- {{ printf "--audit-webhook-clusters=%v" (uniq .clusters | join ",") | quote }}
{{- if .clusterTokensSecretName }}
- --audit-webhook-token-dir=/etc/keepwatch/audit-webhook-clusters
{{- end }}
{{- if .tokenSecretName }}
- --audit-webhook-token-file=/etc/keepwatch/audit-webhook-tokens/tokens
{{- end }}
{{- if .clientCaSecretName }}
- --audit-webhook-client-ca-file=/etc/keepwatch/audit-webhook-ca/ca.crt
{{- end }}
{{- with .clientNames }}
- {{ printf "--audit-webhook-client-names=%s" (uniq . | join ",") | quote }}
{{- end }}
{{- if .tlsSecretName }}
- --audit-webhook-tls-cert-file=/etc/keepwatch/audit-webhook-tls/tls.crt
- --audit-webhook-tls-private-key-file=/etc/keepwatch/audit-webhook-tls/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.bucketSources }}
{{- if .sources }}
{{- range .sources }}
- {{ printf "--bucket-source=%s=%s" .cluster .url | quote }}
{{- end }}
- {{ printf "--bucket-source-poll-period=%v" .pollPeriod | quote }}
- {{ printf "--bucket-source-quiet-period=%v" .quietPeriod | quote }}
{{- with .s3Endpoint }}
- {{ printf "--bucket-source-s3-endpoint=%s" . | quote }}
{{- end }}
{{- with .s3Region }}
- {{ printf "--bucket-source-s3-region=%s" . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.admissionWebhook }}
{{- if .enabled }}
- {{ printf "--admission-webhook-port=%v" (int64 .port) | quote }}
- {{ printf "--admission-webhook-clusters=%v" (include "keepwatch.admissionCluster" $) | quote }}
{{- if .token }}
- --admission-webhook-token-dir=/etc/keepwatch/admission-webhook-clusters
{{- end }}
{{- if .tokenSecretName }}
- --admission-webhook-token-file=/etc/keepwatch/admission-webhook-tokens/tokens
{{- end }}
{{- if .clientCaSecretName }}
- --admission-webhook-client-ca-file=/etc/keepwatch/admission-webhook-ca/ca.crt
{{- end }}
{{- if eq $.Values.certificate.provider "self" }}
- {{ printf "--admission-webhook-configuration=%v" (include "keepwatch.clusterName" $) | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.useNamespacedAPI }}
- {{ printf "--k10-api-domain=%v" (include "keepwatch.apiDomain" .) | quote }}
{{- end }}
{{- with .Values.k10Namespace }}
- {{ printf "--k10-namespace=%v" (.) | quote }}
{{- end }}
{{- with .Values.clusterName }}
- {{ printf "--cluster-name=%s" . | quote }}
{{- end }}
- {{ printf "--journal-retention-age=%v" (.Values.journal.retentionAge) | quote }}
- {{ printf "--journal-retention-size=%v" (.Values.journal.retentionSize) | quote }}
- {{ printf "--journal-limit=%v" (.Values.journal.limit) | quote }}
- {{ printf "--history=%v" (.Values.journal.history) | quote }}
- {{ printf "--max-requests-inflight=%v" (int64 .Values.limits.maxRequestsInflight) | quote }}
- {{ printf "--max-mutating-requests-inflight=%v" (int64 .Values.limits.maxMutatingRequestsInflight) | quote }}
- {{ printf "--request-timeout=%v" (.Values.limits.requestTimeout) | quote }}
- {{ printf "--shutdown-delay-duration=%v" (.Values.limits.shutdownDelay) | quote }}
- {{ printf "--log-format=%v" (.Values.logFormat) | quote }}
{{- end }}

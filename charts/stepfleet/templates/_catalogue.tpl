{{/* The catalogue's text, as it was given. */}}
{{- define "stepfleet.catalogue.text" -}}
{{- $given := .Values.catalogue -}}
{{- if and $given.text $given.inline -}}
{{- fail "the catalogue is given twice: keep catalogue.text or catalogue.inline" -}}
{{- else if $given.text -}}
{{- $given.text -}}
{{- else if $given.inline -}}
{{- toYaml $given.inline -}}
{{- else -}}
{{- fail "there is no catalogue: give it by --set-file catalogue.text=fleet.yaml, or as catalogue.inline in the values" -}}
{{- end -}}
{{- end -}}

{{/*
The catalogue, parsed, as JSON. Only what the chart itself needs is checked here; `helm test`
and the programs check the rest and say every fault with its line.
*/}}
{{- define "stepfleet.catalogue" -}}
{{- $catalogue := include "stepfleet.catalogue.text" . | fromYaml -}}
{{- if hasKey $catalogue "Error" -}}
{{- fail (printf "the catalogue is no YAML: %s" (get $catalogue "Error")) -}}
{{- end -}}
{{- range list "fleet" "aws" "deployments" "activities" -}}
{{- if not (get $catalogue .) -}}
{{- fail (printf "the catalogue says no `%s`: check it with `autoscaler check --catalogue fleet.yaml`" .) -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$" (toString $catalogue.fleet)) -}}
{{- fail (printf "the catalogue's fleet %q names a Lease: lower-case letters, digits and inner hyphens, at most 52" (toString $catalogue.fleet)) -}}
{{- end -}}
{{- range $name, $_ := $.Values.workers -}}
{{- if not (hasKey $catalogue.deployments $name) -}}
{{- fail (printf "workers.%s: the catalogue has no deployment of this name; it has %s" $name (keys $catalogue.deployments | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- range $name, $activity := $catalogue.activities -}}
{{- if not (hasKey $catalogue.deployments (toString (get $activity "deployment"))) -}}
{{- fail (printf "activities.%s.deployment: the catalogue has no deployment %q; it has %s" $name (toString (get $activity "deployment")) (keys $catalogue.deployments | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- toJson $catalogue -}}
{{- end -}}

{{/*
A span of the catalogue in milliseconds: `90s`, `15m`, `1h 30m`, as humantime reads them.
(list "where" "15m")
*/}}
{{- define "stepfleet.milliseconds" -}}
{{- $where := index . 0 -}}
{{- $text := toString (index . 1) -}}
{{- if not (regexMatch "^ *([0-9]+ *[A-Za-z]+ *)+$" $text) -}}
{{- fail (printf "%s: %q is no duration like `90s`, `15m` or `1h 30m`" $where $text) -}}
{{- end -}}
{{- $units := dict
  "millis" 1 "msec" 1 "ms" 1
  "seconds" 1000 "second" 1000 "secs" 1000 "sec" 1000 "s" 1000
  "minutes" 60000 "minute" 60000 "mins" 60000 "min" 60000 "m" 60000
  "hours" 3600000 "hour" 3600000 "hrs" 3600000 "hr" 3600000 "h" 3600000
  "days" 86400000 "day" 86400000 "d" 86400000
  "weeks" 604800000 "week" 604800000 "wks" 604800000 "wk" 604800000 "w" 604800000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+ *[A-Za-z]+" $text -1 -}}
{{- $unit := regexFind "[A-Za-z]+" . -}}
{{- if not (hasKey $units $unit) -}}
{{- fail (printf "%s: %q has a unit that the chart does not know: use ms, s, m, h, d or w" $where $text) -}}
{{- end -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" . | int64) (get $units $unit | int64)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* The activities of a deployment, by name, as JSON. (list catalogue "deployment") */}}
{{- define "stepfleet.activities" -}}
{{- $deployment := index . 1 -}}
{{- $served := dict -}}
{{- range $name, $activity := (index . 0).activities -}}
{{- if eq (toString $activity.deployment) $deployment -}}
{{- $_ := set $served $name $activity -}}
{{- end -}}
{{- end -}}
{{- if not $served -}}
{{- fail (printf "deployments.%s: no activity names it, so its workers would have nothing to serve" $deployment) -}}
{{- end -}}
{{- toJson $served -}}
{{- end -}}

{{/*
The drain of a deployment in seconds, rounded up: what it says, or the defaults, or the longest
timeout of its activities plus 60 s for the open poll plus 30 s for the report. The same rule as
the catalogue's. (list catalogue "deployment")
*/}}
{{- define "stepfleet.drainSeconds" -}}
{{- $catalogue := index . 0 -}}
{{- $name := index . 1 -}}
{{- $defaults := get $catalogue "defaults" | default dict -}}
{{- $said := coalesce (get (get $catalogue.deployments $name | default dict) "drain") (get $defaults "drain") -}}
{{- $drain := 0 -}}
{{- if $said -}}
{{- $drain = include "stepfleet.milliseconds" (list (printf "deployments.%s.drain" $name) $said) | int64 -}}
{{- else -}}
{{- $common := get (get $defaults "worker" | default dict) "timeout" -}}
{{- range $activity, $entry := include "stepfleet.activities" . | fromJson -}}
{{- $timeout := coalesce (get (get $entry "worker" | default dict) "timeout") $common "15m" -}}
{{- $drain = max $drain (include "stepfleet.milliseconds" (list (printf "activities.%s.worker.timeout" $activity) $timeout) | int64) -}}
{{- end -}}
{{- $drain = add $drain 90000 -}}
{{- end -}}
{{- div (add $drain 999) 1000 -}}
{{- end -}}

{{/*
What a worker of a deployment reads of the catalogue, as JSON: bounds, damping, mode, signals and
alarms are the autoscaler's, and a change of theirs restarts no worker. (list $ catalogue "deployment")
*/}}
{{- define "stepfleet.workersPart" -}}
{{- $ := index . 0 -}}
{{- $catalogue := index . 1 -}}
{{- $name := index . 2 -}}
{{- $activities := dict -}}
{{- range $activity, $entry := include "stepfleet.activities" (list $catalogue $name) | fromJson -}}
{{- $_ := set $activities $activity (omit $entry "alarms") -}}
{{- end -}}
{{- $part := dict
  "fleet" $catalogue.fleet
  "aws" $catalogue.aws
  "warehouses" (get $catalogue "warehouses")
  "defaults" (pick (get $catalogue "defaults" | default dict) "worker" "objective")
  "activities" $activities
  "drain" (include "stepfleet.drainSeconds" (list $catalogue $name)) -}}
{{- toJson $part -}}
{{- end -}}

{{/*
The settings of one worker Deployment, as JSON: `worker` with `workers.<name>` over it, and what
follows from the catalogue. (list $ catalogue "deployment")
*/}}
{{- define "stepfleet.worker" -}}
{{- $ := index . 0 -}}
{{- $catalogue := index . 1 -}}
{{- $name := index . 2 -}}
{{- $worker := include "stepfleet.merged" (list $.Values.worker (get $.Values.workers $name | default dict)) | fromJson -}}
{{- $drain := include "stepfleet.drainSeconds" (list $catalogue $name) | int64 -}}
{{- $grace := get $worker "terminationGracePeriodSeconds" -}}
{{- if not $grace -}}
{{- $grace = add $drain 30 -}}
{{- else if le (int64 $grace) $drain -}}
{{- fail (printf "workers.%s: terminationGracePeriodSeconds %d is not above the drain of %d s: tasks would be killed while they finish; raise it, or lower deployments.%s.drain in the catalogue" $name (int64 $grace) $drain $name) -}}
{{- end -}}
{{- $_ := set $worker "terminationGracePeriodSeconds" $grace -}}
{{- $account := $worker.serviceAccount -}}
{{- if not $account.name -}}
{{- $_ := set $account "name" (ternary (include "stepfleet.objectName" (list $ $name)) "default" $account.create) -}}
{{- end -}}
{{- toJson $worker -}}
{{- end -}}

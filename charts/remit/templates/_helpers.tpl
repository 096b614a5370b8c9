{{- /* The image of a part, which the user must name. Called with (list ROOT PART). */ -}}
{{- define "remit.image" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- required (printf "images.%s must name an image: --set images.%s=..." $part $part) (index $root.Values.images $part) | quote -}}
{{- end -}}

"""The templates of the Helm charts, made from the same manifests as every other way to install. Pure.

A value that the user may set stands in a manifest as a mark, which becomes Helm's own words once the rest is YAML.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from remit.api.kinds import KINDS
from remit.api.names import INSTALL_NAMESPACE
from remit.codegen.admission import admission_manifests
from remit.codegen.crd import crd
from remit.codegen.rbac import rbac_manifests
from remit.codegen.releases import PARTS, WATCH_HOME, Manifest, Read, written
from remit.codegen.render import NOTICE, to_yaml
from remit.codegen.scoped import namespaced_manifests

KEEP: Final = {"helm.sh/resource-policy": "keep"}
KEPT: Final = frozenset({"PersistentVolumeClaim", "ConfigMap"})
"""What proves the past outlives a release."""
NEWEST: Final = "MutatingAdmissionPolicy"
MARK: Final = re.compile(r"'?<<(?P<words>[^<>]+)>>'?")
BLOCK: Final = re.compile(r"^(?P<indent> *)(?P<key>\w+): '?<<block (?P<value>[\w.]+)>>'?$", re.MULTILINE)
OPTION: Final = re.compile(r"^(?P<indent> *)(?P<key>\w+): '?<<option (?P<value>[\w.]+)>>'?$", re.MULTILINE)
HOME: Final = re.compile(r"^(?P<indent> *)- '?<<home>>'?$", re.MULTILINE)
IMAGES: Final = {"remit-controller": "controller", "remit-gateway": "gateway", "remit-harness": "harness"}


def chart_files(read: Read) -> dict[str, str]:
    """Return every template that is made; the others, few, are written by hand beside them."""
    made = {f"charts/remit-crds/templates/{kind.plural}.yaml": crd_template(crd(kind)) for kind in KINDS}
    folder = "charts/remit/templates"
    made[f"{folder}/rbac.yaml"] = either(template(rbac_manifests()), template(namespaced_manifests()))
    policies = [each for each in admission_manifests() if not each["kind"].startswith(NEWEST)]
    newest = [each for each in admission_manifests() if each["kind"].startswith(NEWEST)]
    made[f"{folder}/admission.yaml"] = when(CLUSTER_WIDE, template(policies))
    served = f'.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/{NEWEST}"'
    made[f"{folder}/admission-newest.yaml"] = when(f"and ({CLUSTER_WIDE}) ({served})", template(newest))
    for part in PARTS:
        made[f"{folder}/{part}.yaml"] = template(map(settable, written(read, (part,))))
    return made


CLUSTER_WIDE: Final = 'eq .Values.scope "Cluster"'


def when(condition: str, text: str) -> str:
    """Return a template that is there under a condition."""
    return f"{NOTICE}{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"


def either(whole: str, one: str) -> str:
    """Return a template with one text for the whole cluster and one for a single namespace."""
    return f"{NOTICE}{{{{- if {CLUSTER_WIDE} }}}}\n{whole}{{{{- else }}}}\n{one}{{{{- end }}}}\n"


def crd_template(manifest: Manifest) -> str:
    """Return the template of a CRD: upgraded with the chart, and never deleted with it."""
    metadata = {**manifest["metadata"], "annotations": {**manifest["metadata"].get("annotations", {}), **KEEP}}
    return literal(to_yaml([{**manifest, "metadata": metadata}]))


def template(manifests: Iterable[Manifest]) -> str:
    """Return manifests as Helm reads them, of the release's namespace."""
    text = literal(to_yaml(manifests)).replace(INSTALL_NAMESPACE, "{{ .Release.Namespace }}")
    for form, become in ((BLOCK, _block), (OPTION, _option), (HOME, _home)):
        text = form.sub(become, text)
    return MARK.sub(lambda found: f"{{{{ {found['words']} }}}}", text)


def literal(text: str) -> str:
    """Return the text, which must mean to Helm what it says."""
    if "{{" in text:
        raise ValueError("a manifest holds {{, which Helm would read as its own")
    return text


def _block(found: re.Match[str]) -> str:
    """Return a field that is there when its value is."""
    indent, key, value = found["indent"], found["key"], found["value"]
    depth = len(indent) + 2
    return (
        f"{indent}{{{{- with .Values.{value} }}}}\n{indent}{key}:\n"
        f"{indent}  {{{{- toYaml . | nindent {depth} }}}}\n{indent}{{{{- end }}}}"
    )


def _option(found: re.Match[str]) -> str:
    """Return a line that is there when its value is."""
    indent, key, value = found["indent"], found["key"], found["value"]
    return f"{indent}{{{{- with .Values.{value} }}}}\n{indent}{key}: {{{{ . | quote }}}}\n{indent}{{{{- end }}}}"


def _home(found: re.Match[str]) -> str:
    """Return the variable that is there when Remit looks after one namespace."""
    lines = to_yaml([WATCH_HOME]).removeprefix(NOTICE).splitlines()
    entry = "\n".join(f"{found['indent']}{'- ' if number == 0 else '  '}{line}" for number, line in enumerate(lines))
    return f'{found["indent"]}{{{{- if eq .Values.scope "Namespace" }}}}\n{entry}\n{found["indent"]}{{{{- end }}}}'


def settable(manifest: Manifest) -> Manifest:
    """Return the manifest with marks where values go."""
    match manifest["kind"]:
        case "Deployment":
            return deployment(manifest)
        case "PersistentVolumeClaim":
            spec = {**manifest["spec"], "resources": {"requests": {"storage": "<<.Values.ledger.size | quote>>"}}}
            return kept({**manifest, "spec": {**spec, "storageClassName": "<<option ledger.storageClassName>>"}})
        case "ConfigMap":
            return kept(manifest)
        case _:
            return manifest


def kept(manifest: Manifest) -> Manifest:
    """Return the manifest of what stays when the release goes."""
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": KEEP}}


def deployment(manifest: Manifest) -> Manifest:
    """Return a Deployment with marks for images, resources and places."""
    spec = manifest["spec"]
    name = spec["template"]["spec"]["containers"][0]["name"]
    containers = [
        {
            **each,
            "image": image(each["image"]),
            "imagePullPolicy": "<<.Values.imagePullPolicy>>",
            "env": [*map(variable, each["env"]), "<<home>>"],
            "resources": f"<<block {name}.resources>>",
        }
        for each in spec["template"]["spec"]["containers"]
    ]
    pod: dict[str, Any] = {
        **spec["template"]["spec"],
        "containers": containers,
        "imagePullSecrets": "<<block imagePullSecrets>>",
        "nodeSelector": "<<block nodeSelector>>",
        "tolerations": "<<block tolerations>>",
        "priorityClassName": "<<option priorityClassName>>",
    }
    replicas = {"replicas": "<<.Values.controller.replicas>>"} if name == "controller" else {}
    return {**manifest, "spec": {**spec, **replicas, "template": {**spec["template"], "spec": pod}}}


def image(name: str) -> str:
    """Return the mark of an image that the user must name."""
    return f'<<include "remit.image" (list . "{IMAGES[name]}")>>'


def variable(entry: Manifest) -> Manifest:
    """Return a variable; one that names an image has its mark."""
    return {**entry, "value": image(entry["value"])} if entry.get("value") in IMAGES else entry

"""`remit lint`: says before `kubectl apply` what the apiserver or the controller would refuse. Offline.

The files are taken for all that there is: what they refer to must be among them, unless --partial says that a cluster
holds the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from pydantic import ValidationError

from remit.adapters.cel import CelEngine
from remit.adapters.schemas import JsonSchemaEngine
from remit.api.kinds import KINDS
from remit.api.meta import API_VERSION, DNS_SUBDOMAIN
from remit.api.names import INSTALL_NAMESPACE
from remit.api.reasons import ObjectReason
from remit.cli.lint_schema import faults_by_schema
from remit.cli.manifests import ManifestsError, find_root
from remit.core.compile import compile_bundle
from remit.core.faults import Fault, faults_of_agent, faults_of_grant, faults_of_policy, path_of
from remit.core.prepare import Refusal

app = typer.Typer(help="Say what is wrong with objects before they are applied.", no_args_is_help=True)
Object = dict[str, Any]
RULES, SCHEMAS = CelEngine(), JsonSchemaEngine()
SPECS: Final = {kind.name: kind.spec for kind in KINDS}
OF_THE_REST: Final = frozenset({ObjectReason.NO_POLICY, ObjectReason.NO_BUDGET, ObjectReason.MODEL_NOT_GRANTED})
"""What is missing in the files may be on the cluster."""
LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class Source:
    """One object, and the file that it is from."""

    file: str
    thing: Object

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return str(self.thing.get("kind", ""))

    @property
    def key(self) -> tuple[str, str, str]:
        """Kind, namespace and name."""
        metadata = self.thing.get("metadata") or {}
        return self.kind, str(metadata.get("namespace", "default")), str(metadata.get("name", ""))


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one object."""

    source: Source
    fault: Fault

    def line(self) -> str:
        """Return it as one line: FILE: KIND/NAME: PLACE: REASON: MESSAGE."""
        kind, _, name = self.source.key
        return f"{self.source.file}: {kind}/{name}: {self.fault.place}: {self.fault.reason}: {self.fault.message}"


def lint(sources: Iterable[Source], schemas: Mapping[str, Any], *, partial: bool = False) -> list[Finding]:
    """Return all that is wrong with objects of Remit; others are only looked at for what they say about them."""
    everything = list(sources)
    ours = [source for source in everything if source.thing.get("apiVersion") == API_VERSION]
    found = [Finding(source, fault) for source in ours for fault in faults_of(source.thing, schemas.get(source.kind))]
    wrong = {id(finding.source) for finding in found}
    sound = [source for source in ours if id(source) not in wrong]
    labels = {
        source.key[2]: source.thing["metadata"].get("labels") or {} for source in everything if is_namespace(source)
    }
    found += list(_of_agents(sound, labels, partial=partial))
    return [*found, *_of_runs(sound, partial=partial)]


def is_namespace(source: Source) -> bool:
    """Tell whether the object is a Namespace."""
    return source.thing.get("apiVersion") == "v1" and source.kind == "Namespace"


def faults_of(thing: Object, schema: Any) -> list[Fault]:
    """Return what is wrong with one object, whatever else there is."""
    if schema is None:
        return [Fault("kind", ObjectReason.INVALID_SPEC, f"no kind of {API_VERSION}: {', '.join(SPECS)}")]
    name = str((thing.get("metadata") or {}).get("name", ""))
    if not re.fullmatch(DNS_SUBDOMAIN, name) or len(name) > LONGEST_NAME:
        return [Fault("metadata.name", ObjectReason.INVALID_SPEC, "must be a DNS name: a-z, 0-9, - and .")]
    return faults_by_schema(thing, schema) or list(_by_model(thing))


def _by_model(thing: Object) -> Iterator[Fault]:
    """Yield what Remit itself sees wrong in an object of the right form."""
    try:
        spec: Any = SPECS[thing["kind"]].model_validate(thing.get("spec") or {})
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        yield from (Fault(path_of(fault["loc"]), ObjectReason.INVALID_SPEC, fault["msg"]) for fault in faults)
        return
    match thing["kind"]:
        case "Policy":
            yield from (*_floors(thing), *faults_of_policy(spec, RULES))
        case "ToolGrant":
            yield from faults_of_grant(spec, RULES, SCHEMAS)
        case "Agent":
            yield from faults_of_agent(spec, SCHEMAS)
        case _:
            return


def _floors(policy: Object) -> Iterator[Fault]:
    home = policy["metadata"].get("namespace", "default")
    if "namespaceSelector" in policy["spec"] and home != INSTALL_NAMESPACE:
        reason, why = (
            ObjectReason.NAMESPACE_SELECTOR_NOT_ALLOWED,
            f"is for policies of namespace {INSTALL_NAMESPACE} only",
        )
        yield Fault("spec.namespaceSelector", reason, f"{why}: the platform's floor")


def _of_agents(sources: list[Source], labels: Mapping[str, Mapping[str, str]], *, partial: bool) -> Iterator[Finding]:
    """Compile each agent with the grants and policies of the files, as the controller does."""
    stored = {source.key: as_stored(source) for source in sources}
    of_kind = {kind: [thing for key, thing in stored.items() if key[0] == kind] for kind in SPECS}
    for source in sources:
        if source.kind != "Agent":
            continue
        namespace = source.key[1]
        outcome = compile_bundle(
            stored[source.key],
            of_kind["ToolGrant"],
            of_kind["Policy"],
            namespace_labels={"kubernetes.io/metadata.name": namespace, **labels.get(namespace, {})},
            install_namespace=INSTALL_NAMESPACE,
            rules=RULES,
            schemas=SCHEMAS,
        )
        if isinstance(outcome, Refusal) and not (partial and outcome.reason in OF_THE_REST):
            place, _, message = (
                outcome.message.partition(": ") if outcome.message.startswith("spec.") else ("spec", "", "")
            )
            yield Finding(source, Fault(place, outcome.reason, message or outcome.message))


def as_stored(source: Source) -> Object:
    """Return the object with what the apiserver adds to it."""
    metadata = {"namespace": source.key[1], "uid": "-", "generation": 1, **source.thing["metadata"]}
    return {**source.thing, "metadata": metadata}


def _of_runs(sources: list[Source], *, partial: bool) -> Iterator[Finding]:
    """Look at what runs refer to."""
    agents = {source.key: source.thing for source in sources if source.kind == "Agent"}
    for source in sources:
        if source.kind != "AgentRun":
            continue
        spec = source.thing["spec"]
        agent = agents.get(("Agent", source.key[1], spec["agent"]))
        if agent is None and not partial:
            why = f"no Agent {spec['agent']} in namespace {source.key[1]}"
            yield Finding(source, Fault("spec.agent", ObjectReason.INVALID_SPEC, why))
        if agent is not None and spec["purpose"] not in agent["spec"]["purposes"]:
            why = f"{spec['purpose']} is not one of agent {spec['agent']}: {', '.join(agent['spec']['purposes'])}"
            yield Finding(source, Fault("spec.purpose", ObjectReason.INVALID_SPEC, why))


def load(paths: Iterable[Path]) -> Iterator[Source]:
    """Yield every object of the files, and of the YAML files in folders; raises yaml.YAMLError and OSError."""
    for path in paths:
        files = sorted([*path.rglob("*.yaml"), *path.rglob("*.yml")]) if path.is_dir() else [path]
        for file in files:
            for document in yaml.safe_load_all(file.read_text()):
                if isinstance(document, dict):
                    listed = document.get("items") if document.get("kind") == "List" else None
                    yield from (
                        Source(str(file), thing) for thing in (listed if isinstance(listed, list) else [document])
                    )


def schemas_of_kinds() -> dict[str, Any]:
    """Return the schema of each kind, from the CRDs."""
    crds = [yaml.safe_load(path.read_text()) for path in sorted((find_root() / "crds").glob("*s.yaml"))]
    return {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds}


@app.command("lint")
def lint_command(
    files: Annotated[list[Path], typer.Argument(help="YAML files, or folders of them.", exists=True)],
    partial: Annotated[bool, typer.Option("--partial", help="A cluster holds more than these files.")] = False,
) -> None:
    """Say what the apiserver or the controller would refuse, and where; exit code 1 when there is anything."""
    try:
        sources = list(load(files))
        findings = lint(sources, schemas_of_kinds(), partial=partial)
    except (yaml.YAMLError, OSError, ManifestsError) as error:
        print(" ".join(str(error).split()))
        raise typer.Exit(1) from error
    for finding in findings:
        print(finding.line())
    if findings:
        raise typer.Exit(1)
    print(f"{sum(source.thing.get('apiVersion') == API_VERSION for source in sources)} objects are well")

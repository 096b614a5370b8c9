"""A cluster on which tests install Remit in every way there is, and see that it governs a run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.support.guards import until_guards_stand
from tests.support.kube import Kube
from tests.support.objects import a_grant, a_policy, a_run, an_agent
from tests.support.polling import eventually

from remit.api.names import INSTALL_NAMESPACE, SIDECAR_PORT
from remit.api.wire import STEP_PATH
from remit.cli import check
from remit.cli.install import Images, Target, uninstall
from remit.cli.manifests import Scope, find_root, set_images
from remit.cluster import Cluster
from remit.core.conditions import find_condition

Object = dict[str, Any]


BEGUN = "the gateway knows that work has begun"
WAITER = f"""
import time, urllib.request
while True:
    try:
        step = urllib.request.Request("http://127.0.0.1:{SIDECAR_PORT}{STEP_PATH}", data=b'{{"step": 1}}')
        step.add_header("Content-Type", "application/json")
        urllib.request.urlopen(step).read()
        print("{BEGUN}", flush=True)
        break
    except OSError as error:
        print(error, flush=True)
        time.sleep(1)
time.sleep(3600)
"""
"""What an agent does that says that it begins, and then does nothing for as long as it is let."""


@dataclass(frozen=True)
class Place:
    """The cluster, with the images of this tree."""

    cluster: Cluster
    images: Images

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Run kubectl as an admin."""
        return self.cluster.kubectl(*arguments, given=given)

    def get(self, *what: str) -> Object:
        """Return what kubectl gets; empty when there is none."""
        found: Object = json.loads(self.kubectl("get", *what, "--ignore-not-found", "-o", "json") or "{}")
        return found

    def names(self, *what: str) -> set[str]:
        """Return the names of what kubectl gets."""
        return set(self.kubectl("get", *what, "--ignore-not-found", "-o", "name").split())

    def create(self, namespace: str, *things: Object) -> None:
        """Create objects as a user who leaves the requester out."""
        for thing in things:
            spec = {key: value for key, value in thing["spec"].items() if key != "requester"}
            made = {**thing, "metadata": {**thing["metadata"], "namespace": namespace}, "spec": spec}
            self.kubectl("create", "-f", "-", given=json.dumps(made))

    def file(self, name: str, namespace: str = INSTALL_NAMESPACE) -> str:
        """Return a file of manifests/ with the images of this tree, as a user makes it with an editor."""
        text = (find_root() / "manifests" / name).read_text().replace(INSTALL_NAMESPACE, namespace)
        manifests = list(yaml.safe_load_all(text))
        for manifest in manifests:
            if manifest["kind"] == "Deployment":
                set_images(manifest, self.images)
        return yaml.safe_dump_all(manifests, sort_keys=False)

    def apply(self, text: str) -> None:
        """Apply on the server's side."""
        self.kubectl("apply", "--server-side", "-f", "-", given=text)

    def until_up(self, namespace: str = INSTALL_NAMESPACE) -> None:
        """Wait for controller and gateway."""
        for name in ("remit-controller", "remit-gateway"):
            self.kubectl("rollout", "status", "-n", namespace, f"deployment/{name}", "--timeout=120s")

    def settle_in(self, namespace: str) -> None:
        """Give a namespace an agent with all that it needs, which does nothing for as long as it is let."""
        until_guards_stand(Kube(self.cluster.kubeconfig_path))  # kinds and policies may have come a moment ago
        image = self.cluster.pin_image(self.images.gateway)
        command = ["/usr/bin/python3.11", "-c", WAITER]
        agent = an_agent(runtime={"container": {"image": image, "command": command}})
        self.create(namespace, a_policy(), a_grant(), agent)
        eventually(
            lambda: self.reason("agent", "teller", namespace), lambda seen: seen == "Ready", within_seconds=60,
            why="the agent is ready",
        )  # fmt: skip

    def start(self, name: str, namespace: str) -> None:
        """Start a run, and wait until the gateway has heard of it."""
        self.create(namespace, a_run(name))
        self.until("Running", name, namespace)
        eventually(
            lambda: self.kubectl("logs", f"{name}-1", "-c", "agent", "-n", namespace),
            lambda said: BEGUN in said,
            within_seconds=60,
            why=f"{name} has begun its first step",
        )

    def until(self, reason: str, name: str, namespace: str) -> None:
        """Wait until a run has the reason."""
        eventually(
            lambda: self.reason("agentrun", name, namespace), lambda seen: seen == reason, within_seconds=60,
            why=f"{name} is {reason}",
        )  # fmt: skip

    def reason(self, kind: str, name: str, namespace: str) -> str:
        """Return the reason of an object's leading condition."""
        return str(self.leading(kind, name, namespace).get("reason", ""))

    def leading(self, kind: str, name: str, namespace: str) -> Object:
        """Return an object's leading condition; empty when there is none."""
        conditions = self.get(kind, name, "-n", namespace).get("status", {}).get("conditions", ())
        return dict(find_condition(conditions, "Ready") or {})

    def govern(self, namespace: str, name: str = "governed") -> None:
        """Have a run start and be terminated: controller and gateway both do their part."""
        self.start(name, namespace)
        self.kubectl(
            "patch", "agentrun", name, "-n", namespace, "--type=merge", "-p", '{"spec":{"desired":"Terminated"}}'
        )
        self.until("Cancelled", name, namespace)

    def checked(self, namespace: str = INSTALL_NAMESPACE, *, pre: bool = False) -> list[check.Finding]:
        """Return what `remit check` finds."""
        look = check.Look(Target(self.cluster.kubeconfig_path, str(self.cluster.kubectl_path), namespace))
        return list(check.findings(look, check.BEFORE if pre else check.AFTER))

    def take(self, *, purge: bool, namespace: str = INSTALL_NAMESPACE, scope: Scope = Scope.ALL) -> list[str]:
        """Uninstall; returns what was said."""
        said: list[str] = []
        path, kubectl = self.cluster.kubeconfig_path, str(self.cluster.kubectl_path)
        uninstall(path, kubectl=kubectl, namespace=namespace, scope=scope, purge=purge, say=said.append)
        return said

    def lacks(self, namespace: str = INSTALL_NAMESPACE) -> list[str]:
        """Return what `remit check` finds missing."""
        return [each.text() for each in self.checked(namespace) if each.verdict is check.Verdict.MISSING]


def chart(name: str) -> Path:
    """Return the folder of a chart."""
    return find_root() / "charts" / name

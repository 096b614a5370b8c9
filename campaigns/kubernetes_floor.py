"""Kubernetes 1.33, the oldest that Remit knows: kinds, admission and installation against its own apiserver.

There nobody stamps who asks for a run (MutatingAdmissionPolicy is served as v1 from 1.36 on): the installation says
so, users write it themselves, and it is checked. All other tests of the kinds and of admission are the tests of
`make test`, against this apiserver.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from campaigns.floor.apiserver import VERSION, Floor, running
from campaigns.runner import Arguments, logs
from remit.cli import check
from remit.cli.install import Images, Target, install, uninstall
from remit.cluster.errors import ClusterError

TESTS = ("tests/apiserver/crds", "tests/apiserver/admission")
ROOT = Path(__file__).resolve().parent.parent
ADMISSION = "tests/apiserver/admission"
STAMPED = (
    "tests/apiserver/admission/test_runs_and_status.py::test_an_apply_that_creates_is_stamped_and_owns_nothing_of_it",
    "tests/apiserver/admission/test_runs_and_status.py::test_a_forged_requester_is_written_over",
    f"{ADMISSION}/test_weakenings.py::test_what_a_mutating_admission_widened_is_refused",
)
"""They are about what 1.36 serves; below stands what holds instead."""
OTHER_WORDS = (
    f"{ADMISSION}/test_weakenings.py::test_a_weakening_is_refused[no AppArmor]",
    f"{ADMISSION}/test_weakenings.py::test_a_weakening_is_refused[a policy of another name]",
    f"{ADMISSION}/test_children.py::test_the_controller_changes_and_deletes_nothing_of_others[networkpolicies]",
)
"""Refused there too, but two rules refuse it, and an older apiserver tells of the other one."""


async def main(arguments: Arguments) -> int:
    """Try it all; returns what did not hold."""
    del arguments
    return await asyncio.to_thread(campaign)


def campaign() -> int:
    """Start the apiserver and try everything on it."""
    folder = logs("kubernetes-floor")
    with running(folder / "apiserver.log") as floor:
        version = json.loads(floor.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
        wrong = [f"this is {version}, not {VERSION}"] if version != VERSION else []
        wrong += [*installation(floor), *requesters(floor)]
        floor.kubectl("delete", "deployments", "--all", "-n", "remit-system")  # tests make one of their own
        failed = suite(floor, folder / "tests.log")
        wrong += removal(floor)
    for line in wrong:
        print(f"violation: {line}")
    print(f"{version}: installed, checked, removed; tests of kinds and admission: {failed} failed")
    return len(wrong) + failed


def installation(floor: Floor) -> Iterator[str]:
    """Install, and see what is said and what is there."""
    said: list[str] = []
    install(
        floor.kubeconfig_path,
        Images("none", "none", "none"),
        kubectl=str(floor.kubectl_path),
        say=said.append,
        wait=False,
    )
    if not any("serves no MutatingAdmissionPolicy v1" in line for line in said):
        yield "the installation does not say that nobody stamps requesters"
    look = check.Look(Target(floor.kubeconfig_path, str(floor.kubectl_path), "remit-system"))
    before = list(check.findings(look, (check.server_version, check.admission_served, check.may_install)))
    yield from (f"before: {each.text()}" for each in before if each.verdict is check.Verdict.MISSING)
    if not any(each.verdict is check.Verdict.WARNING for each in before):
        yield "remit check does not warn that nobody stamps requesters"
    after = check.findings(look, (check.kinds_installed, check.objects_there, check.rights))
    yield from (f"after: {each.text()}" for each in after if each.verdict is not check.Verdict.GOOD)


def requesters(floor: Floor) -> Iterator[str]:
    """See who may ask for a run in whose name."""
    for username, groups, taken in (
        ("admin", ["system:masters", "system:authenticated"], True),
        ("ceo", ["board"], False),
        ("", [], False),
    ):
        requester = {"username": username, "uid": "admin", "groups": groups}
        spec = {"agent": "teller", "purpose": "testing", **({"requester": requester} if username else {})}
        run = {
            "apiVersion": "remit.dev/v1alpha1",
            "kind": "AgentRun",
            "metadata": {"name": f"by-{username or 'nobody'}", "namespace": "default"},
            "spec": spec,
        }
        try:
            floor.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(run))
        except ClusterError as error:
            if taken or "remit-run-requester" not in str(error):
                yield f"a run in the name of {username or 'nobody'}: {error}"
        else:
            if not taken:
                yield f"a run in the name of {username or 'nobody'} is taken"


def removal(floor: Floor) -> list[str]:
    """Uninstall all; nothing of ours is left that needs no controller to go."""
    said: list[str] = []
    uninstall(floor.kubeconfig_path, kubectl=str(floor.kubectl_path), purge=False, say=said.append)
    left = floor.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name").split()
    return [f"{name} is left" for name in left if "remit" in name]


def suite(floor: Floor, log: Path) -> int:
    """Run the tests of kinds and admission against it; returns how many failed."""
    environment = {
        **os.environ,
        "REMIT_TEST_KUBECONFIG": str(floor.kubeconfig_path),
        "REMIT_TEST_KUBECTL": str(floor.kubectl_path),
    }
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    line += [option for name in (*STAMPED, *OTHER_WORDS) for option in ("--deselect", name)]
    with log.open("wb") as sink:
        done = subprocess.run(line, cwd=ROOT, env=environment, stdout=sink, stderr=subprocess.STDOUT, check=False)
    print(log.read_text().rstrip().rpartition("\n")[2])
    failed = log.read_text().count("\nFAILED ") + log.read_text().count("\nERROR ")
    return failed or int(done.returncode != 0)

"""The list of everything that is generated: path below the repository's root, and its text."""

from collections.abc import Callable

from remit.api.kinds import KINDS
from remit.codegen.admission import admission_manifests
from remit.codegen.charts import chart_files
from remit.codegen.crd import crd
from remit.codegen.diagrams import AGENT_PAGE, with_lifecycle
from remit.codegen.docs import with_tables
from remit.codegen.rbac import rbac_manifests
from remit.codegen.releases import release_files
from remit.codegen.render import to_yaml
from remit.codegen.rights import with_rights
from remit.codegen.run_life import RUN_PAGE, with_run_life

Read = Callable[[str], str]
RIGHTS = "docs/spec/rights.md"


def products(read: Read) -> dict[str, str]:
    """Return the text of every generated file; `read` gives the present text of the pages that hold tables."""
    made = {f"crds/{kind.plural}.yaml": to_yaml([crd(kind)]) for kind in KINDS}
    made["manifests/base/rbac.yaml"] = to_yaml(rbac_manifests())
    made["manifests/base/admission.yaml"] = to_yaml(admission_manifests())
    for kind in KINDS:
        page = f"docs/spec/{kind.name.lower()}.md"
        made[page] = with_tables(kind, read(page))
    made[AGENT_PAGE] = with_lifecycle(made[AGENT_PAGE])
    made[RUN_PAGE] = with_run_life(made[RUN_PAGE])
    made[RIGHTS] = with_rights(read(RIGHTS))
    made |= release_files(read)
    made |= chart_files(read)
    return made

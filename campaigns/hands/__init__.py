"""The cases of the campaign by hand, by name: each is played on a team that has a run under way, named `work`."""

from campaigns.hands.children import CHILDREN
from campaigns.hands.namespaces import NAMESPACES
from campaigns.hands.planes import PLANE_CASES
from campaigns.hands.pods import PODS

CASES = {**CHILDREN, **PODS, **NAMESPACES}

__all__ = ["CASES", "PLANE_CASES"]

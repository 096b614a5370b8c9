"""What can go wrong with the embedded cluster: one tree of errors, each with a reason."""


class ClusterError(Exception):
    """The embedded cluster cannot do what was asked."""

    reason = "ClusterFailed"


class MachineError(ClusterError):
    """This machine lacks something that cannot be added from here."""

    reason = "MachineUnfit"


class BuildError(ClusterError):
    """A component could not be built from its pinned sources."""

    reason = "BuildFailed"


class StartError(ClusterError):
    """A component did not start, or did not become healthy in time."""

    reason = "StartFailed"


class InvalidNameError(ClusterError):
    """The name cannot be used for a cluster."""

    reason = "NameInvalid"

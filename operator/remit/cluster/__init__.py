"""The embedded single-node cluster. Touches nothing on the machine that it did not make.

cluster = Cluster("dev")
cluster.up(print)
cluster.load_image(Path("controller.tar"))
cluster.kubectl("get", "pods")
cluster.down()
"""

from remit.cluster.cluster import Cluster, load_image, names, prepare
from remit.cluster.errors import ClusterError

__all__ = ["Cluster", "ClusterError", "load_image", "names", "prepare"]

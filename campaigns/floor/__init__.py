"""The oldest Kubernetes that Remit knows: its apiserver, built from pinned modules, with nothing around it but etcd."""

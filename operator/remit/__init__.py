"""Remit: governed agents as Kubernetes objects."""

"""Generates CRDs, RBAC, admission policies and docs from the models. Development only."""

"""These tests run gateways whose logs have keys of their own."""

from collections.abc import Iterator

import pytest
from tests.support.kube import Kube

from remit.api.names import INSTALL_NAMESPACE, VERIFIER_CONFIG_MAP

PATH = f"/api/v1/namespaces/{INSTALL_NAMESPACE}/configmaps"


@pytest.fixture(scope="package", autouse=True)
def nobody_elses_log_is_judged_by_our_key(kube: Kube) -> Iterator[None]:
    """Take back the key that the first gateway published, for it is published once, and let the next one publish."""
    yield
    kube.delete(f"{PATH}/{VERIFIER_CONFIG_MAP}")
    labels = {"app.kubernetes.io/part-of": "remit"}
    kube.create(PATH, {"metadata": {"name": VERIFIER_CONFIG_MAP, "labels": labels}})

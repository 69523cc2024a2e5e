"""The program of docs/cluster.md for Kubernetes asks for what the operator's own definitions and Kubernetes allow.

No cluster of Kubernetes is needed: the pods are those that the operator makes of the program's specification.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

dask_kubernetes = pytest.importorskip("dask_kubernetes", reason="docs/cluster.md has the command that installs it")
jsonschema = pytest.importorskip("jsonschema")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

PAGE = Path(__file__).parents[1] / "docs/cluster.md"
CRD = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm/dask-kubernetes-operator/crds/daskcluster.yaml"
VERSION = "1.34"


def without_nulls(value: Any) -> Any:
    """Return the same without keys whose value is null, which Kubernetes removes."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    """The specification that the page's program makes."""
    (program,) = [text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "KubeCluster" in text]
    names: dict[str, Any] = {}
    exec(program.split("cluster = KubeCluster")[0], names)
    return dict(without_nulls(names["spec"]))


def unknown(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    """Yield the keys that a schema does not name, which Kubernetes would drop without a word."""
    if isinstance(value, list):
        for one in value:
            yield from unknown(schema.get("items", {}), one, path)
    elif isinstance(value, dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        named, other = schema.get("properties", {}), schema.get("additionalProperties")
        for key, one in value.items():
            if key in named or isinstance(other, dict):
                yield from unknown(named.get(key, other), one, f"{path}.{key}")
            else:
                yield f"{path}.{key}"


def test_the_operators_definition_of_a_cluster_knows_all_of_it(cluster: dict[str, Any]) -> None:
    (version,) = YAML(typ="safe").load(CRD.read_text())["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    jsonschema.Draft7Validator(schema).validate(cluster)
    assert list(unknown(schema["properties"]["spec"], cluster["spec"], "spec")) == []
    assert cluster["kind"] == "DaskCluster"


def test_kubernetes_takes_the_pods_that_the_operator_makes_of_it(cluster: dict[str, Any]) -> None:
    from dask_kubernetes.operator.controller import controller

    scheduler = controller.build_scheduler_deployment_spec("lineage", cluster["spec"]["scheduler"]["spec"], {}, {})
    worker = controller.build_worker_deployment_spec(
        "lineage-default", "default", "lineage", "0", cluster["spec"]["worker"]["spec"], {}, {}
    )
    for deployment in (scheduler, worker):
        kubernetes_validate.validate(without_nulls(deployment), VERSION, strict=True)
    pod = worker["spec"]["template"]["spec"]
    names = {one["name"] for one in pod["containers"][0]["env"]}
    assert {"PYTHONPATH", "DASK_SCHEDULER_ADDRESS", "DASK_WORKER_NAME"} <= names  # the operator adds the last two
    assert pod["containers"][0]["args"][:6] == ["dask", "worker", "--nthreads", "1", "--preload-nanny", "stages"]
    assert [mount["name"] for mount in pod["containers"][0]["volumeMounts"]] == [one["name"] for one in pod["volumes"]]

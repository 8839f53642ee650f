"""What every Docker test needs: an engine, the image, namespaces, a cluster that is removed
whatever happens.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from pathlib import Path

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = (
    "true"  # its reaper is an image of a registry; our label cleans up
)

import docker
import pytest
from testcontainers.core.container import DockerContainer

from harness.errors import HarnessError
from harness.kernel import namespaces
from harness.runtimes.docker import engine as engine_module
from harness.runtimes.docker import labels, runtime
from harness.runtimes.runtime import Image, Place, Process
from harness.topology.topology import Node


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.docker)


@pytest.fixture(scope="session")
def engine():
    try:
        found = runtime.connect()
    except HarnessError as error:
        if os.environ.get("HARNESS_REQUIRE_ALL") == "1":
            pytest.fail(f"HARNESS_REQUIRE_ALL=1: {error}")
        pytest.skip(str(error))
    yield found
    found.close()


@pytest.fixture(scope="session")
def image(engine):
    return engine.image(Image("meshnode"), print)["image"]


@pytest.fixture
def sdk(engine):
    """The plain SDK: the oracle for what we claim."""
    client = docker.DockerClient(
        base_url=os.environ.get("DOCKER_HOST") or engine_module.DEFAULT_HOST
    )
    yield client
    client.close()


@pytest.fixture
def label(engine):
    made = f"t-{uuid.uuid4().hex[:8]}"
    yield made
    engine.sweep({labels.LABEL: made})


@pytest.fixture
def leftovers(engine, label):
    """The names of the containers that carry the cluster's label, in whatever state folder."""
    return lambda: sorted(name for name, _ in engine.containers({labels.LABEL: label}).values())


@pytest.fixture
def state():
    folder = Path(tempfile.mkdtemp(prefix="p2p-harness-"))  # short: unix sockets lie in it
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def places(state):
    made = []

    def make(count):
        for index, descriptor in enumerate(namespaces.create_many(count)):
            directory = state / "nodes" / f"node-{index}"
            directory.mkdir(parents=True)
            made.append(
                Place(
                    node=Node(name=f"node-{index}"),
                    index=index,
                    address=f"198.18.0.{index + 1}",
                    directory=directory,
                    namespace=descriptor,
                )
            )
        return list(made)

    yield make
    for place in made:
        os.close(place.namespace)


@pytest.fixture
def make_runtime(label, state, image):
    made = []

    def make(**settings):
        made.append(runtime.DockerRuntime(label=label, state=state, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def testcontainer(image):
    """Make a container of the image by testcontainers, which forgets to close its connections to
    the engine.
    """
    with contextlib.ExitStack() as stack:

        def make(**settings):
            made = DockerContainer(image, **settings)
            stack.callback(made.get_docker_client().client.close)
            return stack.enter_context(made)

        yield make


def process(code="import time; print('up', flush=True); time.sleep(1000)", **settings):
    return Process(
        argv=("python3", "-c", code),
        image=Image("meshnode"),
        zygote=("meshnode", "zygote"),
        **settings,
    )


@pytest.fixture
def sleeper():
    return process

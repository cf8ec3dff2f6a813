"""Part III: the runs of a study, trained on the machines of a Dask cluster.

README.md says how to start one. On the cores of this machine, study.py trains the runs.
"""

import asyncio
from importlib import import_module
from itertools import islice

from experiments.runs import text_of
from experiments.study import train_run

DASK_SECONDS = 7  # in which a scheduler must answer


def finished_runs_of_cluster(tasks, client):
    """Yield the runs as `finished_runs` in study.py does; here a Dask cluster trains them.

    Raises:
        ConnectionError: if the scheduler has gone.
    """
    from distributed import CancelledError, as_completed

    futures = as_completed()
    try:
        while True:
            n_threads = sum(client.ncores().values())  # more when workers have joined
            n_wanted = max(2 * n_threads, 1)  # one waits for each that is trained
            for task in islice(tasks, max(n_wanted - futures.count(), 0)):
                futures.add(client.submit(train_run, *task, pure=False))
            if futures.is_empty():
                return
            future = next(futures)
            yield future.result()
    except (CancelledError, OSError) as error:
        raise ConnectionError("the scheduler has gone") from error


def connect(parser, address):
    """Return a client of the Dask cluster whose scheduler is at this address; None without one.

    If there is no worker yet, wait for one. If there is no scheduler, or if the workers do not find
    the project, end the program with an error of the parser.
    """
    if address is None:
        return None
    try:
        from distributed import Client

        asyncio.run(greet_scheduler(address))
        client = Client(address, timeout=DASK_SECONDS)
        if not client.ncores():
            print(f"waiting for a worker to join the scheduler {address}", flush=True)
            client.wait_for_workers(1)
        client.run(import_module, "experiments.study")  # whose train_run they are to call
    except (ImportError, OSError, ValueError) as error:
        remedy = "experiments/README.md says how to start a cluster, and which address to give"
        parser.error(f"argument --dask: {text_of(error)}; {remedy}")
    return client


async def greet_scheduler(address):
    """Raise OSError or ValueError unless a scheduler answers at this address.

    A Client alone would wait without end for the answer of a server of another kind.
    """
    from distributed.core import rpc

    server = rpc(address)
    try:
        answer = await asyncio.wait_for(server.identity(), DASK_SECONDS)
    except TimeoutError as error:
        raise OSError(f"no answer from {address} in {DASK_SECONDS} seconds") from error
    except (OSError, ValueError):
        raise
    except Exception as error:  # an answer in HTTP, say, breaks Dask in one of many ways
        raise OSError(f"no scheduler can be understood at {address}") from error
    finally:
        await server.close_rpc()
    if answer["type"] != "Scheduler":
        raise OSError(f"at {address} is a {answer['type']}, and no scheduler")

"""Units in this process, one after the other."""

from collections.abc import Generator, Iterable

import torch

from serotone.errors import reason
from serotone.experiments.executors import Place, Work
from serotone.experiments.units import Event, Materials, Unit, run_unit


def run(units: Iterable[Unit], work: Work, place: Place) -> Generator[Event]:
    """Run units here (:func:`serotone.experiments.executors.run`)."""
    materials = Materials(work.utterances, work.tell)
    threads = torch.get_num_threads()
    torch.set_num_threads(place.threads or threads)
    try:
        for unit in units:
            if not work.more():
                return
            yield Event("started", unit)
            try:
                results = run_unit(unit, materials(unit.recipe))
            except Exception as error:
                yield Event("failed", unit, text=reason(error))
            else:
                yield Event("finished", unit, results=results)
    finally:
        torch.set_num_threads(threads)

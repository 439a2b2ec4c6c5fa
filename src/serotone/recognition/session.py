"""Graphs, ready to run with onnxruntime."""

import onnxruntime

from serotone.errors import BundleError
from serotone.processors import check_count, processors
from serotone.recognition.bundle import EMBEDDING, MODEL, Bundle


def start_session(graph: bytes, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """A graph of ONNX, ready to run on the processor; raises onnxruntime's own errors."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Recordings differ in length. Memory patterns keep a plan per length, and memory grows with every new one.
    options.enable_mem_pattern = False
    # Without it, sums of products of integers overflow on x86 processors that have no VNNI; those that have it would be
    # faster without. Graphs that multiply float32 are the same either way.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def open_session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    """The graph of a bundle, ready to run, its names and widths compared with the manifest."""
    check_count("threads", threads)
    where = bundle.path / MODEL
    try:
        session = start_session(bundle.read(MODEL), threads=min(threads, processors()))  # more only wait for each other
    except BundleError:
        raise
    except Exception as error:  # onnxruntime's own errors share no base but Exception
        problem = " ".join(str(error).split())[:200]
        raise BundleError(f"{where}: cannot be run here ({problem}); upgrade onnxruntime or export again") from error
    inputs = {item.name: item.shape for item in session.get_inputs()}
    outputs = {item.name: item.shape for item in session.get_outputs()}
    if set(inputs) != {"waveform"} or "probabilities" not in outputs:
        raise BundleError(
            f"{where}: inputs {sorted(inputs)}, outputs {sorted(outputs)}; "
            "a bundle's graph takes waveform and answers probabilities: export it again"
        )
    if bundle.adaptation and EMBEDDING not in outputs:
        raise BundleError(f"{where}: outputs {sorted(outputs)}; adaptation needs embedding too: export it again")
    width = outputs["probabilities"][-1]
    if isinstance(width, int) and width != len(bundle.labels):
        raise BundleError(f"{where}: {width} classes; the manifest names {len(bundle.labels)}: export it again")
    return session

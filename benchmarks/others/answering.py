"""Answer clips by one of the alternatives, in a process of its own, and print what that took as JSON.

    python answering.py KIND        and on standard input: {"clips": [path, ...], "model": path or null}

A line after the first answer, and one at the end. Everything is imported by the alternative that needs it.
"""

import json
import re
import sys
import time
from pathlib import Path

import features

CLASSES = 7


def shipped(bundle):
    """A bundle that ships with serotone."""
    from serotone import Recognizer

    recognizer = Recognizer(bundle, threads=1)
    return lambda path: recognizer.predict(path).label


def functionals(name, model):
    """openSMILE, then what scikit-learn has learned."""
    import joblib

    extractor, classifier = features.smile(name), joblib.load(model)
    return lambda path: str(classifier.predict(features.functionals(extractor, features.heard(path))[None])[0])


def log_mel_network():
    """Log-mel frames by librosa, then the network of `light`."""
    import torch
    from network import Network, one_thread

    one_thread()
    network = Network(CLASSES).eval()

    def answer(path):
        frames = torch.from_numpy(features.log_mel(features.heard(path)))[None]
        with torch.inference_mode():
            return int(network(frames, torch.tensor([frames.shape[1]])).argmax())

    return answer


def wav2vec2(model):
    """A network of the size of wav2vec2-base, as transformers runs it."""
    import torch
    from transformers import Wav2Vec2ForSequenceClassification

    torch.set_num_threads(1)
    network = Wav2Vec2ForSequenceClassification.from_pretrained(model).eval()

    def answer(path):
        with torch.inference_mode():
            return int(network(torch.from_numpy(features.heard(path))[None]).logits.argmax())

    return answer


def peak_mb():
    """The most memory that this process has held; what `resource` says begins with its parent's."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[1]) * 1024 / 1e6


KINDS = {
    "light": lambda model: shipped("light"),
    "default": lambda model: shipped("default"),
    "egemaps": lambda model: functionals("egemaps", model),
    "compare": lambda model: functionals("compare", model),
    "librosa": lambda model: log_mel_network(),
    "wav2vec2": wav2vec2,
}


def main():
    """Answer the first clip, say so, and answer the others."""
    asked = json.load(sys.stdin)
    answer = KINDS[sys.argv[1]](asked["model"])
    answer(asked["clips"][0])
    first = time.process_time()
    print(json.dumps({"first_cpu_seconds": first}), flush=True)
    found = {"cpu_seconds": [], "clock_seconds": [], "peak_mb": []}
    for path in asked["clips"]:
        spent, clock = time.process_time(), time.perf_counter()
        answer(path)
        found["cpu_seconds"].append(time.process_time() - spent)
        found["clock_seconds"].append(time.perf_counter() - clock)
        found["peak_mb"].append(peak_mb())
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

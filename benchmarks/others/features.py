"""The features of clips by openSMILE and librosa, for an interpreter that has both: no part of serotone is needed.

Reads JSON from standard input: ``clips``, a list of [id, path, start, end], and ``out``, the .npz file to write: ``id``
(N,), ``egemaps`` (N, 88), ``compare`` (N, 6373), and ``frames`` (sum of T, 64) of log-mel with ``lengths`` (N,).
"""

import json
import sys

import numpy as np

RATE = 16000
LOG_MEL = {"n_fft": 512, "hop_length": 256, "n_mels": 64}
"""The frames of the recipe `light`."""


def heard(path, start=None, end=None):
    """Samples (T,) at 16 kHz, mono."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        file.seek(round((start or 0) * rate))
        count = -1 if end is None else round((end - (start or 0)) * rate)
        samples = file.read(count, dtype="float32", always_2d=True).mean(axis=1)
    if rate != RATE:
        import soxr

        samples = soxr.resample(samples, rate, RATE)
    return samples


def log_mel(samples):
    """Decibels below the loudest (T, 64) by librosa."""
    import librosa

    power = librosa.feature.melspectrogram(y=samples, sr=RATE, **LOG_MEL)
    return librosa.power_to_db(power, ref=np.max).T.astype(np.float32)


def smile(name):
    """An openSMILE with one of its sets of functionals: 88 or 6373 numbers a clip."""
    import opensmile

    sets = {"egemaps": opensmile.FeatureSet.eGeMAPSv02, "compare": opensmile.FeatureSet.ComParE_2016}
    return opensmile.Smile(feature_set=sets[name], feature_level=opensmile.FeatureLevel.Functionals)


def functionals(extractor, samples):
    """The functionals (D,) of a clip."""
    return np.nan_to_num(extractor.process_signal(samples, RATE).to_numpy(np.float32)[0])


def main():
    """Extract and write."""
    asked = json.load(sys.stdin)
    sets = {name: smile(name) for name in ("egemaps", "compare")}
    rows = {name: [] for name in ("id", "egemaps", "compare", "frames")}
    for number, (clip, *where) in enumerate(asked["clips"]):
        samples = heard(*where)
        rows["id"].append(clip)
        rows["frames"].append(log_mel(samples).astype(np.float16))
        for name, extractor in sets.items():
            rows[name].append(functionals(extractor, samples))
        if number % 200 == 0:
            print(f"{number} of {len(asked['clips'])} clips", file=sys.stderr, flush=True)
    frames = rows.pop("frames")
    arrays = {name: np.array(values) for name, values in rows.items()}
    np.savez(asked["out"], frames=np.concatenate(frames), lengths=np.array([len(f) for f in frames]), **arrays)


if __name__ == "__main__":
    main()

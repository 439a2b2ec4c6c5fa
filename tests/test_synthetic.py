"""The synthetic corpus: the same bytes every time, sane audio, emotions that carry over to unseen speakers."""

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from serotone.cli.corpus import app
from serotone.corpora import read_corpus, synthetic
from serotone.corpora.voice import EMOTIONS, SAMPLE_RATE, speak, speaker_of
from serotone.errors import CorpusError

Clip = NDArray[np.float64]


def say(speaker: int, emotion: str, sentence: int = 0, seed: int = 0) -> Clip:
    return speak(seed, speaker, synthetic.gender_of(speaker), emotion, sentence) / 32768


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def level(clip: Clip) -> float:
    """RMS in dB."""
    return float(10 * np.log10(np.mean(clip**2)))


def pitch(clip: Clip) -> float:
    """Median pitch in Hz of the loud frames, by autocorrelation between 60 and 500 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(clip, 640)[::160]
    loud = frames[np.mean(frames**2, axis=1) > 0.5 * np.mean(frames**2)]
    power = np.abs(np.fft.rfft(loud * np.hanning(640), 2048)) ** 2
    shortest, longest = SAMPLE_RATE // 500, SAMPLE_RATE // 60
    lags = np.fft.irfft(power)[:, shortest:longest].argmax(axis=1) + shortest
    return float(np.median(SAMPLE_RATE / lags))


def features(clip: Clip) -> Clip:
    """Mean, spread and movement of the log power in 24 bands, and the duration."""
    frames = np.lib.stride_tricks.sliding_window_view(clip, 400)[::160] * np.hanning(400)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    edges = np.unique(np.round(np.geomspace(3, 257, 25)).astype(int))
    bands = np.log(np.stack([power[:, a:b].mean(axis=1) for a, b in pairwise(edges)]) + 1e-7)
    moves = np.abs(np.diff(bands, axis=1)).mean(axis=1)
    return np.concatenate([bands.mean(axis=1), bands.std(axis=1), moves, [len(clip) / SAMPLE_RATE]])


def test_making_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        synthetic.make(tmp_path / name, speakers=1, seed=3, sentences=1)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert len(digests(tmp_path / "a")) == 7


def test_a_clip_does_not_depend_on_what_else_is_made(tmp_path: Path) -> None:
    synthetic.make(tmp_path / "all", speakers=2, seed=0, sentences=2)
    synthetic.make(tmp_path / "one", speakers=1, seed=0, sentences=1, first_speaker=1)
    assert digests(tmp_path / "one").items() <= digests(tmp_path / "all").items()


def test_seed_speaker_sentence_and_emotion_each_matter() -> None:
    clips = [say(0, "happy"), say(0, "happy", seed=1), say(2, "happy"), say(0, "happy", 1), say(0, "angry")]
    assert len({clip.tobytes() for clip in clips}) == len(clips)


def test_more_speakers_can_be_added(tmp_path: Path) -> None:
    synthetic.make(tmp_path, speakers=1, seed=0, sentences=1)
    before = digests(tmp_path)
    paths = synthetic.make(tmp_path, speakers=1, seed=0, sentences=1, first_speaker=1)
    assert [p.name for p in paths] == sorted(f"syn01_{emotion}_00.wav" for emotion in EMOTIONS)
    assert before.items() <= digests(tmp_path).items()


def test_files_are_16_bit_mono_at_16_khz(tmp_path: Path) -> None:
    path = synthetic.make(tmp_path, speakers=1, seed=0, sentences=1)[0]
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype, info.format) == (16000, 1, "PCM_16", "WAV")
    decoded, _ = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(decoded, speak(0, 0, "female", path.stem.split("_")[1], 0))


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_clips_are_sane_audio(emotion: str) -> None:
    for speaker in range(4):
        clip = say(speaker, emotion, sentence=speaker)
        assert 1.5 <= len(clip) / SAMPLE_RATE <= 4.0
        assert 0.02 < np.abs(clip).max() <= 0.99
        assert np.mean(np.abs(clip) > 0.98) < 1e-3  # not clipped to pieces
        assert abs(clip.mean()) < 0.01
        quiet = clip[: SAMPLE_RATE // 20]
        assert -80 < level(quiet) < -55  # a room, never digital silence
        assert level(clip) > level(quiet) + 12


def test_pitch_is_that_of_the_speaker() -> None:
    for number in range(4):
        voice = speaker_of(0, number, synthetic.gender_of(number))
        measured = np.mean([pitch(say(number, "neutral", sentence)) for sentence in range(2)])
        assert 12 * abs(np.log2(measured / voice.hertz)) < 2.5  # semitones


def test_men_speak_lower_than_women() -> None:
    hertz = [speaker_of(0, n, synthetic.gender_of(n)).hertz for n in range(10)]
    assert max(hertz[1::2]) < min(hertz[::2])


def test_emotions_differ_in_energy_pitch_and_duration_within_a_speaker() -> None:
    for speaker in (0, 1):
        clips = {emotion: [say(speaker, emotion, s) for s in range(2)] for emotion in EMOTIONS}
        levels = {emotion: np.mean([level(c) for c in said]) for emotion, said in clips.items()}
        assert levels["angry"] > levels["neutral"] + 4 > levels["sad"] + 8
        pitches = {emotion: np.mean([pitch(c) for c in said]) for emotion, said in clips.items()}
        assert min(pitches[e] for e in ("angry", "fearful", "happy")) > 1.1 * pitches["neutral"]
        assert pitches["bored"] < pitches["neutral"]
        seconds = {emotion: np.mean([len(c) for c in said]) for emotion, said in clips.items()}
        assert max(seconds["fearful"], seconds["angry"]) < seconds["neutral"] < min(seconds["sad"], seconds["bored"])


def test_emotions_carry_over_to_unseen_speakers() -> None:
    said = [(n, emotion, s) for n in range(9) for emotion in EMOTIONS for s in range(2)]
    inputs = np.stack([features(say(n, emotion, s)) for n, emotion, s in said])
    truth = np.array([emotion for _, emotion, _ in said])
    unseen = np.array([n >= 6 for n, _, _ in said])
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    accuracy = probe.fit(inputs[~unseen], truth[~unseen]).score(inputs[unseen], truth[unseen])
    assert accuracy > 0.75


def test_an_empty_or_missing_root_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "DEFAULT_SPEAKERS", 2)
    monkeypatch.setattr(synthetic, "DEFAULT_SENTENCES", 1)
    made = read_corpus("synthetic", tmp_path / "deep" / "new")
    assert len(made) == 14
    assert {u.gender for u in made} == {"female", "male"}
    assert [u.id for u in read_corpus("synthetic", tmp_path / "deep" / "new")] == [u.id for u in made]
    (tmp_path / "empty").mkdir()
    assert [u.id for u in read_corpus("synthetic", tmp_path / "empty")] == [u.id for u in made]


def test_a_folder_with_other_things_is_not_filled(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CorpusError, match=r"looked for files named like syn03_angry_07.wav"):
        read_corpus("synthetic", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_failed_call_leaves_no_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int, number: int, gender: str, emotion: str, sentence: int) -> NDArray[np.int16]:
        if emotion == "sad":
            raise KeyboardInterrupt
        return np.zeros(100, dtype=np.int16)

    monkeypatch.setattr(synthetic, "speak", fail)
    with pytest.raises(KeyboardInterrupt):
        synthetic.make(tmp_path, speakers=1, seed=0, sentences=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"speakers": 0}, {"sentences": 0}, {"seed": -1}, {"first_speaker": -1}])
def test_nothing_to_make_is_an_error(wrong: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        synthetic.make(tmp_path, **({"speakers": 1, "seed": 0, "sentences": 1} | wrong))


def test_make_from_the_command_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["make", str(tmp_path / "syn"), "--speakers", "1", "--sentences", "1"])
    assert result.exit_code == 0
    assert result.stdout.startswith("7 clips in")
    assert len(list((tmp_path / "syn").glob("syn00_*_00.wav"))) == 7
    more = ["make", str(tmp_path / "syn"), "--speakers", "1", "--sentences", "1", "--first-speaker", "1"]
    assert CliRunner().invoke(app, more).stdout == f"7 clips in {tmp_path / 'syn'}, next to 7 of earlier calls\n"


def test_a_file_cannot_be_filled(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(b"x")
    result = CliRunner().invoke(app, ["make", str(tmp_path / "call.wav")], env={"COLUMNS": "400"})
    assert result.exit_code == 2
    assert "call.wav is a file; give the name of a folder" in " ".join(result.stderr.replace("│", " ").split())

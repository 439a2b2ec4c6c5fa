"""`benchmarks/robustness.py`: its distortions do what they say, its figures are right and the same again."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serotone import Recognizer, audio
from serotone.errors import CorpusError
from toy_bundle import buzz, make_toy_bundle, tone

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import robustness
from conditions import clips, distortions, scores, signals, suite

RATE = clips.RATE
LIMIT = 6


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def speech():
    """Two seconds of noise whose loudness changes as that of speech does; far from full scale."""
    times = np.arange(2 * RATE) / RATE
    return 0.02 * np.random.default_rng(1).standard_normal(len(times)) * (1.2 + np.sin(2 * np.pi * 3 * times))


def power_between(samples, rate, low, high):
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    return power[(frequencies >= low) & (frequencies < high)].sum()


def decibels(ratio):
    return 10 * np.log10(ratio)


@pytest.mark.parametrize("ratio", [20, 10, 0, -5])
def test_noise_is_added_at_the_exact_ratio(speech, generator, ratio):
    noise = signals.street(generator, len(speech), RATE)
    added = distortions.mixed(speech, noise, ratio) - speech
    assert decibels(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(ratio, abs=1e-9)


def test_a_mix_beyond_full_scale_is_made_quieter_as_a_whole(speech, generator):
    loud, noise = 30 * speech, signals.white(generator, len(speech), RATE)
    mix = distortions.mixed(loud, noise, 0)
    assert np.abs(mix).max() == pytest.approx(1)
    scale = mix @ loud / (loud @ loud)
    assert np.corrcoef(mix - scale * loud, noise)[0, 1] > 0.99


def test_babble_is_every_voice_at_the_same_loudness(generator):
    voices = [signals.tone(hertz)(generator, count, RATE) * level for hertz, count, level in VOICES]
    mix = distortions.babble(voices, generator, 5 * RATE)
    assert signals.rms(mix) == pytest.approx(1)
    powers = [power_between(mix, RATE, hertz - 20, hertz + 20) for hertz, _, _ in VOICES]
    assert max(powers) / min(powers) < 1.1


VOICES = ((300, 1 * RATE, 0.5), (700, 2 * RATE, 0.01), (1500, 7 * RATE, 3.0))


@pytest.mark.parametrize("gain", suite.GAINS)
def test_gain_is_exact_until_full_scale(speech, gain):
    after, expected = distortions.louder(speech, gain), speech * 10 ** (gain / 20)
    fits = np.abs(expected) < 1 - 2**-15
    assert np.abs(after - expected)[fits].max() <= 2**-16
    assert np.array_equal(after * 32768, np.round(after * 32768)), "16 bits"
    assert after.max() <= 32767 / 32768


def test_gain_clips_at_full_scale():
    after = distortions.louder(tone(1, 0.9).astype(np.float64), 12)
    assert (after.max(), after.min()) == (32767 / 32768, -1)
    assert np.mean(np.abs(after) > 0.999) > 0.7


def test_the_telephone_passes_its_band_alone(generator):
    file = distortions.telephone(0.1 * signals.white(generator, 4 * RATE, RATE), RATE)
    samples, rate = soundfile.read(io.BytesIO(file))
    assert (rate, soundfile.info(io.BytesIO(file)).subtype) == (8000, "ULAW")
    assert len(samples) == 4 * rate
    inside = power_between(samples, rate, 400, 3300) / 2900
    assert decibels(inside / (power_between(samples, rate, 0, 240) / 240)) > 25
    assert decibels(inside / (power_between(samples, rate, 3460, 4000) / 540)) > 25


def test_a_band_has_no_delay_and_no_gain():
    inside, outside = (signals.tone(hertz)(np.random.default_rng(0), RATE, RATE) for hertz in (1000, 5000))
    through = signals.band(inside + outside, RATE, 300, 3400)
    middle = slice(RATE // 4, 3 * RATE // 4)
    assert np.abs(through - inside)[middle].max() < 2e-3


@pytest.mark.parametrize("codec", distortions.CODECS)
@pytest.mark.parametrize("kilobits", suite.KILOBITS)
def test_encoded_files_are_of_that_rate_length_and_sound(codec, kilobits):
    sound = tone(4, 0.3, hertz=440).astype(np.float64)
    file = distortions.encoded(sound, RATE, codec, kilobits)
    assert soundfile.info(io.BytesIO(file)).format == {"mp3": "MP3", "opus": "OGG"}[codec]
    assert 8 * len(file) / 4 == pytest.approx(1000 * kilobits, rel=0.1)
    heard = audio.read(file, sample_rate=RATE)
    assert heard.seconds == pytest.approx(4, abs=0.1)
    middle = heard.samples[RATE : 3 * RATE]
    assert power_between(middle, RATE, 430, 450) > 0.95 * power_between(middle, RATE, 0, 8000)
    assert signals.rms(middle) == pytest.approx(signals.rms(sound), rel=0.1)


@pytest.mark.parametrize("rt60", suite.RT60)
def test_a_room_decays_in_its_time_and_has_its_direct_sound(generator, rt60):
    response = distortions.room_response(generator, RATE, rt60)
    assert len(response) == round(rt60 * RATE) + 1
    left = decibels(np.cumsum(response[:0:-1] ** 2)[::-1])
    part = slice(round(0.05 * rt60 * RATE), round(0.5 * rt60 * RATE))  # Schroeder's decay, from 3 to 30 dB
    slope = np.polyfit(np.arange(len(left))[part] / RATE, left[part], 1)[0]
    assert -60 / slope == pytest.approx(rt60, rel=0.05)
    direct = response[0] ** 2 / np.sum(response[1:] ** 2)
    assert direct == pytest.approx(0.057**2 * 60 / rt60)


def test_reverberation_is_convolution_at_the_same_loudness(speech, generator):
    response = distortions.room_response(generator, RATE, 0.3)
    wet = distortions.reverberated(speech, response)
    expected = np.convolve(speech, response)
    assert len(wet) == len(expected)
    assert np.corrcoef(wet, expected)[0, 1] == pytest.approx(1)
    assert signals.rms(wet[: len(speech)]) == pytest.approx(signals.rms(speech))


def test_channels_hold_the_voice_where_they_should(speech):
    for places, channels in (((0,), 2), ((0, 1), 2), ((2,), 6), ((0, 1), 6)):
        frames, rate = soundfile.read(io.BytesIO(distortions.in_channels(speech, RATE, places, channels)))
        assert (frames.shape, rate) == ((len(speech), channels), RATE)
        for channel in range(channels):
            expected = speech if channel in places else 0 * speech
            assert np.abs(frames[:, channel] - expected).max() <= 2**-15


def test_silence_around_a_clip(speech, generator):
    side = round(0.5 * RATE)
    digital = distortions.padded(speech, RATE, 0.5)
    assert np.array_equal(digital, np.pad(speech, side))
    noise = signals.pink(generator, len(digital), RATE)
    added = distortions.padded(speech, RATE, 0.5, noise) - digital
    assert decibels(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(40)


def test_the_loudest_stretch_is_found():
    samples = np.zeros(1000)
    samples[600:700] = 1
    assert np.array_equal(distortions.loudest(samples, 100), np.ones(100))
    assert distortions.loudest(samples, 1000) is None


@pytest.mark.parametrize("name", signals.NON_SPEECH)
def test_signals_have_their_level_and_length_and_come_again(name):
    make = signals.NON_SPEECH[name]
    for count in (RATE // 10, 3 * RATE + 1):
        first, again, other = (make(np.random.default_rng(seed), count, RATE) for seed in (1, 1, 2))
        assert len(first) == count
        assert np.array_equal(first, again)
        if name != "digital-silence":
            assert signals.rms(first) == pytest.approx(1)
            assert not np.array_equal(first, other)
        assert signals.rms(distortions.at_level(first, -30)) == pytest.approx(
            0 if name == "digital-silence" else 10**-1.5, rel=0.1
        )


@pytest.mark.parametrize(("name", "slope"), [("white-noise", 0), ("pink-noise", -3.01), ("brown-noise", -6.02)])
def test_noise_has_its_colour(generator, name, slope):
    samples = signals.NON_SPEECH[name](generator, 20 * RATE, RATE)
    density = [decibels(power_between(samples, RATE, low, 2 * low) / low) for low in (100, 200, 400, 800, 1600)]
    assert np.diff(density) == pytest.approx([slope] * 4, abs=0.5)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two corpora of what the toy bundle tells apart: loud tones, quiet tones and buzzing, three speakers each."""
    root = tmp_path_factory.mktemp("data")
    sounds = {"angry": lambda s: tone(s, 0.9), "sad": lambda s: tone(s, 0.002), "happy": lambda s: buzz(s, 0.2)}
    for corpus, emotions in (("one", ("angry", "sad", "happy")), ("two", ("angry", "sad", "surprised"))):
        rows = ["path,emotion,speaker,gender,language"]
        for speaker in range(3):
            for number in range(3):
                for emotion in emotions:
                    name = f"{speaker}-{number}-{emotion}.wav"
                    (root / corpus).mkdir(exist_ok=True)
                    sound = sounds.get(emotion, sounds["happy"])(2.0 + 0.25 * number)
                    soundfile.write(root / corpus / name, sound, RATE, subtype="FLOAT")
                    rows.append(f"{name},{emotion},{speaker},{'f' if speaker else 'm'},x{corpus}")
        (root / corpus / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    (root / "no corpus").mkdir()
    return root


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "toy"
    make_toy_bundle(folder, data=[{"name": "two", "licence": "CC0-1.0", "utterances": 3}])
    return Recognizer(folder)


@pytest.fixture(scope="module")
def everything(data, recognizer):
    return clips.read_clips(data, [], recognizer.bundle.labels, {})


@pytest.fixture(scope="module")
def figures(recognizer, everything):
    with pytest.MonkeyPatch.context() as patch:
        few_signals(patch)
        return robustness.measure(recognizer, everything, limit=LIMIT, clean=20, seed=0)


def few_signals(patch):
    """One take of each signal, one second long: what is measured in minutes otherwise."""
    patch.setattr(suite, "NON_SPEECH_TAKES", 1)
    patch.setattr(suite, "NON_SPEECH_SECONDS", (1.0,))


def test_clips_are_those_with_a_label_and_their_corpora_speakers_and_languages(everything):
    assert len(everything) == 27 + 18, "nobody asks about surprised, which the bundle has no label for"
    assert {clip.corpus for clip in everything} == {"one", "two"}
    assert {(clip.speaker, clip.language) for clip in everything if clip.corpus == "two"} == {
        (f"two/{number}", "xtwo") for number in range(3)
    }
    chosen = clips.of_speakers(everything, ["two", "one/2"])
    assert {clip.speaker for clip in chosen} == {"one/2", "two/0", "two/1", "two/2"}
    with pytest.raises(CorpusError, match="--speakers one/7: no such speaker or corpus"):
        clips.of_speakers(everything, ["one/7"])


def test_corpora_that_are_not_there_are_named(data):
    with pytest.raises(CorpusError, match="no corpus three here; there are: one, two"):
        clips.read_clips(data, ["three"], ["angry"], {})
    with pytest.raises(CorpusError, match="no clip with one of the emotions bored"):
        clips.read_clips(data, [], ["bored"], {})
    assert {clip.truth for clip in clips.read_clips(data, [], ["angry"], {"sad": "angry"})} == {"angry"}


def test_every_beginning_of_a_sample_is_balanced_and_does_not_depend_on_the_order_given(everything):
    order = clips.sample(everything, seed=3)
    assert order == clips.sample(everything[::-1], seed=3)
    assert order != clips.sample(everything, seed=4)
    assert sorted(order, key=lambda clip: clip.id) == everything
    for length in range(1, 20):
        counts = [sum(clip.corpus == corpus for clip in order[:length]) for corpus in ("one", "two")]
        assert abs(counts[0] - counts[1]) <= 1
        truths = [clip.truth for clip in order[:length] if clip.corpus == "one"]
        assert (
            max(map(truths.count, ("angry", "happy", "sad"))) - min(map(truths.count, ("angry", "happy", "sad"))) <= 1
        )


def test_conditions_come_again_and_have_their_lengths(everything):
    listed = suite.conditions(everything, everything, 0)
    assert len({condition.name for condition in listed}) == len(listed)
    clip = next(clip for clip in everything if clip.id == "one/1-2-angry")
    for condition, again in zip(listed, suite.conditions(everything, everything, 0), strict=True):
        first, second = condition.apply(clip), again.apply(clip)
        if condition.name in ("duration/10", "duration/30"):
            assert first is None, "one speaker has less than 7 s of an emotion here"
            continue
        if isinstance(first[0], bytes):
            if not condition.name.startswith("codec/opus"):  # Ogg streams have serial numbers
                assert first == second
            continue
        assert np.array_equal(first[0], second[0]), condition.name
        kind, *rest = condition.name.split("/")
        seconds = {"duration": 0, "silence": len(suite.load(clip)) / RATE}.get(kind)
        if seconds is not None:
            seconds += float(rest[-1]) * (2 if kind == "silence" else 1)
            assert len(first[0]) == round(seconds * RATE), condition.name


def test_the_same_noise_is_heard_at_every_ratio_and_another_in_every_clip(everything):
    sad = [clip for clip in everything if clip.truth == "sad"][:2]  # quiet, so that nothing is scaled
    by_name = {condition.name: condition for condition in suite.conditions(everything, everything, 0)}
    at20, at10 = (by_name[f"noise/music/{snr}"].apply(sad[0])[0] - suite.load(sad[0]) for snr in (20, 10))
    assert np.corrcoef(at20, at10)[0, 1] == pytest.approx(1, abs=1e-4)
    other = by_name["noise/music/10"].apply(sad[1])[0] - suite.load(sad[1])
    length = min(len(at10), len(other))
    assert abs(np.corrcoef(at10[:length], other[:length])[0, 1]) < 0.5


def test_figures_of_the_toy_are_those_that_follow_from_it(figures, everything):
    assert figures["clean"] == {"clips": 20, "ua": 1.0, "chance": (1 / 3 + 1 / 2) / 2, "no_label": 0.0}
    assert figures["selection"]["one"]["labels"] == ["angry", "happy", "sad"]
    assert figures["selection"]["two"]["labels"] == ["angry", "sad"]
    assert [figures["selection"][name]["trained_on"] for name in ("one", "two")] == [False, True]
    conditions = figures["conditions"]
    # With 30 dB less a loud tone is a quiet one, and a quiet one is silence.
    assert conditions["gain/-30"]["ua_by_corpus"]["two"] == 0.0
    assert conditions["gain/-30"]["ua_clean"] == 1.0
    sad = sum(clip.truth == "sad" for clip in clips.sample(everything, 0)[:LIMIT])
    assert conditions["gain/-30"]["no_label"] == sad / LIMIT
    assert conditions["gain/-30"]["same_label"] == 0.0
    assert conditions["channels/stereo-both"]["same_label"] == 1.0
    assert conditions["silence/digital/0.2"]["same_label"] == 1.0
    assert conditions["duration/0.5"] == conditions["duration/0.5"] | {"clips": LIMIT, "failed": 0, "ua": 1.0}
    assert conditions["duration/30"] == conditions["duration/30"] | {"clips": 0, "ua": None, "same_label": None}
    assert figures["groups"]["gender"]["male"]["speakers"] == 2
    assert figures["groups"]["language"]["xone"] == figures["groups"]["corpus"]["one"]
    assert figures["doubt"]["one"]["certain"]["accuracy"] == 1.0
    assert figures["non_speech"]["digital-silence"]["labelled"] == 0.0
    assert figures["non_speech"]["white-noise"]["labelled"] == 1.0
    assert figures["cost"]["predictions"] == 20 + sum(c["clips"] for c in conditions.values()) + sum(
        kind["signals"] for kind in figures["non_speech"].values()
    )


def test_the_same_call_gives_the_same_figures(figures, recognizer, everything):
    only = ["noise/babble", "noise/street", "codec", "reverberation/0.3", "silence/room/0.5"]
    again = robustness.measure(recognizer, everything, limit=LIMIT, clean=20, seed=0, only=only)
    assert len(again["conditions"]) == 12
    assert again["conditions"] == {name: figures["conditions"][name] for name in again["conditions"]}
    assert [again[key] for key in ("clean", "groups", "doubt")] == [
        figures[key] for key in ("clean", "groups", "doubt")
    ]


def test_too_short_counts_as_wrong_and_says_why(everything, tmp_path):
    make_toy_bundle(tmp_path / "toy", min_seconds=0.75)
    result = robustness.measure(
        Recognizer(tmp_path / "toy"), everything, limit=4, clean=4, seed=0, only=["duration/0.5"]
    )
    scores_ = result["conditions"]["duration/0.5"]
    assert (scores_["failed"], scores_["ua"], scores_["no_label"], scores_["same_label"]) == (4, 0.0, 0.0, 0.0)
    assert "0.5 s of audio" in scores_["first_error"]
    assert list(result["conditions"]) == ["duration/0.5"]


def test_answers_without_a_label_are_wrong_and_doubt_is_told_apart(everything):
    one = [clip for clip in everything if clip.corpus == "one"]
    by_truth = {truth: next(clip for clip in one if clip.truth == truth) for truth in ("angry", "happy", "sad")}
    answers = [
        scores.Answer(by_truth["angry"], "angry", "angry", 0.9, False),
        scores.Answer(by_truth["happy"], "bored", "happy", 0.4, True),
        scores.Answer(by_truth["sad"], None, None, 0.0, True),
    ]
    labels = {"one": ["angry", "happy", "sad"]}
    assert scores.ua(answers, labels) == pytest.approx(2 / 3)
    said = scores.doubt(answers)
    assert said["no_label"] == 1
    assert said["certain"] == {"clips": 1, "accuracy": 1.0, "accuracy_shared": 1.0, "mean_confidence": 0.9}
    assert said["uncertain"] == {"clips": 1, "accuracy": 0.0, "accuracy_shared": 1.0, "mean_confidence": 0.4}
    clean = {answer.clip.id: answer for answer in answers}
    under = [scores.Answer(by_truth["angry"], "angry", "angry", 0.9, False), answers[2]]
    assert scores.condition_scores(under, clean, labels)["same_label"] == 1.0, "of those that had a label"


def test_what_is_written_is_documented_and_printed(data, recognizer, tmp_path, monkeypatch, capsys):
    out = tmp_path / "r" / "toy.json"
    options = ["--limit", "3", "--clean", "6", "--only", "gain", "--only", "non-speech", "--speakers", "one/1,two"]
    command = ["robustness.py", str(recognizer.bundle.path), "--data", str(data), *options, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    few_signals(monkeypatch)
    assert robustness.main() == 0
    written = json.loads(out.read_text())
    assert written["speakers"] == ["one/1", "two"]
    assert written["selection"]["one"]["speakers"] == 1
    described = robustness.__doc__
    keys = {*written, *written["cost"], *written["clean"], *written["selection"]["one"]}
    keys |= {*written["conditions"]["gain/-30"], *written["doubt"]["one"], *written["non_speech"]["music"]}
    keys |= {*written["groups"], *written["groups"]["corpus"]["one"], *written["doubt"]["one"]["certain"]}
    assert [key for key in sorted(keys) if f"`{key}`" not in described] == []
    printed = capsys.readouterr().out
    for piece in ("gain/-30", "gender female", "digital-silence", "names this corpus as its training data", str(out)):
        assert piece in printed

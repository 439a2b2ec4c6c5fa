"""Make the models that alternatives answer with, where their answers do not matter but what they cost does.

    python prepare.py egemaps|compare|wav2vec2 OUT < {"clips": [path, ...]}

For openSMILE a support vector machine as a benchmark would have it, fitted to the clips with made-up labels; a network
of the size of wav2vec2-base with random weights.
"""

import json
import sys

import features


def main():
    """Make one."""
    kind, out = sys.argv[1:]
    clips = json.load(sys.stdin)["clips"]
    if kind == "wav2vec2":
        from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

        Wav2Vec2ForSequenceClassification(Wav2Vec2Config(num_labels=7)).save_pretrained(out)
        return
    import joblib
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    extractor = features.smile(kind)
    rows = [features.functionals(extractor, features.heard(path)) for path in clips]
    classifier = make_pipeline(StandardScaler(), SVC(kernel="linear", class_weight="balanced"))
    joblib.dump(classifier.fit(rows, [number % 7 for number in range(len(rows))]), out)


if __name__ == "__main__":
    main()

"""In MediaPipe's environment: the scores of each text, from the file that TextClassifier opens.

python mediapipe_probe.py FILE reads a JSON list of texts and writes one of {label: score}.
"""

import json
import sys

from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import text


def main() -> None:
    base = tasks.BaseOptions(model_asset_path=sys.argv[1])
    with text.TextClassifier.create_from_options(text.TextClassifierOptions(base_options=base)) as classifier:
        found = [classifier.classify(one).classifications[0].categories for one in json.load(sys.stdin)]
    json.dump([{one.category_name: one.score for one in categories} for categories in found], sys.stdout)


if __name__ == "__main__":
    main()

"""Predictions as a short script makes them: the pictures are read, then ``model.predict`` once.

``python benchmarks/predict_script.py MODEL WEIGHTS PICTURE...`` prints each picture's likeliest
class. It is what a whole run of ``gradcam`` is compared with.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cv2
import keras
import numpy as np


def main(words: Sequence[str]) -> None:
    """Predict the pictures named on the command line, in batches of 16."""
    name, weights, *pictures = words
    model = getattr(keras.applications, name)(weights=None)
    model.load_weights(weights)
    size = model.input_shape[2:0:-1]
    x = np.stack([cv2.resize(cv2.imread(path), size)[..., ::-1] for path in pictures])
    predictions = model.predict(x.astype("float32") / 127.5 - 1, batch_size=16, verbose=0)
    for path, row in zip(pictures, predictions, strict=True):
        print(path, int(np.argmax(row)))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Layers and models of the users' own, as training code defines them, for the zoo."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

L = keras.layers


@keras.saving.register_keras_serializable("zoo")
class Block(keras.layers.Layer):  # type: ignore[misc]
    """Holds two convolutions and a normalisation, and adds its input."""

    def __init__(self, filters: int, **options: Any) -> None:
        super().__init__(**options)
        self.filters = filters
        self.first = L.Conv2D(filters, 3, padding="same", activation="relu", name="first")
        self.second = L.Conv2D(filters, 3, padding="same", name="second")
        self.norm = L.BatchNormalization(name="norm")

    def build(self, shape: Any) -> None:
        self.first.build(shape)
        inner = (*shape[:-1], self.filters)
        self.second.build(inner)
        self.norm.build(inner)
        super().build(shape)

    def call(self, x: Any, training: bool = False) -> Any:
        return tf.nn.relu(x + self.norm(self.second(self.first(x)), training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("zoo")
class ClassToken(keras.layers.Layer):  # type: ignore[misc]
    """Puts a learned token in front of the patches."""

    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="normal", name="token")

    def call(self, x: Any) -> Any:
        token = tf.broadcast_to(self.token, (tf.shape(x)[0], 1, x.shape[-1]))
        return tf.concat([tf.cast(token, x.dtype), x], axis=1)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape[0], None if shape[1] is None else shape[1] + 1, shape[2]


@keras.saving.register_keras_serializable("zoo")
class Positions(keras.layers.Layer):  # type: ignore[misc]
    """Adds a learned position to every token."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=shape[1:], initializer="normal", name="table")

    def call(self, x: Any) -> Any:
        return x + tf.cast(self.table, x.dtype)


@keras.saving.register_keras_serializable("zoo")
class Windows(keras.layers.Layer):  # type: ignore[misc]
    """Attention inside windows of 2 x 2 cells, as in Swin; takes and gives a grid."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.norm = L.LayerNormalization(name="norm")
        self.attention = L.MultiHeadAttention(2, 4, name="attention")

    def build(self, shape: Any) -> None:
        self.norm.build(shape)
        self.attention.build((None, 4, shape[-1]), (None, 4, shape[-1]))

    def call(self, x: Any) -> Any:
        _, u, v, channels = x.shape
        parts = tf.reshape(self.norm(x), (-1, u // 2, 2, v // 2, 2, channels))
        parts = tf.reshape(tf.transpose(parts, (0, 1, 3, 2, 4, 5)), (-1, 4, channels))
        parts = self.attention(parts, parts)
        parts = tf.reshape(parts, (-1, u // 2, v // 2, 2, 2, channels))
        return x + tf.reshape(tf.transpose(parts, (0, 1, 3, 2, 4, 5)), (-1, u, v, channels))


@keras.saving.register_keras_serializable("zoo")
class FourAtOnce(keras.layers.Layer):  # type: ignore[misc]
    """Subtracts the mean over the channels, written for batches of four."""

    def call(self, x: Any) -> Any:
        _, u, v, channels = x.shape
        flat = tf.reshape(x, (4, u * v, channels))
        return tf.reshape(flat - tf.reduce_mean(flat, -1, keepdims=True), (4, u, v, channels))


@keras.saving.register_keras_serializable("zoo")
class Classifier(keras.Model):  # type: ignore[misc]
    """A subclassed model whose call knows nothing of training."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.scale = L.Rescaling(1 / 255)
        self.conv = L.Conv2D(6, 3, activation="relu", name="conv")
        self.block = Block(6, name="block")
        self.pool = L.GlobalAveragePooling2D()
        self.classes = L.Dense(3, activation="softmax", name="classes")

    def call(self, x: Any) -> Any:
        return self.classes(self.pool(self.block(self.conv(self.scale(x)))))


@keras.saving.register_keras_serializable("zoo")
class Compiled(Classifier):
    """The same, its call a tf.function with Python's own control flow in it."""

    @tf.function  # type: ignore[untyped-decorator]
    def call(self, x: Any) -> Any:
        x = self.conv(self.scale(x))
        if tf.reduce_mean(x) > -1e9:
            x = x * 2.0
        return self.classes(self.pool(self.block(x)))


@keras.saving.register_keras_serializable("zoo")
class TwoSided(keras.Model):  # type: ignore[misc]
    """A subclassed model that takes and gives dictionaries."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.conv = L.Conv2D(6, 3, activation="relu", name="conv")
        self.pool = L.GlobalAveragePooling2D()
        self.join = L.Concatenate()
        self.kinds = L.Dense(3, name="kinds")
        self.age = L.Dense(1, name="age")

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        x = self.join([self.pool(self.conv(inputs["photo"] / 255.0)), inputs["table"]])
        return {"kind": tf.nn.softmax(self.kinds(x)), "age": self.age(x)}

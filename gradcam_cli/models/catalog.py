"""The table of named models: what each one is, takes and needs. Imports no TensorFlow."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gradcam_cli.errors import ModelError
from gradcam_cli.spelling import suggestion

EMBEDDED = "efficientnet-lite0"
"""The model whose ImageNet weights are installed with the package."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One named model.

    ``constructor`` is its name in ``keras.applications``, ``module`` that of the module there that
    has its ``preprocess_input``, both empty for the embedded model; ``parameters`` counts all of
    them, the 1000-class head included; ``input_size`` is ``(h, w)``. ``preprocess`` names a row of
    SCALINGS, or ``inside`` where the network scales pixels of 0..255 itself. ``layer`` is the last feature
    map before pooling, by its name in a fresh process. ``weights_file`` is the file's name in
    Keras's cache, ``weights_url`` where Keras downloads it from, and ``weights_hash`` its MD5 or
    SHA-256, empty where Keras publishes none.
    """

    name: str
    constructor: str
    parameters: int
    input_size: tuple[int, int]
    preprocess: str
    layer: str
    weights_file: str
    weights_url: str
    weights_hash: str
    module: str = ""

    @property
    def layer_is_numbered(self) -> bool:
        """Return whether Keras numbers the layer by what was built before it in the process."""
        return re.fullmatch(r"(add|activation)_\d+", self.layer) is not None


_ROOT = "https://storage.googleapis.com/tensorflow/keras-applications/"
_FAMILIES = {
    # module of keras.applications: preprocessing, folder of the weights
    "vgg16": ("caffe", "vgg16/"),
    "vgg19": ("caffe", "vgg19/"),
    "resnet": ("caffe", "resnet/"),
    "resnet_v2": ("tf", "resnet/"),
    "densenet": ("torch", "densenet/"),
    "inception_v3": ("tf", "inception_v3/"),
    "inception_resnet_v2": ("tf", "inception_resnet_v2/"),
    "xception": ("tf", "xception/"),
    "mobilenet": ("tf", "mobilenet/"),
    "mobilenet_v2": ("tf", "mobilenet_v2/"),
    "mobilenet_v3": ("inside", "mobilenet_v3/"),
    "nasnet": ("tf", "nasnet/"),
    "efficientnet": ("inside", "https://storage.googleapis.com/keras-applications/"),
    "efficientnet_v2": ("inside", "efficientnet_v2/"),
    "convnext": ("inside", "convnext/"),
}
_REMOTE = {"nasnet_mobile.h5": "NASNet-mobile.h5", "nasnet_large.h5": "NASNet-large.h5"}


def _row(
    constructor: str, family: str, parameters: int, size: int, layer: str, file: str, hashed: str
) -> Entry:
    preprocess, folder = _FAMILIES[family]
    base = folder if folder.startswith("https:") else _ROOT + folder
    return Entry(
        name=constructor.lower(),
        constructor=constructor,
        parameters=parameters,
        input_size=(size, size),
        preprocess=preprocess,
        layer=layer,
        weights_file=file,
        weights_url=base + _REMOTE.get(file, file),
        weights_hash=hashed,
        module=family,
    )


# fmt: off
_ROWS = (
    _row("VGG16", "vgg16", 138_357_544, 224, "block5_conv3", "vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b"),
    _row("VGG19", "vgg19", 143_667_240, 224, "block5_conv4", "vgg19_weights_tf_dim_ordering_tf_kernels.h5", "cbe5617147190e668d6c5d5026f83318"),
    _row("ResNet50", "resnet", 25_636_712, 224, "conv5_block3_out", "resnet50_weights_tf_dim_ordering_tf_kernels.h5", "2cb95161c43110f7111970584f804107"),
    _row("ResNet101", "resnet", 44_707_176, 224, "conv5_block3_out", "resnet101_weights_tf_dim_ordering_tf_kernels.h5", "f1aeb4b969a6efcfb50fad2f0c20cfc5"),
    _row("ResNet152", "resnet", 60_419_944, 224, "conv5_block3_out", "resnet152_weights_tf_dim_ordering_tf_kernels.h5", "100835be76be38e30d865e96f2aaae62"),
    _row("ResNet50V2", "resnet_v2", 25_613_800, 224, "post_relu", "resnet50v2_weights_tf_dim_ordering_tf_kernels.h5", "3ef43a0b657b3be2300d5770ece849e0"),
    _row("ResNet101V2", "resnet_v2", 44_675_560, 224, "post_relu", "resnet101v2_weights_tf_dim_ordering_tf_kernels.h5", "6343647c601c52e1368623803854d971"),
    _row("ResNet152V2", "resnet_v2", 60_380_648, 224, "post_relu", "resnet152v2_weights_tf_dim_ordering_tf_kernels.h5", "a49b44d1979771252814e80f8ec446f9"),
    _row("DenseNet121", "densenet", 8_062_504, 224, "relu", "densenet121_weights_tf_dim_ordering_tf_kernels.h5", "9d60b8095a5708f2dcce2bca79d332c7"),
    _row("DenseNet169", "densenet", 14_307_880, 224, "relu", "densenet169_weights_tf_dim_ordering_tf_kernels.h5", "d699b8f76981ab1b30698df4c175e90b"),
    _row("DenseNet201", "densenet", 20_242_984, 224, "relu", "densenet201_weights_tf_dim_ordering_tf_kernels.h5", "1ceb130c1ea1b78c3bf6114dbdfd8807"),
    _row("InceptionV3", "inception_v3", 23_851_784, 299, "mixed10", "inception_v3_weights_tf_dim_ordering_tf_kernels.h5", "9a0d58056eeedaa3f26cb7ebd46da564"),
    _row("InceptionResNetV2", "inception_resnet_v2", 55_873_736, 299, "conv_7b_ac", "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels.h5", "e693bd0210a403b3192acc6073ad2e96"),
    _row("Xception", "xception", 22_910_480, 299, "block14_sepconv2_act", "xception_weights_tf_dim_ordering_tf_kernels.h5", "0a58e3b7378bc2990ea3b43d5981f1f6"),
    _row("MobileNet", "mobilenet", 4_253_864, 224, "conv_pw_13_relu", "mobilenet_1_0_224_tf.h5", ""),
    _row("MobileNetV2", "mobilenet_v2", 3_538_984, 224, "out_relu", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5", ""),
    _row("MobileNetV3Small", "mobilenet_v3", 2_554_968, 224, "activation_17", "weights_mobilenet_v3_small_224_1.0_float.h5", "8768d4c2e7dee89b9d02b2d03d65d862"),
    _row("MobileNetV3Large", "mobilenet_v3", 5_507_432, 224, "activation_19", "weights_mobilenet_v3_large_224_1.0_float.h5", "59e551e166be033d707958cf9e29a6a7"),
    _row("NASNetMobile", "nasnet", 5_326_716, 224, "activation_187", "nasnet_mobile.h5", "020fb642bf7360b370c678b08e0adf61"),
    _row("NASNetLarge", "nasnet", 88_949_818, 331, "activation_259", "nasnet_large.h5", "11577c9a518f0070763c2b964a382f17"),
    _row("EfficientNetB0", "efficientnet", 5_330_571, 224, "top_activation", "efficientnetb0.h5", "902e53a9f72be733fc0bcb005b3ebbac"),
    _row("EfficientNetB1", "efficientnet", 7_856_239, 240, "top_activation", "efficientnetb1.h5", "1d254153d4ab51201f1646940f018540"),
    _row("EfficientNetB2", "efficientnet", 9_177_569, 260, "top_activation", "efficientnetb2.h5", "b15cce36ff4dcbd00b6dd88e7857a6ad"),
    _row("EfficientNetB3", "efficientnet", 12_320_535, 300, "top_activation", "efficientnetb3.h5", "ffd1fdc53d0ce67064dc6a9c7960ede0"),
    _row("EfficientNetB4", "efficientnet", 19_466_823, 380, "top_activation", "efficientnetb4.h5", "18c95ad55216b8f92d7e70b3a046e2fc"),
    _row("EfficientNetB5", "efficientnet", 30_562_527, 456, "top_activation", "efficientnetb5.h5", "ace28f2a6363774853a83a0b21b9421a"),
    _row("EfficientNetB6", "efficientnet", 43_265_143, 528, "top_activation", "efficientnetb6.h5", "165f6e37dce68623721b423839de8be5"),
    _row("EfficientNetB7", "efficientnet", 66_658_687, 600, "top_activation", "efficientnetb7.h5", "8c03f828fec3ef71311cd463b6759d99"),
    _row("EfficientNetV2B0", "efficientnet_v2", 7_200_312, 224, "top_activation", "efficientnetv2-b0.h5", "21ecbf6da12460d5c40bb2f29ceb2188"),
    _row("EfficientNetV2B1", "efficientnet_v2", 8_212_124, 240, "top_activation", "efficientnetv2-b1.h5", "069f0534ff22adf035c89e2d9547a9dc"),
    _row("EfficientNetV2B2", "efficientnet_v2", 10_178_374, 260, "top_activation", "efficientnetv2-b2.h5", "424e49f28180edbde1e94797771950a7"),
    _row("EfficientNetV2B3", "efficientnet_v2", 14_467_622, 300, "top_activation", "efficientnetv2-b3.h5", "1f1fc43bd98a6e4fd8fdfd551e02c7a0"),
    _row("EfficientNetV2S", "efficientnet_v2", 21_612_360, 384, "top_activation", "efficientnetv2-s.h5", "e1d88a8495beba45748fedd0cecbe016"),
    _row("EfficientNetV2M", "efficientnet_v2", 54_431_388, 480, "top_activation", "efficientnetv2-m.h5", "a3bf6aa3276309f4fc6a34aa114c95cd"),
    _row("EfficientNetV2L", "efficientnet_v2", 119_027_848, 480, "top_activation", "efficientnetv2-l.h5", "27e6d408b53c7ebc868fefa357689935"),
    _row("ConvNeXtTiny", "convnext", 28_589_128, 224, "add_17", "convnext_tiny.h5", "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff"),
    _row("ConvNeXtSmall", "convnext", 50_223_688, 224, "add_35", "convnext_small.h5", "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c"),
    _row("ConvNeXtBase", "convnext", 88_591_464, 224, "add_35", "convnext_base.h5", "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6"),
    _row("ConvNeXtLarge", "convnext", 197_767_336, 224, "add_35", "convnext_large.h5", "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6"),
    _row("ConvNeXtXLarge", "convnext", 350_196_968, 224, "add_35", "convnext_xlarge.h5", "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee"),
)
# fmt: on
_LITE0 = Entry(
    name=EMBEDDED,
    constructor="",
    parameters=4_694_024,
    input_size=(224, 224),
    preprocess="lite0",
    layer="head_activation",
    weights_file="",
    weights_url="",
    weights_hash="",
)
_TABLE = {entry.name: entry for entry in (_LITE0, *_ROWS)}
_BY_KEY = {re.sub(r"[-_ .]", "", name): entry for name, entry in _TABLE.items()}


def names() -> list[str]:
    """Return the names of all models, the embedded one first."""
    return list(_TABLE)


def is_known(name: str) -> bool:
    """Return whether ``find`` finds a model of this name."""
    return _key(name) in _BY_KEY


def _key(name: str) -> str:
    return re.sub(r"[-_ .]", "", name.lower())


def find(name: str) -> Entry:
    """Return the model of a name; case, dashes, underscores and spaces are forgiven.

    Raises ModelError with the nearest names for an unknown one.
    """
    entry = _BY_KEY.get(_key(name))
    if entry is None:
        raise ModelError(
            f"there is no model called {name!r}",
            suggestion(name.lower(), _TABLE, "`gradcam models` lists the names")
            + "; a model of your own is named by its .keras or .h5 file"
            + ("; presets of KerasHub need it: pip install keras-hub" if "_" in name else ""),
        )
    return entry

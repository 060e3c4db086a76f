"""The classes and functions of Keras that a classifier is made of, by the modules that hold them.

The lists are written out, so that what a later Keras adds is refused until somebody has checked
it. ``PROGRAMS``, and a list in the tests, have what is missing on purpose.
"""

from __future__ import annotations

import re

# Layers whose configuration is a program: bytecode, a pickle, or a graph in another file.
PROGRAMS = {
    "FlaxLayer": "a pickled Flax module",
    "JaxLayer": "a pickled JAX function",
    "TFSMLayer": "a TensorFlow graph",
    "TorchModuleWrapper": "a pickled PyTorch module",
    "__lambda__": "a pickled lambda function",
}
# Layers that take their vocabulary as a list, or from a file.
LOOKUPS = ("IntegerLookup", "StringLookup", "TextVectorization")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LAYERS = _names("""
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
    AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D
    AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization
    Bidirectional CategoryEncoding CenterCrop Concatenate
    ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D Conv2DTranspose
    Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D Convolution1DTranspose
    Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose Cropping1D Cropping2D
    Cropping3D CutMix Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU
    EinsumDense Embedding Equalization Flatten GRU GRUCell GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D
    GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention
    HashedCrossing Hashing Identity InputLayer IntegerLookup LSTM LSTMCell Lambda
    LayerNormalization LeakyReLU Masking MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D
    MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp MultiHeadAttention
    Multiply Normalization PReLU Permute Pipeline RMSNormalization RNN RandAugment RandomBrightness
    RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
    RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
    RandomShear RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing
    ReversibleEmbedding STFTSpectrogram SeparableConv1D SeparableConv2D SeparableConvolution1D
    SeparableConvolution2D SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D
    SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells StringLookup Subtract
    TextVectorization TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D
    ZeroPadding1D ZeroPadding2D ZeroPadding3D
""")
_OLD_LAYERS = _names("AlphaDropout RandomHeight RandomWidth ThresholdedReLU")
_MODELS = _names("Functional Model Sequential")
_INITIALIZERS = _names("""
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal
    LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT
    STFTInitializer TruncatedNormal VarianceScaling Zeros constant glorot_normal glorot_uniform
    he_normal he_uniform identity lecun_normal lecun_uniform normal one ones orthogonal
    random_normal random_uniform stft truncated_normal uniform variance_scaling zero zeros
""")
_REGULARIZERS = _names("L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l2 orthogonal_regularizer")
_CONSTRAINTS = _names("""
    MaxNorm MinMaxNorm NonNeg UnitNorm max_norm min_max_norm non_neg unit_norm
""")
_POLICIES = _names("""
    DTypePolicy DTypePolicyMap FloatDTypePolicy Int4DTypePolicy QuantizedDTypePolicy
    QuantizedFloat8DTypePolicy
""")
_QUANTIZERS = _names("""
    AbsMaxQuantizer Float8QuantizationConfig Int4QuantizationConfig Int8QuantizationConfig
""")
# Operations between the layers of a functional model.
_OPERATIONS = {
    "core": """
        Cast ConvertToTensor SaturateCast Scatter ScatterUpdate Slice SliceUpdate StopGradient
        Unstack
    """,
    "einops": "Rearrange",
    "image": """
        AffineTransform CropImages ElasticTransform ExtractPatches GaussianBlur HSVToRGB
        MapCoordinates PadImages PerspectiveTransform RGBToGrayscale RGBToHSV Resize SSIM
        ScaleAndTranslate SobelEdges
    """,
    "linalg": """
        Cholesky CholeskyInverse Det Eig Eigh Inv Lstsq LuFactor MatrixRank Norm Pinv Qr SVD Solve
        SolveTriangular
    """,
    "math": """
        CDist Erf Erfc Erfinv ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logdet Logsumexp
        RFFT Rsqrt STFT SegmentMax SegmentMin SegmentProd SegmentReduction SegmentSum TopK
        ViewAsComplex ViewAsReal
    """,
    "nn": """
        AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm BinaryCrossentropy CTCDecode
        CTCLoss CategoricalCrossentropy Celu Conv ConvTranspose DepthToSpace DepthwiseConv
        DotProductAttention Elu Fold Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LayerNorm
        LeakyRelu LogSigmoid LogSoftmax MaxPool Moments MultiHot Normalize OneHot PSNR Polar RMSNorm
        Relu Relu6 Selu SeparableConv Sigmoid Silu SoftShrink Softmax Softplus Softsign
        SpaceToDepth SparseCategoricalCrossentropy SparsePlus SparseSigmoid Sparsemax Squareplus
        TanhShrink Threshold Unfold
    """,
    "numpy": """
        Abs Absolute Add All AllClose Amax Amin Angle Any Append Arange Arccos Arccosh Arcsin
        Arcsinh Arctan Arctan2 Arctanh Argmax Argmin Argpartition Argsort Array ArraySplit Average
        Bincount BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift
        BitwiseXor BroadcastTo Cbrt Ceil Clip Concatenate Conj Conjugate Copy Corrcoef Correlate Cos
        Cosh CountNonzero Cross Cumprod Cumsum Deg2rad Diag Diagflat Diagonal Diff Digitize Divide
        DivideNoNan Dot Dsplit Dstack Einsum EmptyLike Equal Exp Exp2 ExpandDims Expm1 Fabs Flip
        Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod Full FullLike Gcd Geomspace GetItem Greater
        GreaterEqual Heaviside Histogram Hsplit Hstack Hypot I0 Imag Inner IsIn Isclose Isfinite
        Isinf Isnan Isneginf Isposinf Isreal Kron Lcm Ldexp LeftShift Less LessEqual Linspace Log
        Log10 Log1p Log2 Logaddexp Logaddexp2 LogicalAnd LogicalNot LogicalOr LogicalXor Logspace
        Matmul Max Maximum Mean Median Meshgrid Min Minimum Mod Moveaxis Multiply NanToNum
        Nanargmax Nanargmin Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile
        Nanprod Nanquantile Nanstd Nansum Nanvar Ndim Negative Nextafter Nonzero NotEqual OnesLike
        Outer Pad Percentile Power Prod Ptp Quantile Rad2deg Ravel Real Reciprocal Repeat Reshape
        RightShift Roll Rot90 Round SearchSorted Select Sign Signbit Sin Sinc Sinh Size Slogdet Sort
        Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Take TakeAlongAxis Tan Tanh
        Tensordot Tile Trace Transpose Trapezoid Tril Triu TrueDivide Trunc Unique UnravelIndex
        Vander Var Vdot View Vsplit Vstack Where ZerosLike
    """,
}
HOMES: dict[str, frozenset[str]] = {
    "keras": _MODELS | {"DTypePolicy", "FloatDTypePolicy"},
    "keras.constraints": _CONSTRAINTS,
    "keras.dtype_policies": _POLICIES,
    "keras.initializers": _INITIALIZERS,
    "keras.layers": _LAYERS,
    "keras.models": _MODELS,
    "keras.quantizers": _QUANTIZERS,
    "keras.random": _names("SeedGenerator"),
    "keras.regularizers": _REGULARIZERS,
    "keras.src.activations.activations": _names("Mish ReLU"),
    "keras.src.applications.convnext": _names("LayerScale StochasticDepth"),
    "keras.src.applications.inception_resnet_v2": _names("CustomScaleLayer"),
    "keras.src.legacy.layers": _OLD_LAYERS,
    "keras.src.models.functional": _names("Functional"),
    **{f"keras.src.ops.{home}": _names(text) for home, text in _OPERATIONS.items()},
}
"""Module, as Keras 3 writes it -> the classes in it that a configuration may name."""

# HDF5 files, and those before Keras 3, name no modules.
WITHOUT_MODULE = (
    _CONSTRAINTS
    | _INITIALIZERS
    | _LAYERS
    | _MODELS
    | _OLD_LAYERS
    | _POLICIES
    | _QUANTIZERS
    | _REGULARIZERS
)

# Activations, and the one that stands in for what Keras 2 called hard_sigmoid.
FUNCTIONS = _names("""
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
    linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
    softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
    gradcam>keras_2_hard_sigmoid
""")

APPLICATIONS = _names("""
    convnext densenet efficientnet efficientnet_v2 imagenet_utils inception_resnet_v2 inception_v3
    mobilenet mobilenet_v2 mobilenet_v3 nasnet resnet resnet50 resnet_v2 vgg16 vgg19 xception
""")
"""Modules of ``keras.applications`` that have a ``preprocess_input``."""

# Where Keras 3, Keras 2, tf.keras, tf_keras and keras-core had classes of layers and models.
KERAS_MODULE = re.compile(
    r"(tensorflow\.(python\.)?)?(keras|keras_core|tf_keras)"
    r"(\.(src|api|_v2|_tf_keras|engine|experimental|legacy))*"
    r"(\.(activations|applications|constraints|dtype_policies|initializers|layers"
    r"|mixed_precision|models|ops|quantizers|random|regularizers|functional"
    r"|sequential|training|input_layer|base_layer)(\.\w+)*)?"
)

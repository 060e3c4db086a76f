"""What the names of images end with: those that are read, and those that are not."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import PurePath

_JPEG = {".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".mpo"}
_JPEG_2000 = {".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"}
_OTHERS = {".png", ".apng", ".webp", ".avif", ".avifs", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
_PNM = {".ppm", ".pgm", ".pbm", ".pnm"}
_HEIC = {".heic", ".heics", ".heif", ".heifs", ".hif"}
_CAMERA = (
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf "
    ".pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f"
)
_SCIENCE = ".czi .dcm .dicom .exr .fits .fts .hdr .lif .mrxs .nd2 .ndpi .nii .pfm .svs .vsi"
_DRAWN = ".ai .cdr .emf .eps .kra .ora .psb .psd .svg .svgz .wmf .xcf"
_RARE = (
    ".bpg .cin .cur .dds .dpx .flif .hdp .icns .ico .jls .jxl .jxr .pam .pcx .pct .pic .pict .qoi "
    ".ras .rgb .rgba .sgi .sun .tga .wbmp .wdp .xbm .xpm"
)


def heic_installed() -> bool:
    """Return whether the optional package that reads HEIC is there; it is not imported."""
    return importlib.util.find_spec("pillow_heif") is not None


EXTENSIONS = frozenset(_JPEG | _JPEG_2000 | _OTHERS | _PNM | (_HEIC if heic_installed() else set()))
"""What an image's name ends with, in lower case; only these are taken from folders."""

UNREAD = _HEIC.union(*map(str.split, (_CAMERA, _SCIENCE, _DRAWN, _RARE))) - EXTENSIONS
"""What the names of images end with that are not read, so that folders do not lose them."""


def ending(name: str) -> str:
    """Return what a name ends with, in lower case: ``.jpg``."""
    return PurePath(name).suffix.lower()


def is_picture(name: str) -> bool:
    """Recognise an image that is read from a folder by its name; hidden files are none."""
    return ending(name) in EXTENSIONS and not name.startswith(".")


def is_unread(name: str) -> bool:
    """Recognise an image of a type that is not read by its name; hidden files are none."""
    return ending(name) in UNREAD and not name.startswith(".")


def how_to_read(kind: str) -> str:
    """Return what can be done about a type that is not read, by its ending."""
    if kind in _HEIC:
        return "pip install 'gradcam-cli[heic]' to read them, or convert them to JPEG or PNG"
    if kind in _CAMERA.split():
        return "develop them to JPEG, PNG or TIFF"
    return "convert them to JPEG, PNG or TIFF"


def advice(kinds: Iterable[str]) -> str:
    """Return what can be done about several types that are not read, by their endings."""
    by_advice: dict[str, list[str]] = {}
    for kind in kinds:
        by_advice.setdefault(how_to_read(kind), []).append(kind)
    return "; ".join(f"{', '.join(kinds)}: {what}" for what, kinds in by_advice.items())

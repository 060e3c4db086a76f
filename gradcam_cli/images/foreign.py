"""A file that is not an image that can be read becomes what it is, as a phrase for people."""

from __future__ import annotations

import re

from gradcam_cli.images.boxes import brands

_CONVERT = "convert it to JPEG or PNG first"
_WRONG_FILE = "the download went wrong: get the picture itself"
HEIC_HINT = "pip install 'gradcam-cli[heic]', or convert it to JPEG or PNG first"

_SIGNATURES = (
    (b"\xff\x0a", "a JPEG XL picture", _CONVERT),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture", _CONVERT),
    (b"8BPS", "a Photoshop document", _CONVERT),
    (b"gimp xcf", "a GIMP document", _CONVERT),
    (b"v/1\x01", "an OpenEXR picture", _CONVERT),
    (b"#?RADIANCE", "a Radiance HDR picture", _CONVERT),
    (b"#?RGBE", "a Radiance HDR picture", _CONVERT),
    (b"II\xbc\x01", "a JPEG XR picture", _CONVERT),
    (b"IIRO", "a camera's raw file", _CONVERT),
    (b"IIU\0", "a camera's raw file", _CONVERT),
    (b"FUJIFILMCCD-RAW", "a camera's raw file", _CONVERT),
    (b"\0\0\1\0", "an icon (ICO)", _CONVERT),
    (b"\0\0\2\0", "a cursor (CUR), or a Targa picture", _CONVERT),
    (b"DDS ", "a DirectDraw texture", _CONVERT),
    (b"SIMPLE  =", "a FITS file", _CONVERT),
    (b"P7\n", "a PAM picture", _CONVERT),
    (b"Pf\n", "a PFM picture of floating-point numbers", _CONVERT),
    (b"PF\n", "a PFM picture of floating-point numbers", _CONVERT),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile", _CONVERT),
    (b"%PDF", "a PDF document", _CONVERT),
    (b"%!PS", "a PostScript document", _CONVERT),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)", "take single frames out of it"),
    (b"\0\0\1\xba", "a video (MPEG)", "take single frames out of it"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", ""),
    (b"\x93NUMPY", "a NumPy array", ""),
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the picture itself",
        "run `git lfs pull` in that repository, or download the file itself",
    ),
)
_BRANDS = (
    (rb"crx ", "a camera's raw file (CR3)", _CONVERT),
    (rb"M4A |M4B |M4P |F4A ", "a sound file", ""),
    (
        rb"qt  |mp4[12v]|isom|iso\d|avc\d|M4V |3g[2pers].|mmp4|dash|MSNV|F4V |XAVC|mqt ",
        "a video (MP4 or QuickTime)",
        "take single frames out of it",
    ),
    (rb"jxl ", "a JPEG XL picture", _CONVERT),
)
_MOVIE = (b"moov", b"mdat", b"wide", b"pnot", b"skip")
_HTML = re.compile(rb"<(!doctype html|html|head|body|title|meta|script)\b", re.IGNORECASE)
_SVG = re.compile(rb"<svg\b|<!doctype svg", re.IGNORECASE)


def foreign(head: bytes) -> tuple[str, str]:
    """Return what a file is, given its first bytes, and a hint; both empty when nobody knows."""
    for signature, what, hint in _SIGNATURES:
        if head.startswith(signature):
            return what, hint
    if head[4:8] == b"ftyp":
        return _media(brands(head))
    if head[4:8] in _MOVIE:
        return "a video (QuickTime)", "take single frames out of it"
    if head[:4] == b"RIFF":
        kind = {b"AVI ": "a video (AVI)", b"WAVE": "a sound file (WAV)"}.get(head[8:12], "")
        return kind, "take single frames out of it" if "video" in kind else ""
    if head[128:132] == b"DICM":
        return "a DICOM file", _CONVERT
    return _text(head)


def _media(named: list[bytes]) -> tuple[str, str]:
    for pattern, what, hint in _BRANDS:
        if any(re.fullmatch(pattern, brand) for brand in named):
            return what, hint
    if not named or not named[0].isascii():
        return "", ""
    return f"a media file of the brand {named[0].decode('ascii')!r}", ""


def _text(head: bytes) -> tuple[str, str]:
    """Recognise markup and JSON, which servers send instead of an image."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head.decode("utf-16", "ignore").encode()
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] == b"<":
        if _SVG.search(start):
            return "an SVG drawing", _CONVERT
        if _HTML.search(start):
            return "a web page, not a picture", _WRONG_FILE
        if start[:5] == b"<?xml" or re.match(rb"<[A-Za-z!]", start):
            return "an XML document, not a picture", _WRONG_FILE
    if re.match(rb'[{\[]\s*["{\[\]}\d]', start):
        return "a JSON document, not a picture", _WRONG_FILE
    return "", ""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import ImageError
from gradcam_cli.images.files import read_picture

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
ERROR = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'


def ftyp(*brands: bytes) -> bytes:
    body = brands[0] + b"\0\0\2\0" + b"".join(brands)
    return struct.pack(">I4s", 8 + len(body), b"ftyp") + body + b"\0\0\0\x20mdat" + b"avif" * 20


def saved(name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, name)
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", b"1")
    return file.getvalue()


def hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as whole:
        whole["a"] = 1
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "said", "hint"),
    [
        (POINTER, "a Git LFS pointer, not the picture", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "a web page", "download went wrong"),
        (b"\xef\xbb\xbf \r\n<HTML lang=en>", "a web page", "download went wrong"),
        ("<!doctype html>".encode("utf-16"), "a web page", "download went wrong"),
        (b"<!-- cached --><head><title>Sign in</title>", "a web page", "download went wrong"),
        (ERROR, "an XML document", "download went wrong"),
        (b'{"message": "Not Found", "status": "404"}', "a JSON document", "download went wrong"),
        (b'[{"a": 1}]', "a JSON document", "download went wrong"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing", "convert it"),
        (b'<?xml version="1.0"?>\n<!-- a -->\n<svg width="3"/>', "an SVG drawing", "convert it"),
        (ftyp(b"isom", b"iso2", b"avc1", b"mp41"), "a video", "frames"),
        (ftyp(b"mp42", b"isom"), "a video", "frames"),
        (ftyp(b"qt  "), "a video", "frames"),
        (ftyp(b"3gp5", b"isom"), "a video", "frames"),
        (ftyp(b"crx ", b"isom"), "raw file (CR3)", "convert it"),
        (ftyp(b"M4A ", b"isom"), "a sound file", ""),
        (ftyp(b"abcd"), "a media file of the brand 'abcd'", ""),
        (b"\0\0\0\x08wide\0\0\0\x10mdat" + b"\0" * 99, "a video (QuickTime)", "frames"),
        (b"RIFF\x24\0\0\0AVI LIST", "a video (AVI)", "frames"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a sound file", ""),
        (saved("PDF"), "a PDF document", "convert it"),
        (saved("ICO"), "an icon", "convert it"),
        (saved("DDS"), "a DirectDraw texture", "convert it"),
        (zipped(), "a zip archive", "unpack"),
        (gzip.compress(b"1", mtime=0), "a gzip archive", "unpack"),
        (hdf5(), "an HDF5 file", ""),
        (npy(), "a NumPy array", ""),
        (b"\0" * 128 + b"DICM" + b"\0" * 99, "a DICOM file", "convert it"),
        (b"hello, I am a text file\n", "not a picture", ""),
        (b"<3 you all", "not a picture", ""),
        (b"\0\0\0\x18ftyp", "not a picture", ""),
    ],
)
def test_what_it_is_instead(tmp_path: Path, data: bytes, said: str, hint: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_picture(path)
    assert caught.value.kind == "not-a-picture"
    assert said in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("brands", "kind"),
    [
        ((b"avif", b"mif1", b"miaf"), "AVIF"),
        ((b"mif1", b"avif", b"miaf"), "AVIF"),
        ((b"avis", b"msf1"), "AVIF"),
        ((b"heic", b"mif1"), "HEIF"),
        ((b"heix", b"mif1"), "HEIF"),
        ((b"mif1", b"heic"), "HEIF"),
        ((b"msf1", b"hevc"), "HEIF"),
    ],
)
def test_brands_decide(tmp_path: Path, brands: tuple[bytes, ...], kind: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(ftyp(*brands))
    with pytest.raises(ImageError, match=f"the {kind} file is not whole"):
        read_picture(path)

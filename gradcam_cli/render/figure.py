"""A map's cells become a plot with axes and a colour bar: the artifact ``figure``."""

from __future__ import annotations

from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from gradcam_cli.cam.maps import displayed
from gradcam_cli.render.colours import colour_table
from gradcam_cli.render.drawing import Drawing
from gradcam_cli.render.page import DOTS, own_style, saved


def figure(drawing: Drawing) -> bytes:
    """Return the first map ``[u, v]`` in 0..1 as matplotlib's ``matshow`` shows it, as a file.

    It is the map that overlays show.
    """
    spec = drawing.spec
    heat = displayed(drawing.maps[0].raw, drawing.maps[0].method)
    with own_style():
        plot = Figure(figsize=(5.2, 4.4), layout="constrained")
        axes = plot.add_subplot()
        colours = ListedColormap(colour_table(spec.figure_colormap) / 255)
        image = axes.matshow(heat, cmap=colours, vmin=0, vmax=1)
        plot.colorbar(image, ax=axes)
        return saved(plot, spec.figure_format, 72 * DOTS)

// Maps as numbers and as colours.

import { DATA } from "gradcam/data.js";
import { element } from "gradcam/parts.js";

// The map itself: rows, columns and bytes, or null.
export function gridOf(text) {
  const found = /^(\d{1,2})x(\d{1,2}):([A-Za-z0-9+/]*={0,2})$/.exec(text || "");
  if (!found) return null;
  try {
    const cells = Uint8Array.from(atob(found[3]), (sign) => sign.charCodeAt(0));
    const [rows, columns] = [Number(found[1]), Number(found[2])];
    return cells.length && cells.length === rows * columns ? { rows, columns, cells } : null;
  } catch {
    return null;
  }
}

export const colourBar = "linear-gradient(to right, " + DATA.colours.join(", ") + ")";

const LEVELS = (() => {
  const stops = DATA.colours.map((text) => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16)));
  return Array.from({ length: 256 }, (_, level) => {
    const at = (level / 255) * (stops.length - 1);
    const [low, high] = [Math.floor(at), Math.ceil(at)];
    return stops[low].map((value, channel) => Math.round(value + (stops[high][channel] - value) * (at - low)));
  });
})();

// A map on its own grid; with `full`, its largest cell has the last colour.
export function heatCanvas(text, label, full = false) {
  const grid = gridOf(text);
  if (!grid) return null;
  const { rows, columns, cells } = grid;
  const canvas = element("canvas", { width: columns, height: rows, role: "img", "aria-label": label });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  const top = full ? Math.max(1, ...cells) : 255;
  cells.forEach((cell, place) => {
    pixels.data.set([...LEVELS[Math.min(255, Math.round((255 * cell) / top))], 255], 4 * place);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// One map less another, each divided by its sum, on the finer of both grids.
export function differenceCanvas(one, other, label) {
  const grids = [gridOf(one), gridOf(other)];
  if (!grids[0] || !grids[1]) return null;
  const rows = Math.max(grids[0].rows, grids[1].rows);
  const columns = Math.max(grids[0].columns, grids[1].columns);
  const [first, second] = grids.map((grid) => spread(grid, rows, columns));
  const values = first.map((value, place) => value - second[place]);
  const most = Math.max(1e-9, ...values.map(Math.abs));
  const canvas = element("canvas", { width: columns, height: rows, role: "img", "aria-label": label });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  values.forEach((value, place) => {
    const fade = Math.round(245 * (1 - Math.abs(value) / most));
    pixels.data.set(value > 0 ? [205 + (40 * fade) / 245, fade, fade, 255] : [fade, fade, 215 + (30 * fade) / 245, 255], 4 * place);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function spread(grid, rows, columns) {
  const cells = Array.from({ length: rows * columns }, (_, place) => {
    const row = Math.floor(((Math.floor(place / columns) + 0.5) * grid.rows) / rows);
    const column = Math.floor((((place % columns) + 0.5) * grid.columns) / columns);
    return grid.cells[row * grid.columns + column];
  });
  const sum = cells.reduce((total, cell) => total + cell, 0) || 1;
  return cells.map((cell) => cell / sum);
}

// How strong the heat is over all pictures.

import { $ } from "gradcam/parts.js";

let strength = 100; // that which comes back

export function setOverlay(value) {
  document.documentElement.style.setProperty("--heat", value / 100);
  for (const slider of document.querySelectorAll("#opacity, .opacity")) slider.value = value;
}

export function toggleOverlay() {
  if (Number($("opacity").value) > 0) {
    strength = Number($("opacity").value);
    setOverlay(0);
  } else setOverlay(strength);
}

# %% [markdown]
# # gradcam in a notebook
# Run it cell by cell in Jupyter or an editor, or as a whole: `python docs/notebook.py`.

# %%
from pathlib import Path

import gradcam_cli

SAMPLES = Path(__file__).parent.parent / "sample_images"
model = gradcam_cli.load("efficientnet-lite0")

# %% [markdown]
# The three likeliest classes of one picture. In a notebook, an Explanation shows itself as its
# overlay; `raw` is the map as computed, `heat` the same in 0..1, `overlay()` an array.

# %%
for each in gradcam_cli.explain(model, SAMPLES / "cat.jpg", classes="top3"):
    row, column = divmod(int(each.heat.argmax()), each.heat.shape[1])
    print(f"{each.name}: {each.probability:.3f}, hottest in row {row}, column {column}")

# %% [markdown]
# One class over arrays: what another library has decoded, as uint8 RGB.

# %%
pixels = gradcam_cli.explain(model, SAMPLES / "coffee.jpg")[0].pixels
left = pixels[:, : pixels.shape[1] // 2]
whole, half = gradcam_cli.explain(model, [pixels, left], classes="espresso")
print(f"espresso: {whole.probability:.3f} on the whole picture, {half.probability:.3f} on its left")

# %% [markdown]
# Any number of pictures, with the work beside the network done in threads. What the sink returns
# comes out in the order of the pictures.


# %%
def likeliest(image: gradcam_cli.Prepared, answer: gradcam_cli.Answer) -> tuple[str, int]:
    """Return a picture's name and the index of its likeliest class."""
    return Path(image.source.source).name, answer.ranked(1)[0]


spec = gradcam_cli.RunSpec(model=gradcam_cli.ModelSpec(model="efficientnet-lite0"))
for outcome in gradcam_cli.run(SAMPLES, spec, likeliest):
    print(outcome)

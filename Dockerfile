# docker build -t gradcam .
# docker run --rm -v "$PWD:/work" -u "$(id -u):$(id -g)" gradcam run photos --model model.keras
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 KERAS_HOME=/weights
WORKDIR /src

# What changes seldom comes first: the packages, without the program, are a layer of their own.
COPY pyproject.toml README.md LICENSE ./
COPY gradcam_cli/__init__.py gradcam_cli/__init__.py
RUN python -m pip install --no-compile .

COPY gradcam_cli gradcam_cli
RUN python -m pip install --no-compile --no-deps --force-reinstall . \
    && rm -rf /src \
    && useradd --create-home --uid 10001 gradcam \
    && install -d -o gradcam -m 1777 /weights

USER 10001
WORKDIR /work
ENTRYPOINT ["gradcam"]
CMD ["--help"]

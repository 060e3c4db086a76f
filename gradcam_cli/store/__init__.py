"""An output folder: names, records, the run's settings, the manifest, whole files."""

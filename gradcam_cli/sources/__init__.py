"""What was named becomes images to open: folders are walked, globs matched, lists read."""

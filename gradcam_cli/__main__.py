"""``python -m gradcam_cli``."""

from gradcam_cli.cli import main

if __name__ == "__main__":
    main()

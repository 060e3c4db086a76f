"""What is asked of a network is settled, traced, and answered for batches of images."""

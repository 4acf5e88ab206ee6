"""What a running proxy tells about itself, and takes orders by: for those who operate it."""

"""Small programs that stand for images: standard library only, run inside containers."""

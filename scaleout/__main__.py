"""`python -m scaleout`."""

from scaleout.cli import main

if __name__ == "__main__":
    main()

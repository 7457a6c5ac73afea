"""``python -m copyfold``, and ``torchrun -m copyfold``: the command line."""

from copyfold.cli.main import main

if __name__ == "__main__":
    main()

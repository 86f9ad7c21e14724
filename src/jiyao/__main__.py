"""`python -m jiyao` is the `jiyao` command."""

from jiyao.cli import main

if __name__ == "__main__":
    main()

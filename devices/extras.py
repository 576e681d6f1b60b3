"""What to say where a library is missing that the distribution installs only if asked."""


def missing(library: str, extra: str) -> str:
    """`library` is not there; it belongs to the extra `extra`. Half a sentence, behind what needs it."""
    return (
        f"needs the library {library}: with the pip of the environment it runs in, `pip install '.[{extra}]'` in a "
        f"checkout, or `pip install 'FILE.whl[{extra}]'` with the wheel it was installed from"
    )

"""The project's files and how one check of them reports."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(root):
    """Every file that is, or would be, the project's: paths relative to root, sorted.

    In a checkout git knows; in an unpacked archive everything but build/ is.
    """
    if (root / ".git").exists():
        listing = subprocess.run(
            ["git", "-C", root, "-c", f"safe.directory={root}", "ls-files", "-z",
             "--cached", "--others", "--exclude-standard"],
            check=True, capture_output=True).stdout
        names = {pathlib.PurePath(n.decode()) for n in listing.split(b"\0") if n}
    else:
        names = {p.relative_to(root) for p in root.rglob("*") if p.is_file()}
        names = {n for n in names if n.parts[0] != "build"}
    return sorted(n for n in names if (root / n).is_file())


def lines(root, name):
    return (root / name).read_text(encoding="utf-8", errors="replace").splitlines()


COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def code_lines(root, name):
    """The lines of a C file without its comments; line numbers stay."""
    def blank(match):
        return match[0] if match[0].startswith('"') else "\n" * match[0].count("\n")
    text = (root / name).read_text(encoding="utf-8", errors="replace")
    return COMMENT_OR_STRING.sub(blank, text).splitlines()


def report(program, findings, looked_at):
    """Prints findings; the exit code. A check that looked at nothing has not passed."""
    for finding in findings:
        print(finding)
    if not looked_at:
        print(f"{program}: nothing to look at")
        return 1
    print(f"{program}: {looked_at} looked at, {len(findings)} wrong", file=sys.stderr)
    return 1 if findings else 0

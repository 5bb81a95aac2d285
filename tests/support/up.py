"""`busline up` on a directory of a test's own, as somebody at a terminal or a script has it."""

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import psycopg

from support.platform import BINARY, SLOW, wait_for

NAMES = {"postgres", "broker", "catalog", "deploy", "scale", "route", "relay", "clock", "saga"}
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("BUSLINE_", "PG"))}


def processes_of(data):
    """{pid: command line} of every living process that has something to do with the directory."""
    mark, found = os.fsencode(data), {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            place = os.readlink(entry / "cwd")
            if mark in line or mark in (entry / "environ").read_bytes() or \
                    place.startswith(str(data) + "/"):
                found[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile, or is a zombie: neither runs
    return found


class Up:
    def __init__(self, name="up", user=None, binary=BINARY):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix=f"busline-{name}-", dir="/tmp"))
        self.base.chmod(0o755)
        self.data, self.user, self.binary = self.base / "d", user, binary
        self.popen = None
        if user:
            owner = pwd.getpwnam(user)
            os.chown(self.base, owner.pw_uid, owner.pw_gid)

    # ---- the command

    def words(self, *words):
        become = ["setpriv", f"--reuid={self.user}", f"--regid={pwd.getpwnam(self.user).pw_gid}",
                  "--clear-groups"] if self.user else []
        return [*become, str(self.binary), "up", "--data", str(self.data), *map(str, words)]

    def call(self, *words, timeout=90):
        return subprocess.run(self.words(*words), env=ENVIRONMENT, cwd="/", text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=timeout * SLOW)

    def begin(self, *words):
        """In the foreground; stdout and stderr go to files."""
        self.out, self.err = self.base / "out", self.base / "err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.popen = subprocess.Popen(
                self.words("--port", "0", "-o", "jsonl", *words) if not self.data.exists()
                else self.words("-o", "jsonl", *words),
                env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True)
        return self

    def start(self, *words, timeout=60):
        """In the foreground, and ready."""
        self.begin(*words)
        wait_for(lambda: "ready after" in self.said() or self.popen.poll() is not None,
                 lambda: f"ready\n{self.said()}", timeout)
        assert self.popen.poll() is None, self.said()
        return self

    def said(self):
        return self.err.read_text(errors="replace")

    def lines(self):
        """Every change of a process so far."""
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def interrupt(self):
        """Ctrl-C: the terminal tells the whole foreground group."""
        os.killpg(self.popen.pid, signal.SIGINT)
        return self.end()

    def end(self, timeout=60):
        return self.popen.wait(timeout * SLOW)

    def kill(self):
        self.popen.kill()
        self.popen.wait(10)

    # ---- what runs

    def status(self):
        done = self.call("--status", "-o", "json")
        return {row["name"]: row for row in json.loads(done.stdout)}

    def pid(self, name):
        return self.status()[name]["pid"]

    def left(self):
        return processes_of(self.data)

    # ---- the platform

    def settings(self):
        text = (self.data / "env").read_text()
        return dict(re.findall(r"^export (\w+)='(.*)'$", text, re.M))

    def busline(self, *words, check=True, timeout=60):
        done = subprocess.run([str(self.binary), *map(str, words)], text=True,
                              env={**ENVIRONMENT, **self.settings()}, capture_output=True,
                              timeout=timeout * SLOW)
        if check and done.returncode != 0:
            raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def deploy(self, image, app="shop"):
        """A release asked for and applied; its event's id."""
        done = self.busline("deploy", app, "--image", image, "--tenant", "acme", "--wait",
                            "--timeout", f"{30 * SLOW:.0f}s")
        assert " APPLIED" in done.stdout, done.stdout
        return done.stdout.split()[0]

    def sql(self, text):
        url = self.settings()["BUSLINE_DB_URL"].replace("platform@", "postgres@")
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else None

    def images(self):
        """Releases in their order: an event applied twice would be two of them."""
        return [image for image, in self.sql("select image from paas.release "
                                             "order by tenant, app, number")]

    def digest(self):
        return self.sql("select busline.state_digest()::text")[0][0]

    # ---- the end

    def close(self):
        """Nothing of it is left; what sanitizers said is an error."""
        if self.popen is not None and self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        stopped = self.call("--stop", timeout=120)
        reports = [f"{log}: {line}" for log in self.base.rglob("*")
                   if log.is_file() and (log.suffix == ".log" or log.name in ("out", "err"))
                   for line in log.read_text(errors="replace").splitlines()
                   if re.search(r"ERROR: \w+Sanitizer|runtime error:", line)]
        left = self.left()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.base, ignore_errors=True)
        assert stopped.returncode == 0, stopped.stderr
        assert not left, f"left running: {left}"
        assert not reports, reports

    def wait_running(self, timeout=30):
        """All processes run; their rows."""
        last = {}

        def all_run():
            nonlocal last
            last = self.status()
            return set(last) == NAMES and all(r["state"] == "running" for r in last.values())
        wait_for(all_run, lambda: f"all run; {last}", timeout, 0.1)
        return last



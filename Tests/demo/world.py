"""What the demo stands on: processes that never outlive it, zzsync's commands, the sqlite3 program, digests, comparisons."""
import hashlib, json, os, pathlib, re, shlex, shutil, signal, subprocess, tempfile, time, tomllib, unicodedata

TESTS = pathlib.Path(__file__).resolve().parents[1]
CATALOGUE = TESTS.parent / "Sources/Shared/Catalogue/forms"
SECONDS_MAX = 120           # for one command
EMPTY = hashlib.sha256().hexdigest()


class Trouble(Exception):
    """The week cannot go on."""


class Answer(dict):
    def __missing__(self, key):
        raise Trouble(f"the answer has no '{key}', only {', '.join(self) or 'nothing'}")


class World:
    def __init__(self, binary):
        self.binary, self.folder = binary, pathlib.Path(tempfile.mkdtemp(prefix="zzsync-demo-"))
        self.children, self.servers, self.differences, self.compared = [], [], [], 0
        self.log = open(self.folder / "commands.log", "w", encoding="utf-8")
        forms = [tomllib.loads(path.read_text("utf-8")) for path in CATALOGUE.glob("*.toml")]
        self.forms = {form["id"]: form for form in sorted(forms, key=lambda form: form["number"])}

    def title(self, form): return self.forms[form]["title"]

    # -- processes
    def start(self, argv, **streams):
        """Not in this terminal's group: Ctrl-C reaches the demo alone, which then ends its children one by one."""
        child = subprocess.Popen([str(word).encode() for word in argv], stdin=subprocess.DEVNULL, start_new_session=True, **streams)
        self.children.append(child)
        return child

    def finish(self, child, argv, exits=0):
        """The output of a child, once it has ended as it must."""
        try:
            out, err = child.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Trouble(f"`{spoken(argv)}` has not ended after {SECONDS_MAX} seconds")
        self.children.remove(child)
        out, note = out.decode("utf-8", "replace"), err.decode("utf-8", "replace").strip()
        self.log.write(f"$ {spoken(argv)}\n{out[:400]}{note[:2000]}\n[exit {child.returncode}]\n")
        self.log.flush()
        if exits is not None and child.returncode != exits:
            raise Trouble(f"`{spoken(argv)}` exited with {child.returncode}, must be {exits}: {note or out.strip()[:800]}")
        return out, child.returncode

    def run(self, argv, exits=0):
        return self.finish(self.start(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE), argv, exits)

    def serve(self, argv, name):
        """Starts a server and waits for its line "listening on URL": the URL."""
        path = self.folder / f"{name}.log"
        with open(path, "wb") as log: child = self.start(argv, stdout=log, stderr=log)
        self.servers.append((name, child))
        until = time.monotonic() + 20
        while time.monotonic() < until and child.poll() is None:
            if found := re.search(r"^listening on (http://127\.0\.0\.1:\d+)\s*$", path.read_text("utf-8", "replace"), re.M): return found[1]
            time.sleep(.02)
        raise Trouble(f"`{spoken(argv)}` " + ("does not say \"listening on http://…\"" if child.poll() is None else f"ended with {child.returncode}"))

    def end(self, keep_folder):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)   # a second Ctrl-C must not leave children
        for child in self.children: child.send_signal(signal.SIGTERM) if child.poll() is None else None
        for child in self.children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.log.close()
        if not keep_folder: shutil.rmtree(self.folder, ignore_errors=True)

    def tails(self, lines=15):
        for path in sorted(self.folder.glob("*.log")):
            yield f"--- the end of {path}"
            yield from (line[:300] for line in path.read_text("utf-8", "replace").splitlines()[-lines:])

    # -- what must be
    def must(self, what, found, wanted):
        self.compared += 1
        if found != wanted:
            self.differences.append(f"{what}: {found}, must be {wanted}")
            print(f"    DIFFERENT: {self.differences[-1]}", flush=True)

    # -- stores
    def sqlite(self, store, sql, write=False):
        """The plain program that everybody has; no line of zzsync is involved."""
        mode = [] if write else ["-readonly"]
        out, _ = self.run(["sqlite3", "-batch", "-init", os.devnull, *mode, "-cmd", ".timeout 10000", store, sql])
        return out

    def recomputed(self, store, form, scope=None):
        """A form's digest and rows as any auditor gets them from a store: sqlite3 and SHA-256."""
        columns = " || '|' || ".join(["id"] + [f"quote({field['id']})" for field in self.forms[form]["field"]])
        those = "" if scope is None else f" WHERE scope = {scope} AND _life = 1"
        lines = self.sqlite(store, f"SELECT {columns} FROM {form.replace('.', '_')}{those} ORDER BY id")
        return hashlib.sha256(lines.encode()).hexdigest(), lines.count("\n")


class Replica:
    """A node or a hub: its folder and its commands."""

    def __init__(self, world, name, words=()):
        self.world, self.name, self.words, self.home = world, name, list(words), world.folder / name
        self.store = self.home / ("hub.db" if words else "node.db")

    def argv(self, *words, author=None):
        return [self.world.binary, *self.words, *words, "--home", self.home, *(["--as", author] if author else [])]

    def text(self, *words, exits=0, author=None):
        return self.world.run(self.argv(*words, author=author), exits)[0]

    def ask(self, *words, exits=0, author=None, patient=False):
        """The command's JSON document. `patient`: exit status 7 (busy) means try again."""
        argv, until = self.argv(*words, "--json", author=author), time.monotonic() + 30
        while True:
            out, code = self.world.run(argv, None if patient else exits)
            if not patient or code == exits: break
            if code != 7 or time.monotonic() > until: raise Trouble(f"`{spoken(argv)}` exited with {code}, must be {exits}: {out.strip()[:800]}")
            time.sleep(.3)
        if code: return Answer()
        try:
            return json.loads(out, object_hook=Answer)
        except ValueError:
            raise Trouble(f"`{spoken(argv)}` printed no JSON document: {out[:300]!r}")

    def value(self, form, field, where):
        return self.world.sqlite(self.store, f"SELECT {field} FROM {form.replace('.', '_')} WHERE {where}").rstrip("\n")

    def count(self, form): return int(self.value(form, "count(*)", "true"))

    def digests(self, scope=None, *words):
        """Form → (digest, rows) as zzsync prints them, compared with what the store yields to sqlite3."""
        printed = self.ask("digest", *words)["forms"]
        found = {}
        for form in self.world.forms:
            found[form] = (printed[form]["digest"], printed[form]["rows"]) if form in printed else (EMPTY, 0)
            self.world.must(f"{self.name}: {form} by sqlite3 and sha256", self.world.recomputed(self.store, form, scope), found[form])
        return found


def spoken(argv): return shlex.join(str(word) for word in argv)


def padded(text, width):
    """Chinese characters take two columns."""
    return text + " " * (width - sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text))

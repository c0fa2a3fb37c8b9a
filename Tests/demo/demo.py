#!/usr/bin/python3
"""One school week with real processes: a ministry hub, a provincial hub and three nodes (two in school A, one in school B).

    demo.py --binary PATH [--keep] [--students 5000 --teachers 200 --classes 120 --majors 20] [--seed N]
Exit status 0 only if every number is what it must be; else it says which differed. Everything happens in one new folder
and on free loopback ports. --keep leaves hubs and folder as they are and prints what to try next.
"""
import argparse, json, os, pathlib, signal, subprocess, sys, time, traceback
sys.dont_write_bytecode = True      # nothing of a run stays in the repository
from line import Line
from world import EMPTY, TESTS, Replica, Trouble, World, padded, spoken

TYPE = "vocational_continuing"
A, B = "3641990001", "3641990002"
NAMES = {A: "示例市第一中等专业学校", B: "示例市第二中等专业学校"}
ORDER = ("general.teacher.basic", "general.teacher.work", "general.class", "general.student.basic", "general.student.attribute", "general.student.enrolment")
ATTRIBUTE, BASIC, CLASS, MAJOR = "general.student.attribute", "general.student.basic", "general.class", "general.major"
WAIT = ("--wait", "30")


def say(text, who=""): print(f"    {who:<9} {text}", flush=True)
def quote(text): print("".join(f"      | {line}\n" for line in text.splitlines()), end="", flush=True)
def pairs(row): return [f"{field}={value}" for field, value in row.items()]


class Leg:
    """What went up between two replicas, summed over the week."""

    def __init__(self): self.rows = self.raw = self.sent = self.seconds = self.cases = 0

    def add(self, answer):
        self.rows, self.raw, self.sent = self.rows + answer["pushed_rows"], self.raw + answer["raw_bytes"], self.sent + answer["sent_bytes"]
        self.seconds += answer["seconds"]


class Week:
    def __init__(self, world, options):
        self.world, self.options, self.must = world, options, world.must
        self.ministry, self.province = Replica(world, "ministry", ["hub"]), Replica(world, "province", ["hub"])
        self.a1, self.a2, self.b1 = (Replica(world, name) for name in ("A1", "A2", "B1"))
        self.legs = {name: Leg() for name in ("A1 → province", "A2 → province", "B1 → province", "province → ministry")}
        self.line, self.scopes = None, {}
        small = [max(1, options.majors // 3), max(1, options.teachers // 5), max(1, options.classes // 5), max(2, options.students // 10)]
        self.sizes = {A: (options.majors, options.teachers, options.classes, options.students), B: tuple(small)}
        # Living rows of each school and form at the end of the week.
        self.rows = {}
        for school, (majors, teachers, classes, students) in self.sizes.items():
            self.rows[school] = {form: 0 for form in world.forms} | {MAJOR: majors} | dict(zip(ORDER, (teachers, teachers, classes, students, students, students)))
        self.rows[A] |= {"general.school.basic": 1, "general.school.department": 2}

    def play(self):
        self.makers = {school: self.make_workbooks(school, n) for n, school in enumerate((A, B))}
        for title, step in (("Before the week: two hubs, one above the other", self.hubs),
                            ("Monday: three nodes start work; no hub knows them", self.alone),
                            ("Monday: the workbooks, in the order in which schools import them", self.workbooks),
                            ("Tuesday: edits without a network", self.offline_edits),
                            ("Wednesday: the schools join; the line goes down in the middle of a push", self.join),
                            ("Thursday: two nodes of one school change the same student while apart", self.apart),
                            ("Thursday: the operator decides", self.decide),
                            ("Friday: a class that came to nothing is deleted; everything goes up", self.friday),
                            ("Friday evening: does everybody hold the same?", self.compare)):
            began = time.monotonic()
            print(f"\n{title}", flush=True)
            step()
            say(f"({time.monotonic() - began:.1f} s)")
        self.table()

    # -- parts
    def make_workbooks(self, school, n):
        majors, teachers, classes, students = self.sizes[school]
        argv = [sys.executable, "-X", "utf8", TESTS / "workbooks/make_workbooks.py", self.world.folder / f"workbooks-{school}", "--school", school, "--seed", self.options.seed + n,
                "--majors", majors, "--teachers", teachers, "--classes", classes, "--students", students]
        return argv, self.world.start(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def workbook(self, school, form): return self.world.folder / f"workbooks-{school}" / f"{self.world.forms[form]['template']}.xlsx"

    def sync(self, node, *words):
        answer = node.ask("sync", *words)
        self.legs[f"{node.name} → province"].add(answer)
        say(f"sync: {answer['pushed_rows']:,} rows up as {answer['sent_bytes']:,} bytes ({answer['raw_bytes']:,} raw), "
            f"{answer['pulled_rows']:,} rows down, {answer['requests']} requests, {answer['seconds']:.1f} s", node.name)
        return answer

    def forward(self):
        answer = self.province.ask("forward", *WAIT, patient=True)
        self.legs["province → ministry"].add(answer)
        say(f"forward: {answer['pushed_rows']:,} rows up as {answer['sent_bytes']:,} bytes ({answer['raw_bytes']:,} raw), {answer['seconds']:.1f} s", "province")

    def cases(self): return self.province.ask("conflicts", "list")["cases"]

    # -- the week
    def hubs(self):
        self.ministry.text("init", "--level", "ministry", "--code", "00", "--name", "教育部")
        self.province.text("init", "--level", "province", "--code", "41", "--name", "河南省教育厅")
        for hub in (self.ministry, self.province):
            url = self.world.serve(hub.argv("serve", "--listen", "127.0.0.1:0"), hub.name)
            say(f"serves at {url}", hub.name)
        invite = self.world.folder / "province.invite"
        self.ministry.text("invite", "--hub", "41", "--name", "河南省教育厅", "-o", invite)
        self.province.text("join", "--invite", invite)
        self.line = Line(int(url.rsplit(":", 1)[1]))
        say("joined the ministry with a one-time invite", "province")

    def alone(self):
        for argv, maker in self.makers.values(): self.world.finish(maker, argv)
        for node, school in ((self.a1, A), (self.a2, A), (self.b1, B)):
            node.text("init", "--school", school, "--type", TYPE, "--name", NAMES[school])
        for node, school in ((self.a1, A), (self.b1, B)):
            majors = (self.world.folder / f"workbooks-{school}" / "majors.jsonl").read_text("utf-8").splitlines()
            for line in majors: node.text("put", MAJOR, *pairs(json.loads(line)), author="wang.fang")
            self.must(f"{node.name}: majors after put", node.count(MAJOR), self.rows[school][MAJOR])
            say(f"{len(majors)} rows of {self.world.title(MAJOR)} typed with `put`", node.name)
        page = {**self.world.forms["general.school.basic"]["example"], "school_code": A, "school_name": NAMES[A]}
        self.a2.text("put", "general.school.basic", *pairs(page), author="li.na")
        for number, name in (("D01", "信息技术系"), ("D02", "护理系")):
            self.a2.text("put", "general.school.department", f"department_number={number}", f"department_name={name}", "department_type=3",
                         "established_month=2003-09", author="li.na")
        say(f"one row of {self.world.title('general.school.basic')}, two of {self.world.title('general.school.department')}", "A2")
        for node, wanted in ((self.a1, self.sizes[A][0]), (self.a2, 3), (self.b1, self.sizes[B][0])):
            self.must(f"{node.name}: rows that wait for a hub", node.ask("status")["pending_rows"], wanted)

    def workbooks(self):
        for node, school in ((self.a1, A), (self.b1, B)):
            for form in ORDER: self.import_workbook(node, school, form)

    def import_workbook(self, node, school, form):
        path, wanted = self.workbook(school, form), self.rows[school][form]

        def ask(*words):
            answer = node.ask("import", form, path, *words, author="zhao.min")
            self.must(f"{node.name}: rows read from {path.name}", (answer["rows"], answer["errors"]), (wanted, []))
            return answer
        began, how = time.monotonic(), "imported and accepted"
        if school == A and form == ORDER[0]:
            self.must(f"{node.name}: rows that --dry-run accepts", ask("--dry-run")["accepted"], 0)
            self.must(f"{node.name}: rows of {form} after --dry-run", node.count(form), 0)
            how = "tried with --dry-run (nothing was written), then imported and accepted"
        if school == A and form == CLASS:
            staged = ask()
            self.must(f"{node.name}: rows of {form} while staged", (staged["accepted"], node.count(form)), (0, 0))
            node.text("review", "accept", str(staged["batch"]), author="zhou.jie")
            how = "staged for review, then accepted by another person"
        else:
            self.must(f"{node.name}: rows accepted of {path.name}", ask("--accept")["accepted"], wanted)
        self.must(f"{node.name}: rows of {form} after import", node.count(form), wanted)
        say(f"{padded(self.world.title(form), 18)}{wanted:>6,} rows, {path.stat().st_size:,} bytes: {how}, {time.monotonic() - began:.1f} s", node.name)

    def offline_edits(self):
        a1, world = self.a1, self.world
        ids = a1.value(ATTRIBUTE, "id_number", "true ORDER BY id LIMIT 2").split()
        self.student, self.other = ids      # whom Thursday is about; what they have now
        self.address = a1.value(ATTRIBUTE, "home_address", f"id_number = '{self.student}'")
        a1.text("put", BASIC, f"id_number={self.other}", "speciality=书法", author="li.na")
        say(f"put: the speciality of one student ({world.title(BASIC)})", "A1")
        group = a1.value(CLASS, "class_number", "true ORDER BY class_number LIMIT 1")
        pupils = f"id_number IN (SELECT id_number FROM general_student_enrolment WHERE class_number = '{group}')"
        world.sqlite(a1.store, f"UPDATE general_student_basic SET phone = '13800000' || substr(id_number, 15, 3) WHERE {pupils}", write=True)
        say(f"sqlite3: new phone numbers for the {a1.value(BASIC, 'count(*)', pupils)} students of class {group}", "A1")
        copied = ", ".join(field["id"] for field in world.forms[CLASS]["field"] if field["id"] not in ("class_number", "class_name"))
        world.sqlite(a1.store, f"INSERT INTO general_class (class_number, class_name, {copied}) SELECT '20249901', '2024级试办班', {copied} "
                               f"FROM general_class WHERE class_number = '{group}'", write=True)
        say("sqlite3: one more class, 2024级试办班, by a plain INSERT", "A1")
        # A row counts once, however often it was written.
        self.pending = {a1: sum(self.rows[A].values()) - 3 + 1, self.a2: 3, self.b1: sum(self.rows[B].values())}
        for node, wanted in self.pending.items():
            status = node.ask("status")
            self.must(f"{node.name}: rows that wait for a hub, and findings", (status["pending_rows"], status["findings"]), (wanted, 0))
        say(f"{self.pending[a1]:,} rows wait, no rule is broken, no hub was ever met", "A1")

    def join(self):
        for node, school, way in ((self.a1, A, ["--url", self.line.url]), (self.a2, A, []), (self.b1, B, [])):
            invite = self.world.folder / f"{node.name}.invite"
            self.province.text("invite", "--school", school, "--type", TYPE, "--name", NAMES[school], "--region", "410102", *way, "-o", invite)
            node.text("join", "--invite", invite)
        say("A1, A2 (same school) and B1 joined, each with its own one-time invite")
        schools = {each["code"]: each["scope"] for each in self.province.ask("schools")["schools"]}
        self.must("schools at the province", sorted(schools), [A, B])
        for node, school in ((self.a1, A), (self.a2, A), (self.b1, B)):
            self.must(f"{node.name}: scope", node.ask("status")["scope"], schools.get(school))
        # In the stores a scope is a signed number.
        self.scopes = {code: (int(scope, 16) ^ 1 << 63) - (1 << 63) for code, scope in schools.items()}
        self.broken_push()
        self.sync(self.b1, *WAIT)
        pulled = self.sync(self.a2, *WAIT)["pulled_rows"]
        self.must("A2: has A1's rows", (pulled >= self.pending[self.a1], self.a2.count(BASIC)), (True, self.rows[A][BASIC]))
        self.sync(self.a1, "--pull-only")
        self.forward()

    def broken_push(self):
        line = self.line
        line.cut_in_next_upload()
        self.a1.text("sync", *WAIT, "--json", exits=4)
        # The sync may have ended before the line's own thread says so.
        self.must("the line was cut during an upload", line.was_cut.wait(30), True)
        if not line.uploads: raise Trouble("sync exited with 4 before it sent a segment")
        cut = line.uploads[-1]
        say(f"sync: line down after {cut.passed:,} of {cut.size:,} bytes of segment {cut.segment}; exit status 4", "A1")
        self.must("A1: sealed segments wait in the outbox", self.a1.ask("status")["outbox_segments"] > 0, True)
        first, line.uploads = line.uploads, []
        line.mend()
        self.sync(self.a1, *WAIT)
        again = [each for each in line.uploads if each.segment == cut.segment]
        if not again: raise Trouble(f"the second sync never sent segment {cut.segment} again")
        self.must("segment sent again: offset above 0 and not beyond what had passed", 0 < again[0].offset <= cut.offset + cut.passed, True)
        whole = sum({each.segment: each.size for each in first + line.uploads}.values())
        second = sum(each.passed for each in line.uploads)
        say(f"the line is back: segment {cut.segment} went on at byte {again[0].offset:,}; the second time {second:,} of {whole:,} bytes were sent", "A1")
        self.must("bytes sent the second time are fewer than the whole", second < whole, True)
        self.must("bytes sent the second time: the whole less what the hub had", second, whole - sum(e.passed for e in first[:-1]) - again[0].offset)
        self.legs["A1 → province"].sent += sum(each.passed for each in first)

    def apart(self):
        a1, a2 = self.a1, self.a2
        self.mine, self.theirs = "河南省郑州市二七区人民路 8 号", "河南省郑州市金水区文化路 26 号"
        a1.text("put", ATTRIBUTE, f"id_number={self.student}", f"home_address={self.mine}", author="wang.fang")
        a2.text("put", ATTRIBUTE, f"id_number={self.student}", f"home_address={self.theirs}", author="li.na")
        say(f"家庭详细地址 ({self.world.title(ATTRIBUTE)}): A1 writes {self.mine}, A2 {self.theirs}")
        a1.text("put", BASIC, f"id_number={self.other}", "native_place=河南省洛阳市", author="wang.fang")
        a2.text("put", BASIC, f"id_number={self.other}", "political_status=12", author="li.na")
        say(f"another student ({self.world.title(BASIC)}): A1 writes 籍贯, A2 政治面貌")
        self.sync(a1, *WAIT)
        self.must("cases before the other side is heard", len(self.cases()), 0)
        self.sync(a2, *WAIT)
        self.legs["A2 → province"].cases += len(self.cases())
        self.sync(a1, "--pull-only")
        for replica, more in ((a1, ""), (a2, ""), (self.province, f" AND scope = {self.scopes[A]}")):
            self.must(f"{replica.name}: different fields of one row merged", replica.value(BASIC, "native_place || ' ' || political_status", f"id_number = '{self.other}'{more}"),
                      "河南省洛阳市 12")
        say("the edits of different fields of one row are merged; nobody was asked")
        self.forward()
        held = f"id_number = '{self.student}' AND scope = {self.scopes[A]}"
        self.must("ministry: the disputed address is held back", self.ministry.value(ATTRIBUTE, "home_address", held), self.address)
        self.must("ministry: the rest of the school is not", self.ministry.value(BASIC, "native_place", f"id_number = '{self.other}' AND scope = {self.scopes[A]}"), "河南省洛阳市")
        say("has everything else; the disputed address still as it was on Wednesday", "ministry")

    def decide(self):
        cases = self.cases()
        self.must("open cases", len(cases), 1)
        if not cases: raise Trouble("there is no case to decide")
        case = cases[0]
        self.must("the case", (case["school"], case["form"], case["group"]), (A, ATTRIBUTE, ["home_address"]))
        sides = {each["values"]["home_address"]: each["candidate"] for each in case["candidates"]}
        self.must("its candidates", sorted(sides), sorted([self.mine, self.theirs]))
        number = str(case["case"])
        quote(self.province.text("conflicts", "show", number))
        self.province.text("conflicts", "take", number, str(sides.get(self.theirs)), "--version", str(case["version"]), "--reason", "户口簿复印件为准", author="shen.lei")
        say(f"conflicts take {number} {sides.get(self.theirs)} --version {case['version']} --reason 户口簿复印件为准 --as shen.lei", "province")
        journal = self.province.ask("conflicts", "journal")
        entries = next((value for value in journal.values() if isinstance(value, list)), []) if isinstance(journal, dict) else journal
        self.must("open cases after the decision, and entries in the journal", (len(self.cases()), len(entries)), (0, 1))
        self.must("the journal has the reason", "户口簿复印件为准" in json.dumps(entries, ensure_ascii=False), True)
        for node in (self.a1, self.a2):
            self.sync(node)
            self.must(f"{node.name}: the address that was taken", node.value(ATTRIBUTE, "home_address", f"id_number = '{self.student}'"), self.theirs)
            self.must(f"{node.name}: open cases", node.ask("status")["open_cases"], 0)
        quote(self.a1.text("trace", ATTRIBUTE, self.student))

    def friday(self):
        self.must("A2: has the class that A1 made with sqlite3", self.a2.value(CLASS, "class_name", "class_number = '20249901'"), "2024级试办班")
        self.a2.text("delete", CLASS, "20249901", author="li.na")
        say(f"delete: class 20249901 ({self.world.title(CLASS)}), which A1 had made on Tuesday", "A2")
        for node in (self.a2, self.a1, self.b1): self.sync(node, *WAIT)
        self.forward()
        self.must("cases open at the end", len(self.cases()), 0)
        for hub in (self.province, self.ministry): self.must(f"{hub.name}: findings", hub.ask("findings")["findings"], [])
        for node in (self.a1, self.a2, self.b1): self.must(f"{node.name}: rows that still wait", node.ask("status")["pending_rows"], 0)
        pushed = {"A1": self.pending[self.a1] + 2, "A2": self.pending[self.a2] + 2 + 1, "B1": self.pending[self.b1]}
        for name, wanted in pushed.items(): self.must(f"{name}: rows sent in the week", self.legs[f"{name} → province"].rows, wanted)

    def compare(self):
        for hub in (self.province, self.ministry):
            rows = {each["code"]: each["rows"] for each in hub.ask("schools")["schools"]}
            self.must(f"{hub.name}: rows of each school", rows, {school: sum(self.rows[school].values()) for school in (A, B)})
        for school, nodes in ((A, (self.a1, self.a2)), (B, (self.b1,))):
            found = {node.name: node.digests() for node in nodes}
            for hub in (self.province, self.ministry): found[hub.name] = hub.digests(self.scopes[school], "--school", school)
            print(f"    {NAMES[school]}: {', '.join(found)}; each as zzsync prints it and as sqlite3 and SHA-256 give it")
            for form, wanted in self.rows[school].items():
                first = found[nodes[0].name][form]
                for name, digests in found.items(): self.must(f"{name}: {form} of {school}, digest and rows", digests[form], (first[0], wanted))
                equal = len({digests[form] for digests in found.values()}) == 1
                if wanted or first != (EMPTY, 0) or not equal:
                    print(f"      {padded(self.world.title(form), 18)}{first[1]:>6,} rows  {first[0][:16]}…  {'equal' if equal else 'NOT EQUAL'}")

    def table(self):
        print(f"\n    {'':<22}{'rows':>8}{'bytes raw':>12}{'bytes sent':>12}{'ratio':>8}{'seconds':>9}{'cases':>7}")
        for name, leg in self.legs.items():
            ratio = f"{100 * leg.sent / leg.raw:.1f} %" if leg.raw else "-"
            print(f"    {name:<22}{leg.rows:>8,}{leg.raw:>12,}{leg.sent:>12,}{ratio:>8}{leg.seconds:>9.1f}{leg.cases:>7}")
            if leg.raw > 65536: self.must(f"{name}: fewer bytes sent than raw", leg.sent < leg.raw, True)
        self.must("cases opened in the week", sum(leg.cases for leg in self.legs.values()), 1)
        print("    ratio: all bytes sent, with hello and headers and what the cut line cost, over the raw bytes of the sealed changes", flush=True)

    def next_steps(self):
        z, processes = self.world.binary, [f"{child.pid} ({name})" for name, child in self.world.servers] + [f"{self.line.detach()} (A1's line)"]
        print("\nLeft running. Try:")
        for argv in (self.a1.argv("status"), self.a1.argv("list", MAJOR), self.a1.argv("trace", ATTRIBUTE, self.student), self.a1.argv("put", MAJOR, "major_number=ZY01", "remark=试"),
                     self.a1.argv("sync"), self.province.argv("schools"), self.province.argv("conflicts", "journal"), self.province.argv("forward"),
                     self.ministry.argv("digest", "--school", A), ["sqlite3", self.a1.store, ".tables"]): print(f"  {spoken(argv)}")
        print(f"Stop: kill {' '.join(each.split()[0] for each in processes)}; rm -r {self.world.folder}\n  these are {', '.join(processes)}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", required=True, type=pathlib.Path)
    p.add_argument("--keep", action="store_true", help="leave everything running at the end")
    for name, count in (("students", 5000), ("teachers", 200), ("classes", 120), ("majors", 20), ("seed", 1)):
        p.add_argument("--" + name, type=int, default=count)
    options = p.parse_args()
    if not os.access(options.binary, os.X_OK): p.error(f"{options.binary} cannot be run")
    if not 20 <= options.students <= 5000 or min(options.teachers, options.classes, options.majors) < 1:
        p.error("a school needs 20 to 5,000 students (one workbook) and a teacher, a class and a major")
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.default_int_handler)
    began, world, status, stays = time.monotonic(), World(options.binary.resolve()), 1, False
    print(f"One school week with {options.binary}, in {world.folder}", flush=True)
    week = Week(world, options)
    try:
        week.play()
        if world.differences:
            print(f"\n{len(world.differences)} of {world.compared} numbers differed:", *world.differences, sep="\n  ")
        else:
            print(f"\nEvery number is what it must be ({world.compared} compared) after {time.monotonic() - began:.1f} s.")
            status = 0
        stays = options.keep and status == 0
        if stays: week.next_steps()
    except KeyboardInterrupt:
        print("\nStopped.")
        status = 130
    except Trouble as trouble:
        print(f"\nThe week cannot go on: {trouble}", *world.differences, sep="\n  ")
    except Exception:
        traceback.print_exc()
    if not stays:
        if status == 1: print("", *world.tails(), f"Everything is kept in {world.folder}.", sep="\n")
        world.end(keep_folder=status == 1)
    sys.stdout.flush()
    sys.exit(status)


if __name__ == "__main__":
    if sys.getfilesystemencoding() != "utf-8": os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.argv])     # file names are Chinese
    main()

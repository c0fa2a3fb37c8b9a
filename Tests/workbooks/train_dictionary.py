#!/usr/bin/env python3
"""Trains the dictionary of small segments: what a school sends after an hour of typing, a few changes at a time.

    train_dictionary.py --binary ZZSYNC [--out Sources/Shared/Catalogue/small.zdict] [--segments 600] [--seed 1]

A real node of made-up students is edited with SQLite and seals after every few changes; the bodies of its segments, inflated, are the
samples. `zstd` and a release build are needed. A new dictionary takes the place of the old one only together with a new number
(`SmallDictionary`): what was sealed with the old one must stay readable.
"""
import argparse
import json
import pathlib
import random
import sqlite3
import subprocess
import sys
import tempfile
import tomllib

import make_workbooks as workbooks

ROOT = pathlib.Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "Sources/Shared/Catalogue"
SCHOOL, NUMBER, SIZE = "3641990001", 1, 4096
ORDER = ["general.teacher.basic", "general.teacher.work", "general.class", "general.student.basic", "general.student.attribute",
         "general.student.enrolment"]


class Node:
    def __init__(self, binary, folder, seed):
        self.binary, self.folder = binary, folder
        self.catalogue = workbooks.Catalogue(CATALOGUE)
        self.people = workbooks.School(self.catalogue, f"{seed}-later", SCHOOL, 20, 60, 60, 1500, 2)
        self.random = random.Random(seed)
        self.hub("init", "--level", "province", "--code", "41", "--name", "省")
        self.server = subprocess.Popen([binary, "hub", "serve", "--listen", "127.0.0.1:0", "--home", folder / "hub"], stdout=subprocess.PIPE, text=True)
        self.server.stdout.readline()
        self.fill(seed)
        self.hub("invite", "--school", SCHOOL, "--type", "vocational_continuing", "--name", "校", "-o", folder / "invite")
        self.node("join", "--invite", folder / "invite")
        self.node("sync", "--wait", "60")

    def run(self, *words):
        done = subprocess.run([str(word) for word in (self.binary, *words)], capture_output=True, text=True)
        if done.returncode: sys.exit(f"{words}: {done.stdout}{done.stderr}")

    def hub(self, *words): self.run("hub", *words, "--home", self.folder / "hub")

    def node(self, *words): self.run(*words, "--home", self.folder / "node", "--as", "zhao.min")

    def fill(self, seed):
        books = self.folder / "books"
        subprocess.run([sys.executable, "-X", "utf8", ROOT / "Tests/workbooks/make_workbooks.py", books, "--school", SCHOOL, "--seed", str(seed), "--majors", "20",
                        "--teachers", "60", "--classes", "60", "--students", "1500"], check=True)
        self.node("init", "--school", SCHOOL, "--type", "vocational_continuing", "--name", "校")
        for number in ("D01", "D02"):
            self.node("put", "general.school.department", f"department_number={number}", f"department_name=系{number}", "department_type=3", "established_month=2003-09")
        for line in (books / "majors.jsonl").read_text("utf-8").splitlines():
            self.node("put", "general.major", *(f"{field}={value}" for field, value in json.loads(line).items()))
        for form in ORDER:
            template = tomllib.loads((CATALOGUE / f"forms/{form}.toml").read_text("utf-8"))["template"]
            self.node("import", form, books / f"{template}.xlsx", "--accept")

    # -- an hour of typing
    def change(self, db):
        r, people = self.random, self.people
        area = r.choice(workbooks.AREAS)
        form, fields = r.choices([
            ("student_attribute", dict(home_address=people.address(area), home_region=area[0])), ("student_attribute", dict(guardian_phone=people.phone())),
            ("student_attribute", dict(guardian_name=people.name()[0])), ("student_attribute", dict(household_address=people.address(area))),
            ("student_basic", dict(phone=people.phone())), ("student_basic", dict(remark=r.choice(("家庭困难补助", "技能大赛获奖", "需家访")))),
            ("student_basic", dict(student_name=people.name()[0])), ("student_enrolment", dict(student_status=r.choice(("01", "02")))),
            ("student_enrolment", dict(class_number=r.choice(people.classes)["class_number"])), ("teacher_basic", dict(phone=people.phone())),
            ("teacher_work", dict(title_level=r.choice("239"))), ("class", dict(planned_size=r.randrange(35, 56))), ("new", {}),
        ], [3, 3, 2, 2, 3, 1, 1, 1, 1, 1, 1, 1, 2])[0]
        if form == "new": return self.insert(db, people.students[r.randrange(len(people.students))])
        table = f"general_{form}"
        row = r.choice(db.execute(f"SELECT id FROM {table}").fetchall())[0]
        db.execute(f"UPDATE {table} SET {', '.join(f'{field} = ?' for field in fields)} WHERE id = ?", (*fields.values(), row))

    @staticmethod
    def insert(db, student):
        for table, row in zip(("basic", "attribute", "enrolment"), student):
            db.execute(f"INSERT INTO general_student_{table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))

    def samples(self, count):
        db = sqlite3.connect(self.folder / "node/node.db", isolation_level=None)
        first = db.execute("SELECT max(first) FROM zz_outbox").fetchone()[0]
        for _ in range(count):
            db.execute("BEGIN")
            for _ in range(self.random.choice((1, 1, 2, 3, 5, 8))): self.change(db)
            db.execute("COMMIT")
            self.node("sync", "--push-only")
        rows = db.execute("SELECT bytes FROM zz_outbox WHERE first > ?", (first,)).fetchall()
        db.close()
        return [bytes(row[0]) for row in rows]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path, default=CATALOGUE / "small.zdict")
    p.add_argument("--segments", type=int, default=600)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        node = Node(a.binary.resolve(), folder, a.seed)
        try:
            segments = node.samples(a.segments)
        finally:
            node.server.terminate()
            node.server.wait()
        for n, segment in enumerate(segments):
            frame, raw = folder / f"{n}.zst", folder / f"{n}.raw"
            frame.write_bytes(segment[segment.index(b"\x28\xb5\x2f\xfd"):])
            # A segment of a build that has a dictionary is inflated with it.
            known = ["-D", a.out] if a.out.exists() else []
            subprocess.run(["zstd", "-q", "-d", *known, frame, "-o", raw], check=True)
        subprocess.run(["zstd", "-q", "--train", *sorted(folder.glob("*.raw")), f"--maxdict={SIZE}", f"--dictID={NUMBER}", "-o", a.out, "-f"], check=True)
    print(f"{a.out}: {a.out.stat().st_size} bytes from {len(segments)} segments")


if __name__ == "__main__":
    main()

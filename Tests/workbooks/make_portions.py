#!/usr/bin/env python3
"""Cuts the students of one made-up school into many small workbooks, for tests that import again and again.

    make_portions.py OUTDIR --portions N --rows N [--school CODE] [--seed N]
writes OUTDIR/<n>.xlsx (学生基本信息, n from 0) and OUTDIR/portions.json: for each workbook its rows as [id_number, phone].
"""
import argparse, json, pathlib, sys
sys.dont_write_bytecode = True      # nothing of a run stays in the repository
import make_workbooks as workbooks

FORM = "general.student.basic"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--portions", type=int, required=True)
    p.add_argument("--rows", type=int, required=True)
    p.add_argument("--school", default="3641990001")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    catalogue = workbooks.Catalogue(pathlib.Path(__file__).resolve().parents[2] / "Sources/Shared/Catalogue")
    rows = workbooks.School(catalogue, a.seed, a.school, 4, 0, 4, a.portions * a.rows, 0).rows(FORM)
    portions = [rows[n * a.rows:(n + 1) * a.rows] for n in range(a.portions)]
    for n, portion in enumerate(portions): workbooks.write(a.out / f"{n}.xlsx", catalogue, FORM, *workbooks.table(catalogue, FORM, portion))
    (a.out / "portions.json").write_text(json.dumps([[[row["id_number"], row.get("phone", "")] for row in portion] for portion in portions]), "utf-8")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Checks the catalogue's data (forms/*.toml, codes/*.tsv) without any other part of zzsync.

Usage: check_catalogue.py [CATALOGUE_DIR]      exit status 0 = nothing found

All examples together form one small school, loaded into an in-memory SQLite database. No example may break a rule;
each rule must be broken when its `breaks` are laid over the example. An empty string in `breaks` stands for NULL.
"""
import datetime, pathlib, re, sqlite3, sys, tomllib

HERE = pathlib.Path(__file__).resolve().parent
TYPES = {"text", "integer", "decimal", "date", "year_month", "code", "region", "id_number", "phone", "flag"}
FORM_KEYS = {"id", "number", "module", "section", "title", "template", "import_order", "period", "key", "key_scope", "prerequisites",
             "levels", "example", "field", "rule"}
FIELD_KEYS = {"number", "id", "title", "type", "length", "codes", "references", "group", "required", "owner", "policy",
              "privacy", "fill", "note", "status"}
RULE_KEYS = {"id", "level", "when", "assert", "fields", "message", "fix", "breaks"}
SCHOOL_TYPES = {"vocational_continuing", "vocational_resumed", "attached_classes", "other_institution"}
LEVELS = {"must", "if_any", "should", "optional", "deferred", "derived"}
KEYWORDS = set("""abort action add after all alter always analyze and as asc attach autoincrement before begin between by cascade case
cast check collate column commit conflict constraint create cross current current_date current_time current_timestamp database default
deferrable deferred delete desc detach distinct do drop each else end escape except exclude exclusive exists explain fail filter first
following for foreign from full generated glob group groups having if ignore immediate in index indexed initially inner insert instead
intersect into is isnull join key last left like limit match materialized natural no not nothing notnull null nulls of offset on or order
others outer over partition plan pragma preceding primary query raise range recursive references regexp reindex release rename replace
restrict returning right rollback row rows savepoint select set table temp temporary then ties to transaction trigger unbounded union
unique update using vacuum values view virtual when where window with without id user role authorization placing symmetric analyse this""".split())

WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def id_number_ok(t):
    if t is None: return None
    if not re.fullmatch(r"[0-9]{17}[0-9X]", t): return 0
    try: datetime.date(int(t[6:10]), int(t[10:12]), int(t[12:14]))
    except ValueError: return 0
    return int("10X98765432"[sum(int(a) * b for a, b in zip(t, WEIGHTS)) % 11] == t[17])


def id_birth(t): return f"{t[6:10]}-{t[10:12]}-{t[12:14]}" if t and id_number_ok(t) else None
def id_sex(t): return ("2", "1")[int(t[16]) % 2] if t and id_number_ok(t) else None
def id_region(t): return t[:6] if t and id_number_ok(t) else None


def credit_code_ok(t):
    if t is None: return None
    if len(t) != 18 or any(c not in CREDIT for c in t): return 0
    return int(CREDIT[(31 - sum(CREDIT.index(c) * pow(3, i, 31) for i, c in enumerate(t[:17])) % 31) % 31] == t[17])


def read_codes(folder):
    sets = {}
    for path in sorted(folder.glob("*.tsv")):
        lines = path.read_text("utf-8").splitlines()
        head = lines[0].split("\t")
        assert head[:2] == ["code", "name"] and head[-1] == "verified", f"{path.name}: heading {head}"
        sets[path.stem] = {}
        for n, line in enumerate(lines[1:], 2):
            cells = line.split("\t")
            assert len(cells) == len(head) and all(c == c.strip() for c in cells) and cells[0] and cells[1] and cells[-1], f"{path.name}:{n}"
            assert cells[0] not in sets[path.stem], f"{path.name}:{n}: code twice"
            sets[path.stem][cells[0]] = cells[1]
        assert len(set(sets[path.stem].values())) == len(sets[path.stem]), f"{path.name}: a name twice"
    return sets


def right(field, value, codes):
    kind = field["type"]
    if kind in ("integer", "flag"): return isinstance(value, int) and (kind == "integer" or value in (0, 1))
    if kind == "decimal": return isinstance(value, (int, float))
    if not isinstance(value, str) or not value or len(value) > field.get("length", 10**6): return False
    if kind == "date":
        try: return datetime.date.fromisoformat(value).isoformat() == value
        except ValueError: return False
    if kind == "year_month": return re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", value) is not None
    if kind == "region": return re.fullmatch(r"\d{6}", value) is not None
    if kind == "code": return value in codes[field["codes"]]
    return True


def main(root):
    bad = []
    def need(ok, *what):
        if not ok: bad.append(" ".join(map(str, what)))
    codes = read_codes(root / "codes")
    forms = {}
    for path in sorted((root / "forms").glob("*.toml")):
        form = tomllib.loads(path.read_text("utf-8"))
        need(form["id"] == path.stem, path.name, "id is not the file's name")
        forms[form["id"]] = form
    db = sqlite3.connect(":memory:")
    for name, function in (("id_number_ok", id_number_ok), ("id_birth", id_birth), ("id_sex", id_sex), ("id_region", id_region), ("credit_code_ok", credit_code_ok)):
        db.create_function(name, 1, function, deterministic=True)
    db.create_function("in_code_set", 2, lambda s, v: None if v is None else int(v in codes.get(s, {})), deterministic=True)
    db.create_function("code_name", 2, lambda s, v: codes.get(s, {}).get(v), deterministic=True)
    need(len({f["number"] for f in forms.values()}) == len(forms), "a form number twice")
    orders = [f["import_order"] for f in forms.values() if "template" in f]
    need(len(set(orders)) == len(orders), "an import order twice")
    used, rules = set(), {}
    for name, form in forms.items():
        need(set(form) <= FORM_KEYS, name, "unknown keys", set(form) - FORM_KEYS)
        need(FORM_KEYS - set(form) <= {"template", "import_order", "rule"}, name, "missing", FORM_KEYS - set(form))
        need(("template" in form) == ("import_order" in form), name, "template without import_order")
        need(set(form["levels"]) == SCHOOL_TYPES and set(form["levels"].values()) <= LEVELS, name, "levels")
        need(all(p in forms for p in form["prerequisites"]), name, "prerequisites")
        columns = {f["id"]: f for f in form["field"]}
        numbers = [f["number"] for f in form["field"]]
        need(len(columns) == len(form["field"]) and len({f["title"] for f in form["field"]}) == len(columns), name, "an id or title twice")
        need(numbers == sorted(set(numbers)) and numbers[0] >= 1 and numbers[-1] <= 126, name, "field numbers")
        need(all(k in columns and columns[k].get("required") for k in form["key"]), name, "key")
        need(set(form["example"]) <= set(columns), name, "example names no field", set(form["example"]) - set(columns))
        for f in form["field"]:
            at = f"{name}.{f['id']}"
            need(set(f) <= FIELD_KEYS and {"number", "id", "title", "type", "note", "status"} <= set(f), at, "keys")
            need(re.fullmatch(r"[a-z][a-z0-9_]*", f["id"]) and f["id"] not in KEYWORDS and not f["id"].startswith("zz_"), at, "column name")
            need(f["type"] in TYPES, at, "type")
            need((f["type"] == "code") == ("codes" in f), at, "codes belong to type code")
            if "codes" in f:
                need(f["codes"] in codes, at, "no code set", f["codes"]); used.add(f["codes"])
            need("length" not in f or f["type"] in ("text", "phone", "id_number"), at, "length")
            need(f["type"] != "text" or "length" in f, at, "text without length")
            if "references" in f:
                target, _, column = f["references"].rpartition(".")
                need(target in forms and forms[target]["key"] == [column], at, "reference", f["references"])
            need(f.get("owner", "school") in ("school", "province", "ministry"), at, "owner")
            need(f.get("policy", "manual") in ("manual", "owner", "newest", "union"), at, "policy")
            need(f.get("policy", "manual") == "manual" or (f["id"] not in form["key"] and f.get("group") != "identity"), at, "policy of key or identity")
            need(f.get("privacy", "internal") in ("public", "internal", "private"), at, "privacy")
            need(f["status"] in ("source", "standard", "provisional"), at, "status")
            if f["id"] in form["example"]: need(right(f, form["example"][f["id"]], codes), at, "example", form["example"][f["id"]])
            else: need(not f.get("required"), at, "required, but not in the example")
        table = name.replace(".", "_")
        db.execute(f"CREATE TABLE {table}(id INTEGER PRIMARY KEY, {', '.join(columns)})")
        db.execute(f"INSERT INTO {table}({', '.join(form['example'])}) VALUES({', '.join('?' * len(form['example']))})", list(form["example"].values()))

    def broken(form, rule):
        table = form["id"].replace(".", "_")
        return db.execute(f"SELECT count(*) FROM {table} AS this WHERE ({rule.get('when', '1')}) AND NOT ({rule['assert']})").fetchone()[0] > 0

    for name, form in forms.items():
        table = name.replace(".", "_")
        columns = {f["id"]: f for f in form["field"]}
        for f in form["field"]:
            if "references" in f and f["id"] in form["example"]:
                target, _, column = f["references"].rpartition(".")
                need(forms[target]["example"].get(column) == form["example"][f["id"]], f"{name}.{f['id']}", "the example's reference leads nowhere")
            if "fill" in f:
                need("this." not in f["fill"] and "select" not in f["fill"].lower(), f"{name}.{f['id']}", "a fill looks at its own row only")
                value = db.execute(f"SELECT {f['fill']} FROM {table}").fetchone()[0]
                if f["id"] in form["example"]: need(value == form["example"][f["id"]], f"{name}.{f['id']}", "fill gives", value)
        for rule in form.get("rule", []):
            at = f"{name} {rule['id']}"
            need(set(rule) <= RULE_KEYS and RULE_KEYS - set(rule) <= {"when"}, at, "keys")
            need(rule["id"] not in rules, at, "rule id twice"); rules[rule["id"]] = rule
            need(rule["level"] in ("error", "warn", "explain"), at, "level")
            need(set(rule["fields"]) <= set(columns) and set(rule["breaks"]) <= set(columns), at, "fields or breaks")
            try:
                need(not broken(form, rule), at, "the example breaks it")
                db.execute("SAVEPOINT s")
                for column, value in rule["breaks"].items():
                    db.execute(f"UPDATE {table} SET {column} = ?", [None if value == "" else value])
                need(broken(form, rule), at, "its breaks do not break it")
                others = [r["id"] for r in form["rule"] if r is not rule and broken(form, r)]
                if others and "-v" in sys.argv: print(at, "breaks also", *others)
                db.execute("ROLLBACK TO s")
            except sqlite3.Error as error:
                need(False, at, error)
    for line in bad: print(line)
    print(f"{len(forms)} forms, {sum(len(f['field']) for f in forms.values())} fields, {len(rules)} rules, {len(codes)} code sets; {len(bad)} findings")
    if "-v" in sys.argv: print("code sets no field uses:", *sorted(set(codes) - used))
    return bool(bad)


if __name__ == "__main__":
    args = [a for a in sys.argv[1:] if a != "-v"]
    sys.exit(main(pathlib.Path(args[0]) if args else HERE.parents[1] / "Sources/Shared/Catalogue"))

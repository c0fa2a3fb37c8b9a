#!/usr/bin/env python3
"""Makes the workbooks of one made-up school, as its clerks would fill in the templates. Needs only python3-openpyxl.

    make_workbooks.py OUTDIR [--catalogue DIR] [--seed N] [--school CODE] [--majors 20] [--teachers 200] [--classes 120]
                      [--students 5000] [--departments 0] [--inline]
writes OUTDIR/<template>.xlsx for the six templates of staff, classes and students, and OUTDIR/majors.jsonl (one object per
major, column id -> stored value; also departments.jsonl if asked for). Headings are the titles of the catalogue's fields;
codes stand as names, flags as 是/否, numbers of persons and schools as text. The same arguments always give the same
bytes, and the data break no rule of the catalogue. Id numbers of up to 101 schools with consecutive codes never meet.

    make_workbooks.py OUTDIR --bad NAME [--bad NAME ...] | --bad all
writes OUTDIR/<NAME>.xlsx instead: small 学生基本信息 workbooks with one fault each; the names stand in BAD.
"""
import argparse, datetime, io, json, pathlib, random, re, tomllib, zipfile
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

SURNAMES = [("王", "wang"), ("李", "li"), ("张", "zhang"), ("刘", "liu"), ("陈", "chen"), ("杨", "yang"), ("黄", "huang"), ("赵", "zhao"),
            ("吴", "wu"), ("周", "zhou"), ("徐", "xu"), ("孙", "sun"), ("马", "ma"), ("朱", "zhu"), ("胡", "hu"), ("郭", "guo"), ("何", "he"),
            ("高", "gao"), ("林", "lin"), ("罗", "luo"), ("郑", "zheng"), ("梁", "liang"), ("谢", "xie"), ("宋", "song"), ("唐", "tang"),
            ("许", "xu"), ("韩", "han"), ("冯", "feng"), ("邓", "deng"), ("曹", "cao"), ("彭", "peng"), ("曾", "zeng"), ("肖", "xiao"),
            ("田", "tian"), ("董", "dong"), ("袁", "yuan"), ("潘", "pan"), ("于", "yu"), ("蒋", "jiang"), ("蔡", "cai"), ("欧阳", "ouyang")]
GIVEN = [("伟", "wei"), ("芳", "fang"), ("娜", "na"), ("敏", "min"), ("静", "jing"), ("丽", "li"), ("强", "qiang"), ("磊", "lei"),
         ("军", "jun"), ("洋", "yang"), ("勇", "yong"), ("艳", "yan"), ("杰", "jie"), ("娟", "juan"), ("涛", "tao"), ("明", "ming"),
         ("超", "chao"), ("霞", "xia"), ("平", "ping"), ("刚", "gang"), ("梓", "zi"), ("涵", "han"), ("宇", "yu"), ("轩", "xuan"),
         ("浩", "hao"), ("然", "ran"), ("子", "zi"), ("雨", "yu"), ("欣", "xin"), ("怡", "yi"), ("佳", "jia"), ("琪", "qi"), ("诗", "shi"),
         ("晨", "chen"), ("博", "bo"), ("文", "wen"), ("思", "si"), ("睿", "rui"), ("嘉", "jia"), ("俊", "jun"), ("熙", "xi"), ("妍", "yan"),
         ("璐", "lu"), ("鑫", "xin"), ("婷", "ting"), ("雪", "xue"), ("鹏", "peng"), ("航", "hang"), ("凯", "kai"), ("豪", "hao")]
AREAS = [("410102", "河南省郑州市中原区", "450007"), ("410103", "河南省郑州市二七区", "450052"), ("410122", "河南省郑州市中牟县", "451450"),
         ("410181", "河南省郑州市巩义市", "451200"), ("410182", "河南省郑州市荥阳市", "450100"), ("410183", "河南省郑州市新密市", "452370"),
         ("410184", "河南省郑州市新郑市", "451100"), ("410185", "河南省郑州市登封市", "452470"), ("410223", "河南省开封市尉氏县", "475500"),
         ("410225", "河南省开封市兰考县", "475300"), ("411024", "河南省许昌市鄢陵县", "461200"), ("411025", "河南省许昌市襄城县", "461700"),
         ("411081", "河南省许昌市禹州市", "461670"), ("411082", "河南省许昌市长葛市", "461500"), ("411121", "河南省漯河市舞阳县", "462400"),
         ("411122", "河南省漯河市临颍县", "462600"), ("411321", "河南省南阳市南召县", "474650"), ("411322", "河南省南阳市方城县", "473200"),
         ("411421", "河南省商丘市民权县", "476800"), ("411524", "河南省信阳市商城县", "465350"), ("411621", "河南省周口市扶沟县", "461300"),
         ("411624", "河南省周口市沈丘县", "466300"), ("411722", "河南省驻马店市上蔡县", "463800")]
TOWNS = ["城关镇", "新店镇", "大孟镇", "官渡镇", "张庄镇", "黄店镇", "刘集镇", "白沙镇", "和庄镇", "八千乡", "龙湖镇", "辛店镇", "郭店镇", "梨河镇", "孟庄镇", "岳村镇"]
VILLAGES = ["东李村", "西王庄", "后张村", "前刘庄", "马寨村", "赵家村", "大周村", "小陈庄", "南岗村", "北坡村", "石桥村", "柳树沟村", "杏花村", "竹园村", "水泉村", "朱庄村"]
ROADS = ["建设路", "人民路", "中山路", "文化路", "解放路", "新华路", "光明路", "花园路", "迎宾大道", "育才街", "和平街", "工农路"]
SCHOOLS = ["第一初级中学", "第二初级中学", "实验中学", "第三中学", "育才中学", "希望中学", "城关一中", "外国语中学"]
MAJORS = [("2021", "710201", "计算机应用"), ("2021", "720201", "护理"), ("2021", "700206", "汽车运用与维修"), ("2021", "730701", "电子商务"),
          ("2021", "770101", "幼儿保育"), ("2021", "660103", "数控技术应用"), ("2021", "660301", "机电技术应用"), ("2021", "730301", "会计事务"),
          ("2021", "740101", "旅游服务与管理"), ("2021", "740201", "中餐烹饪"), ("2021", "730801", "物流服务与管理"), ("2021", "640301", "建筑工程施工"),
          ("2021", "710202", "计算机网络技术"), ("2021", "710205", "大数据技术应用"), ("2021", "710103", "电子技术应用"), ("2021", "710204", "数字媒体技术应用"),
          ("2021", "660302", "电气设备运行与控制"), ("2021", "660102", "机械加工技术"), ("2021", "720403", "中医康复技术"), ("2010", "082500", "汽车运用与维修")]
GRADES = (2024, 2025, 2026)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
TEMPLATES = ("general.teacher.basic", "general.teacher.work", "general.class", "general.student.basic", "general.student.attribute", "general.student.enrolment")
INLINE_TEXTS = False   # --inline
BAD = ("misspelt_heading", "missing_heading", "numeric_id", "duplicate_key", "too_many_rows", "empty_first_sheet", "bad_check_digit", "unknown_code", "empty_file")


class Catalogue:
    def __init__(self, folder):
        self.forms, self.codes = {}, {}
        for path in sorted((folder / "forms").glob("*.toml")):
            form = tomllib.loads(path.read_text("utf-8"))
            self.forms[form["id"]] = form
        for path in (folder / "codes").glob("*.tsv"):
            self.codes[path.stem] = dict(line.split("\t")[:2] for line in path.read_text("utf-8").splitlines()[1:])


class School:
    """Rows of stored values, form by form; every list is one dict per row, column id -> value, absent = empty."""

    def __init__(self, catalogue, seed, code, majors, teachers, classes, students, departments):
        self.random, self.catalogue, self.code = random.Random(f"{seed}/{code}"), catalogue, code
        self.residue, self.numbers = int("".join(c for c in code if c.isdigit()) or "0") % 101, set()
        self.departments = [dict(department_number=f"D{n + 1:02d}", department_name=f"第{n + 1}教学系", department_type="3", established_month="2003-09")
                            for n in range(departments)]
        self.majors = [self.major(n) for n in range(majors)]
        self.classes = [self.school_class(n) for n in range(classes)]
        self.teachers = [self.teacher(n) for n in range(teachers)]
        for n, each in enumerate(self.classes):
            if self.teachers: each["head_teacher_number"] = self.teachers[n % len(self.teachers)][0]["staff_number"]
        self.students = [self.student(n, self.classes[n * len(self.classes) // students]) for n in range(students)]

    # -- parts of persons
    def name(self):
        r = self.random
        surname, given = r.choice(SURNAMES), [r.choice(GIVEN) for _ in range(r.choice((1, 2, 2, 2)))]
        return surname[0] + "".join(g[0] for g in given), surname[1].capitalize() + " " + "".join(g[1] for g in given).capitalize(), surname

    def id_number(self, area, day, male):
        """The 17 digits are the school's code modulo 101, so that two schools do not make the same number."""
        head = f"{area}{day:%Y%m%d}"
        first = (self.residue - int(head) * 1000) % 101
        orders = [n for n in range(first, 1000, 101) if n % 2 == male]
        digits = f"{head}{self.random.choice(orders):03d}"
        return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, WEIGHTS)) % 11]

    def person(self, first_day, days):
        r = self.random
        while True:
            area, male = r.choice(AREAS), r.random() < .55
            day = first_day + datetime.timedelta(days=r.randrange(days))
            number = self.id_number(area[0], day, male)
            if number not in self.numbers: break
        self.numbers.add(number)
        return area, day, "1" if male else "2", number

    def phone(self):
        r = self.random
        return r.choice(("138", "139", "135", "136", "150", "151", "158", "187", "188", "182", "177", "199")) + f"{r.randrange(10 ** 8):08d}"

    def address(self, area):
        r = self.random
        if r.random() < .7: return f"{area[1]}{r.choice(TOWNS)}{r.choice(VILLAGES)}{r.randrange(1, 15)}组{r.randrange(1, 200)}号"
        return f"{area[1]}{r.choice(ROADS)}{r.randrange(1, 300)}号院{r.randrange(1, 30)}号楼{r.randrange(1, 4)}单元{r.randrange(1, 7)}0{r.randrange(1, 5)}室"

    def pick(self, **weights):
        return self.random.choices(list(weights), list(weights.values()))[0].lstrip("_")

    # -- rows
    def major(self, n):
        r, codes = self.random, self.catalogue.codes
        edition, code, name = MAJORS[n % len(MAJORS)]
        row = dict(major_number=f"ZY{n + 1:02d}", major_catalogue=edition, major_code=code, major_name=name, category_code=code[:2],
                   category_name=codes["major_category_" + edition][code[:2]], schooling_length="3",
                   established_month=f"{r.randrange(1995, 2020)}-09", major_status="1", key_level=self.pick(_9=8, _2=1, _4=2))
        if edition == "2021": row.update(class_code=code[:4], class_name=codes["major_class_2021"][code[:4]])
        if n >= len(MAJORS): row["direction"] = f"第{n // len(MAJORS) + 1}方向"
        if self.departments: row["department_number"] = self.departments[n % len(self.departments)]["department_number"]
        return row

    def school_class(self, n):
        grade, m, k = GRADES[n // max(1, len(self.majors)) % 3], n % len(self.majors), n // (3 * len(self.majors)) + 1
        return dict(class_number=f"{grade}{m + 1:02d}{k:02d}", class_name=f"{grade}级{self.majors[m]['major_name']}{k}班", major_number=self.majors[m]["major_number"],
                    grade=grade, established_month=f"{grade}-09", class_status="1", schooling_length="3", class_type=self.pick(_1=8, _2=1, _3=1),
                    classroom=f"{n // 30 + 1}号楼{n // 6 % 5 + 1}0{n % 6 + 1}", planned_size=self.random.choice((40, 45, 45, 50)))

    def teacher(self, n):
        r = self.random
        area, day, sex, number = self.person(datetime.date(1967, 1, 1), 12000)
        name, pinyin, _ = self.name()
        staff, party = f"T{self.code[-4:]}{n + 1:04d}", r.random() < .4
        start = max(day.year + r.randrange(18, 25), 1985)
        entry = min(2025, start + r.choice((0, 0, 1, 2, 5, 8)))
        basic = dict(staff_number=staff, teacher_name=name, name_pinyin=pinyin, sex=sex, birth_date=day.isoformat(), birth_place=area[1], native_place=area[1],
                     nationality=self.pick(_01=94, _03=4, _11=1, _02=1), political_status="01" if party else "13", id_document_type="1", id_number=number,
                     hmt_overseas="00", health="1", education_level=self.pick(_21=75, _14=15, _31=10), phone=self.phone())
        basic["degree"] = {"21": "4", "14": "3"}.get(basic["education_level"], "9")
        if party: basic["party_month"] = f"{day.year + r.randrange(20, 25)}-{r.randrange(1, 13):02d}"
        if r.random() < .3: basic["marital_status"] = "20"
        full = r.random() < .82
        group = r.choice(("1", "2", "3", "3", "3", "4")) if full else "9"
        work = dict(staff_number=staff, teacher_name=name, staff_category="10" if full else self.pick(_20=5, _30=3, _40=2), is_full_time_teacher=int(full),
                    employment_form=self.pick(_1=80, _2=15, _4=5), post_type="2" if full else "1", staff_status="01", work_start_month=f"{start}-07",
                    school_entry_month=f"{entry}-09", title_level=self.pick(_2=25, _3=40, _4=30, _9=5), course_group=group,
                    is_dual_qualified=int(full and group in "34" and r.random() < .6), is_counsellor=int(r.random() < .01))
        if full: work.update(teaching_start_month=f"{start}-09", teacher_certificate=f"{start}41{r.randrange(10 ** 11):011d}")
        if group in "34" and self.majors: work["major_number"] = r.choice(self.majors)["major_number"]
        if self.departments: work["department_number"] = r.choice(self.departments)["department_number"]
        if r.random() < .02: work.update(staff_status="11", leave_month="2026-08")
        return basic, work

    def student(self, n, school_class):
        r, grade = self.random, school_class["grade"]
        area, day, sex, number = self.person(datetime.date(grade - 16, 9, 1) - datetime.timedelta(days=500), 1000)
        name, pinyin, surname = self.name()
        league = r.random() < .35
        basic = dict(id_document_type="1", id_number=number, student_name=name, sex=sex, birth_date=day.isoformat(), name_pinyin=pinyin,
                     nationality=self.pick(_01=94, _03=4, _11=1, _02=1), political_status="03" if league else "13", hmt_overseas="00",
                     birth_region=area[0], native_place=area[1], health=self.pick(_1=96, _2=3, _3=1))
        if r.random() < .03: basic["former_name"] = self.name()[0]
        if league: basic["league_month"] = f"{day.year + 14}-{r.choice(('05', '12'))}"
        if r.random() < .4: basic["blood_type"] = r.choice("1234")
        if r.random() < .85: basic["phone"] = self.phone()
        if r.random() < .08: basic["speciality"] = r.choice(("书法", "篮球", "田径", "舞蹈", "编程", "声乐"))
        if r.random() < .03: basic["remark"] = r.choice(("家庭困难补助", "技能大赛获奖", "需家访"))
        if number.startswith("4101") and r.random() < .004:   # a few hold a passport
            basic.update(id_document_type="A", id_number=f"E{self.residue:03d}{n:05d}", hmt_overseas="51")
            number = basic["id_number"]
        home, address, relation = area, self.address(area), self.pick(_51=55, _52=38, _61=4, _62=3)
        guardian = (surname[0] if relation in ("51", "61") else r.choice(SURNAMES)[0]) + "".join(r.choice(GIVEN)[0] for _ in range(2))
        while guardian == name: guardian = surname[0] + r.choice(GIVEN)[0] + r.choice(GIVEN)[0]
        attribute = dict(id_number=number, student_name=name, household_type=self.pick(_1=55, _3=35, _2=10), household_region=area[0], household_address=address)
        if r.random() < .2: home = r.choice(AREAS); address = self.address(home)
        attribute.update(home_region=home[0], home_address=address, postal_code=home[2], guardian_name=guardian, guardian_relation=relation, guardian_phone=self.phone(),
                         is_low_income=int(r.random() < .05), is_poverty_relief=int(r.random() < .06), is_left_behind=int(r.random() < .07), is_migrant_child=0,
                         is_orphan=0, is_disabled=0)
        if not attribute["is_left_behind"]: attribute["is_migrant_child"] = int(r.random() < .05)
        if r.random() < .005: attribute.update(is_disabled=1, disability_type=r.choice("1234"))
        enrolment = dict(registration_number=f"{self.code}{grade}{n + 1:05d}", id_number=number, student_name=name, student_number=f"{school_class['class_number']}{n % 100:02d}{n // 100:02d}",
                         grade=grade, class_number=school_class["class_number"], major_number=school_class["major_number"], entry_month=f"{grade}-09",
                         enrolment_type=self.pick(_1=80, _2=8, _3=12), student_source=self.pick(_1=92, _2=8), student_category="1", study_form="1",
                         schooling_length="3", boarding=self.pick(_2=75, _1=22, _3=3), student_status=self.pick(_01=97, _02=1, _03=2), former_school=area[1][-3:] + r.choice(SCHOOLS),
                         joint_enrolment="0", expected_graduation_month=f"{grade + 3}-07")
        if enrolment["enrolment_type"] == "1": enrolment.update(exam_number=f"{grade}{area[0]}{r.randrange(10 ** 6):06d}", exam_score=min(720, max(120, int(r.gauss(360, 90)))))
        if enrolment["student_status"] == "03": enrolment["left_month"] = f"{grade}-{r.choice(('10', '11', '12'))}"
        return basic, attribute, enrolment

    def rows(self, form):
        return {"general.class": lambda: self.classes,
                "general.teacher.basic": lambda: [t[0] for t in self.teachers], "general.teacher.work": lambda: [t[1] for t in self.teachers],
                "general.student.basic": lambda: [s[0] for s in self.students], "general.student.attribute": lambda: [s[1] for s in self.students],
                "general.student.enrolment": lambda: [s[2] for s in self.students]}[form]()


def shown(field, value, codes):
    """What a clerk types: the name of a code, 是/否 for a flag."""
    if value is None: return None
    if field["type"] == "code": return codes[field["codes"]][value]
    if field["type"] == "flag": return "是" if value else "否"
    return value


def table(catalogue, form, rows):
    """Headings and cells of a form's rows."""
    fields = catalogue.forms[form]["field"]
    return [f["title"] for f in fields], [[shown(f, row.get(f["id"]), catalogue.codes) for f in fields] for row in rows]


def write(path, catalogue, form, head, cells, first_sheet_empty=False):
    book = Workbook(write_only=True)
    required = {f["title"] for f in catalogue.forms[form]["field"] if f.get("required")}
    if first_sheet_empty: book.create_sheet("Sheet1")
    sheet = book.create_sheet("Sheet2" if first_sheet_empty else "sheet1")
    sheet.freeze_panes = "A2"
    titles = []
    for title in head:
        cell = WriteOnlyCell(sheet, value=title)
        cell.font = Font(bold=True, color="FFFF0000" if title in required else "FF000000")
        titles.append(cell)
    sheet.append(titles)
    for row in cells: sheet.append(row)
    notes = book.create_sheet("填写说明")
    notes.append(["字段", "是否必填", "格式", "说明"])
    for f in catalogue.forms[form]["field"]:
        if f["type"] == "code":
            names = list(catalogue.codes[f["codes"]].values())
            kind = "选填名称：" + "、".join(names[:12]) + ("……" if len(names) > 12 else "")
        else:
            kind = {"integer": "整数", "decimal": "数值", "date": "YYYY-MM-DD", "year_month": "YYYY-MM", "region": "6 位数字（文本）",
                    "id_number": "文本", "phone": "文本", "flag": "是/否"}.get(f["type"], f"文本，不超过 {f.get('length', 200)} 字")
        notes.append([f["title"], "必填" if f.get("required") else "选填", kind, f["note"]])
    file = io.BytesIO()
    book.save(file)
    pack(path, zipfile.ZipFile(file))


INLINE = re.compile(r'(<c r="[A-Z]+[0-9]+"(?: s="[0-9]+")?) t="inlineStr"><is>(<t(?: [^>]*)?>[^<]*</t>)</is></c>')


def declare(parts, name, end, entry):
    if b"sharedStrings" not in parts[name]: parts[name] = parts[name].replace(end, entry + end)


def pack(path, made):
    """Writes the parts again as office programs do: texts in one shared table; and with fixed times, so that bytes repeat."""
    places, uses = {}, 0

    def share(match):
        nonlocal uses
        uses += 1
        return f'{match[1]} t="s"><v>{places.setdefault(match[2], len(places))}</v></c>'

    parts = {name: made.read(name) for name in made.namelist()}
    for name in parts:
        if name.startswith("xl/worksheets/") and not INLINE_TEXTS: parts[name] = INLINE.sub(share, parts[name].decode()).encode()
    if places:
        table = "".join(f"<si>{text}</si>" for text in places)
        parts["xl/sharedStrings.xml"] = ('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
                                         f'count="{uses}" uniqueCount="{len(places)}">{table}</sst>').encode()
        declare(parts, "[Content_Types].xml", b"</Types>", b'<Override PartName="/xl/sharedStrings.xml" ContentType='
                b'"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>')
        declare(parts, "xl/_rels/workbook.xml.rels", b"</Relationships>", b'<Relationship Id="rIdTexts" Target="sharedStrings.xml" Type='
                b'"http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"/>')
    parts["docProps/core.xml"] = re.sub(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", b"2026-09-01T08:00:00Z", parts["docProps/core.xml"])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            info = zipfile.ZipInfo(name, (2026, 9, 1, 8, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)


def write_bad(out, name, catalogue, school_of):
    form = "general.student.basic"
    count = 5001 if name == "too_many_rows" else 0 if name == "empty_file" else 20
    head, cells = table(catalogue, form, school_of(count).rows(form) if count else [])
    column = {f["id"]: n for n, f in enumerate(catalogue.forms[form]["field"])}
    number = column["id_number"]
    if name == "misspelt_heading": head[column["nationality"]] = "名族"
    if name == "missing_heading":
        for row in [head, *cells]: del row[column["sex"]]
    if name == "numeric_id":            # as a spreadsheet keeps it: fifteen digits, the rest lost
        for row in cells: row[number] = int(row[number][:15]) * 1000 if row[number][:17].isdigit() else row[number]
    if name == "duplicate_key": cells[7] = list(cells[3])
    if name == "bad_check_digit":
        cells[4][0], cells[4][number] = "居民身份证", cells[4][number][:17] + ("1" if cells[4][number][17:] == "0" else "0")
    if name == "unknown_code": cells[5][column["nationality"]] = "火星族"
    write(out / f"{name}.xlsx", catalogue, form, head, cells, first_sheet_empty=name == "empty_first_sheet")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--catalogue", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2] / "Sources/Shared/Catalogue")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--school", default="3641990001", metavar="CODE")
    for name, count in (("majors", 20), ("teachers", 200), ("classes", 120), ("students", 5000), ("departments", 0)):
        p.add_argument("--" + name, type=int, default=count)
    p.add_argument("--bad", action="append", choices=BAD + ("all",), default=[])
    p.add_argument("--inline", action="store_true", help="texts inside the cells (as some programs write), not in the shared table")
    a = p.parse_args()
    global INLINE_TEXTS
    INLINE_TEXTS = a.inline
    a.out.mkdir(parents=True, exist_ok=True)
    catalogue = Catalogue(a.catalogue)
    if a.bad:
        for name in BAD if "all" in a.bad else a.bad:
            write_bad(a.out, name, catalogue, lambda count: School(catalogue, a.seed, a.school, 4, 0, 12, count, 0))
        return
    if a.majors < 1 or a.classes < 1: p.error("a school needs a major and a class")
    school = School(catalogue, a.seed, a.school, a.majors, a.teachers, a.classes, a.students, a.departments)
    for form in TEMPLATES:
        write(a.out / (catalogue.forms[form]["template"] + ".xlsx"), catalogue, form, *table(catalogue, form, school.rows(form)))
    for name, rows in (("majors", school.majors), ("departments", school.departments)):
        if rows: (a.out / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()

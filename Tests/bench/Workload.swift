// The reference workload: students of a school with a key and 30 columns, seeded, plus its edits. Names are made up from
// common syllables; ID numbers are generated and carry a valid check digit.

import Shared

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func pick<T>(_ items: [T]) -> T { items[Int(next() % UInt64(items.count))] }
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

enum Workload {
    /// Column, SQL type. The first is the key.
    static let columns: [(id: String, isInteger: Bool)] = [
        ("number", false), ("name", false), ("pinyin", false), ("former_name", false), ("sex", false), ("id_number", false),
        ("birth", false), ("nationality", false), ("political", false), ("health", false), ("registration", false),
        ("student_number", false), ("class_number", false), ("major", false), ("schooling", true), ("entry", true),
        ("entry_kind", false), ("attendance", false), ("status", false), ("household", false), ("region", false),
        ("household_address", false), ("home_address", false), ("postcode", false), ("phone", false), ("guardian", false),
        ("guardian_kind", false), ("guardian_phone", false), ("middle_school", false), ("score", true), ("remark", false),
    ]

    private static let surnames = [
        ("王", "wang"), ("李", "li"), ("张", "zhang"), ("刘", "liu"), ("陈", "chen"), ("杨", "yang"), ("黄", "huang"), ("赵", "zhao"),
        ("吴", "wu"), ("周", "zhou"), ("徐", "xu"), ("孙", "sun"), ("马", "ma"), ("朱", "zhu"), ("胡", "hu"), ("郭", "guo"),
        ("何", "he"), ("高", "gao"), ("林", "lin"), ("罗", "luo"), ("郑", "zheng"), ("梁", "liang"), ("谢", "xie"), ("宋", "song"),
    ]
    private static let given = [
        ("伟", "wei"), ("芳", "fang"), ("娜", "na"), ("敏", "min"), ("静", "jing"), ("丽", "li"), ("强", "qiang"), ("磊", "lei"),
        ("军", "jun"), ("洋", "yang"), ("勇", "yong"), ("艳", "yan"), ("杰", "jie"), ("娟", "juan"), ("涛", "tao"), ("明", "ming"),
        ("梓", "zi"), ("涵", "han"), ("宇", "yu"), ("轩", "xuan"), ("浩", "hao"), ("然", "ran"), ("子", "zi"), ("雨", "yu"),
        ("欣", "xin"), ("怡", "yi"), ("佳", "jia"), ("琪", "qi"), ("诗", "shi"), ("晨", "chen"), ("博", "bo"), ("文", "wen"),
        ("思", "si"), ("睿", "rui"), ("嘉", "jia"), ("俊", "jun"), ("熙", "xi"), ("妍", "yan"), ("婷", "ting"), ("雪", "xue"),
    ]
    private static let areas = [
        ("410102", "河南省郑州市中原区", "450007"), ("410103", "河南省郑州市二七区", "450052"), ("410122", "河南省郑州市中牟县", "451450"),
        ("410181", "河南省郑州市巩义市", "451200"), ("410182", "河南省郑州市荥阳市", "450100"), ("410223", "河南省开封市尉氏县", "475500"),
        ("411023", "河南省许昌市建安区", "461100"), ("411081", "河南省许昌市禹州市", "461670"), ("411121", "河南省漯河市舞阳县", "462400"),
        ("411321", "河南省南阳市南召县", "474650"), ("411421", "河南省商丘市民权县", "476800"), ("411621", "河南省周口市扶沟县", "461300"),
    ]
    private static let towns = ["城关镇", "新店镇", "大孟镇", "官渡镇", "张庄镇", "刘集镇", "白沙镇", "和庄镇", "八千乡", "龙湖镇", "郭店镇", "孟庄镇", "超化镇"]
    private static let villages = ["东李村", "西王庄", "后张村", "前刘庄", "马寨村", "赵家村", "大周村", "小陈庄", "南岗村", "石桥村", "杏花村", "水泉村"]
    private static let roads = ["建设路", "人民路", "中山路", "文化路", "解放路", "新华路", "光明路", "花园路", "嵩山路", "育才街", "和平街"]
    private static let majors = ["710201", "710205", "700206", "660102", "730301", "720301", "740104", "730601", "650106", "660301"]

    private static func name(_ r: inout SplitMix) -> (String, String, String) {
        let surname = r.pick(surnames)
        let parts = (0..<(r.chance(25) ? 1 : 2)).map { _ in r.pick(given) }
        return (surname.0 + parts.map(\.0).joined(), surname.1 + " " + parts.map(\.1).joined(), surname.0)
    }
    private static func phone(_ r: inout SplitMix) -> String {
        let digits = String(r.below(100_000_000))
        return r.pick(["138", "139", "135", "150", "158", "187", "188", "177", "199"])
            + String(repeating: "0", count: 8 - digits.count) + digits
    }
    private static func address(_ r: inout SplitMix, _ area: String) -> String {
        r.chance(70)
            ? "\(area)\(r.pick(towns))\(r.pick(villages))\(1 + r.below(14))组\(1 + r.below(199))号"
            : "\(area)\(r.pick(roads))\(1 + r.below(299))号院\(1 + r.below(29))号楼\(1 + r.below(3))单元\(1 + r.below(6))0\(1 + r.below(4))室"
    }
    private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    private static func citizen(_ area: String, _ birth: String, _ order: Int) -> String {
        let digits = String(order)
        let body = area + birth.filter { $0 != "-" } + String(repeating: "0", count: 3 - digits.count) + digits
        let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
        let sum = zip(body.utf8, weights).reduce(0) { $0 + (Int($1.0) - 48) * $1.1 }
        return body + String(Array("10X98765432")[sum % 11])
    }

    /// The students of school `number`; the same arguments give the same rows.
    static func school(_ number: Int, rows: Int) -> [[Value]] {
        var r = SplitMix(state: UInt64(20_261_121 + number))
        let code = "41\(15_000 + number * 37)\(100 + number)"
        return (0..<rows).map { index in
            let year = 2024 + index * 3 / rows
            let major = r.pick(majors)
            let area = r.pick(areas)
            let (full, pinyin, surname) = name(&r)
            let isMale = r.chance(50)
            let birth = "\(year - 17 + r.below(3))-\(two(1 + r.below(12)))-\(two(1 + r.below(28)))"
            let card = citizen(area.0, birth, r.below(499) * 2 + (isMale ? 1 : 0))
            let home = address(&r, area.1)
            let isFather = r.chance(60)
            let serial = String(index)
            let group = index % 12 + 1
            let row: [Value] = [
                .text("\(code)\(year)" + String(repeating: "0", count: max(0, 5 - serial.count)) + serial), .text(full), .text(pinyin),
                r.chance(3) ? .text(name(&r).0) : .null, .text(isMale ? "男" : "女"), .text(card), .text(birth),
                .text(r.chance(94) ? "汉族" : r.pick(["回族", "满族", "蒙古族", "土家族"])), .text(r.chance(45) ? "共青团员" : "群众"),
                .text(r.chance(96) ? "健康或良好" : "一般或较弱"), .text("G" + card),
                .text("\(year)\(two(group))\(two(index % 4 + 1))\(two(index % 36 + 1))"), .text("\(year)\(major.suffix(4))\(two(index % 4 + 1))"),
                .text(major), .integer(3), .integer(Int64(year * 100 + 9)),
                .text(r.chance(80) ? "统一招生考试/普通入学" : r.pick(["保送", "自主招生"])), .text(r.chance(75) ? "住校" : r.pick(["走读", "借宿"])),
                .text(r.chance(97) ? "在读" : r.pick(["休学", "退学"])), .text(r.chance(72) ? "农业家庭户口" : "非农业家庭户口"), .text(area.0),
                .text(home), .text(r.chance(80) ? home : address(&r, r.pick(areas).1)), .text(area.2), .text(phone(&r)),
                .text((isFather ? surname : r.pick(surnames).0) + r.pick(given).0), .text(isFather ? "父亲" : "母亲"), .text(phone(&r)),
                .text(String(area.1.suffix(3)) + r.pick(["第一初级中学", "第二初级中学", "实验中学", "育才中学", "城关一中"])),
                .integer(Int64(min(720, max(120, 240 + r.below(240))))),
                r.chance(12) ? .text(r.pick(["建档立卡贫困家庭", "低保家庭", "需家访", "体育特长", "艺术特长"])) : .null,
            ]
            return row
        }
    }

    struct Edit {
        let row: Int
        let column: Int
        let value: Value
    }

    /// Single-field edits, each its own transaction; every `day` has others.
    static func edits(_ rows: [[Value]], count: Int, day: Int = 0) -> [Edit] {
        var r = SplitMix(state: UInt64(7 + day))
        let choices = ["phone", "guardian_phone", "home_address", "household_address", "name", "guardian", "remark", "score", "status", "political"]
        return (0..<count).map { _ in
            let column = columns.firstIndex { $0.id == r.pick(choices) } ?? 24
            let value: Value =
                switch columns[column].id {
                case "phone", "guardian_phone": .text(phone(&r))
                case "home_address", "household_address": .text(address(&r, r.pick(areas).1))
                case "score": .integer(Int64(120 + r.below(600)))
                case "status": .text(r.pick(["休学", "退学", "毕业"]))
                case "political": .text(r.pick(["共青团员", "群众", "中共预备党员"]))
                case "remark": .text(r.pick(["转专业", "家庭困难补助", "复学", "技能大赛获奖"]) + "\(r.below(100))")
                default: .text(name(&r).0)
                }
            return Edit(row: r.below(rows.count), column: column, value: value)
        }
    }

    /// The same facts column by column as text: what a strong compressor alone makes of them.
    static func columnwise(_ columns: [[Value]]) -> [UInt8] {
        Array(columns.map { $0.map(\.shown).joined(separator: "\n") + "\n" }.joined(separator: "\n").utf8)
    }

    /// What follows from other columns, as the real forms say it.
    private static let fills: [String: (sources: [String], expression: String)] = [
        "pinyin": (["name"], "lower(pinyin(name))"), "sex": (["id_number"], "CASE WHEN id_sex(id_number) = '1' THEN '男' ELSE '女' END"),
        "birth": (["id_number"], "id_birth(id_number)"), "registration": (["id_number"], "'G' || id_number"),
        "region": (["id_number"], "id_region(id_number)"), "home_address": (["household_address"], "household_address"),
    ]

    /// A form of some of the columns.
    struct Part {
        let name: String
        let number: Int
        let columns: [Int]
        /// The column that a day's edits change.
        let edited: Int
    }

    /// The student in three forms, as the real catalogue has him: the person, his home and family, his place at school.
    static let parts: [Part] = [
        ("basic", ["number", "name", "pinyin", "former_name", "sex", "id_number", "birth", "nationality", "political", "health"], "former_name"),
        ("attribute", ["number", "household", "region", "household_address", "home_address", "postcode", "phone", "guardian", "guardian_kind", "guardian_phone"], "guardian"),
        ("enrolment", ["number", "student_number", "class_number", "major", "schooling", "entry", "entry_kind", "attendance", "status", "middle_school", "score", "remark"], "remark"),
    ].enumerated().map { index, part in
        let place = { (id: String) in columns.firstIndex { $0.id == id }! }
        return Part(name: part.0, number: index + 2, columns: part.1.map(place), edited: place(part.2))
    }

    private static let authored = [
        ("id_number_ok(id_number)", "id_number"), ("id_birth(id_number) = birth", "birth"), ("score BETWEEN 0 AND 750", "score"),
        ("length(phone) = 11", "phone"), ("substr(class_number, 1, 4) * 100 + 9 = entry", "entry"),
    ]

    /// The whole student as one form. `rules` off: every field plain text or integer, no key; on: key, types, lengths, rules.
    static func form(rules: Bool) -> String {
        source(id: "bench.student", number: 1, columns: Array(columns.indices), rules: rules, everywhere: false)
    }

    /// One of the parts: its key is unique in the whole province, its rules are on.
    static func form(_ part: Part) -> String {
        source(id: "bench.\(part.name)", number: part.number, columns: part.columns, rules: true, everywhere: true)
    }

    private static func source(id: String, number: Int, columns part: [Int], rules: Bool, everywhere: Bool) -> String {
        var toml = """
            id = "\(id)"
            number = \(number)
            module = "基准"
            section = "基准"
            title = "学生\(number)"
            period = "continuous"
            key = \(rules ? "[\"number\"]" : "[]")
            \(everywhere ? "key_scope = \"everywhere\"" : "")
            prerequisites = []
            [levels]
            [example]

            """
        let ids = Set(part.map { columns[$0].id })
        for (index, column) in part.map({ columns[$0] }).enumerated() {
            let type = column.isInteger ? "integer" : !rules ? "text" : ["id_number": "id_number", "birth": "date", "region": "region", "phone": "phone"][column.id] ?? "text"
            toml += "[[field]]\nnumber = \(index + 1)\nid = \"\(column.id)\"\ntitle = \"列\(index + 1)\"\ntype = \"\(type)\"\nstatus = \"standard\"\n"
            if let fill = fills[column.id], fill.sources.allSatisfy(ids.contains) { toml += "fill = \"\(fill.expression)\"\n" }
            if rules, !column.isInteger { toml += "length = 100\n" }
            if rules, ["number", "name", "sex", "id_number", "birth"].contains(column.id) { toml += "required = true\n" }
        }
        guard rules else { return toml }
        for (index, rule) in authored.enumerated() where ids.contains(rule.1) {
            toml += "[[rule]]\nid = \"BR-\(number)-\(index)\"\nlevel = \"warn\"\nassert = \"\(rule.0)\"\nfields = [\"\(rule.1)\"]\nmessage = \"m\"\nfix = \"f\"\n"
        }
        return toml
    }
}

import Foundation
import Testing

/// Workbooks as they really arrive: each fault gets its place and a way out, and no row becomes formal by accident.
@Suite("Bad workbooks", .timeLimit(.minutes(10)))
struct BadInputWorkbookTests {
    static let form = "general.student.basic"
    static let table = "general_student_basic"

    /// Made once by a spreadsheet library: the faulty ones, and the good ones of a school of 20 students.
    private static let made = Task { () throws -> World in
        let world = try World.shared()
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/workbooks/make_workbooks.py"
        try await Programs.run(Programs.python, [script, world.path("bad"), "--bad", "all"]).expect(0)
        let small = ["--students", "20", "--teachers", "1", "--classes", "1", "--majors", "1"]
        try await Programs.run(Programs.python, [script, world.path("good")] + small).expect(0)
        return world
    }

    private func bad(_ name: String) async throws -> String { try await Self.made.value.path("bad/\(name).xlsx") }
    private func students() async throws -> String { try await Self.made.value.path("good/学生基本信息.xlsx") }

    /// A copy of a workbook, changed by openpyxl.
    private func changed(_ file: String, _ world: World, _ name: String, _ python: String) async throws -> String {
        let path = world.path(name)
        let script = """
            import openpyxl, sys
            book = openpyxl.load_workbook(sys.argv[1]); sheet = book.worksheets[0]
            column = {cell.value: cell.column for cell in sheet[1]}
            \(python)
            book.save(sys.argv[2])
            """
        try await Programs.run(Programs.python, ["-c", script, file, path]).expect(0)
        return path
    }

    /// Faulty workbook → what stands in its report.
    @Test(arguments: [
        ("missing_heading", ["第1行\t", "缺少必填列“性别”", "请在第一行加上这一列", "1 errors"]),
        ("misspelt_heading", ["第1行 H1", "“名族”不是学生基本信息的列标题", "是否应为“民族”？", "2 errors"]),
        ("numeric_id", ["第2行 B2", "身份证件号是数字格式的单元格", "设为文本格式", "20 errors"]),
        ("duplicate_key", ["第9行 身份证件号", "与第5行重复", "请删除重复的一行", "1 errors"]),
        ("too_many_rows", ["整个文件", "最多5000行，文件有5001行", "请拆分为多个文件", "1 errors"]),
        ("bad_check_digit", ["第6行 身份证件号", "校验位不正确", "1 errors"]),
        ("unknown_code", ["第7行 民族", "请从下拉列表中选择", "1 errors"]),
    ])
    func everyFaultIsToldInOnePassWithItsPlace(name: String, words: [String]) async throws {
        let world = try World()
        let node = try await world.node("a")
        let report = try await node.run(["import", Self.form, bad(name), "--accept"]).expect(3, "cannot be accepted")
        for word in words { #expect(report.out.contains(word), "\(name): \(report.out.prefix(2_000))") }
        #expect(try await node.count(Self.table) == 0)
        #expect(try await node.count("zz_mark") == 0)
        // What was staged is there to be looked at, and cannot slip through.
        try await node("review", "show", "1").expect(0, "staged", String(words[1].prefix(6)))
        try await node("review", "accept", "1").expect(3, "Batch 1 has ", "nothing was written")
        try await node("review", "reject", "1").expect(0)
        #expect(try await node.count(Self.table) == 0)
        // The good workbook still goes in.
        try await node.run(["import", Self.form, students(), "--accept"]).expect(0, "20 rows are formal")
    }

    @Test func theReportIsOneDocumentForPrograms() async throws {
        let world = try World()
        let node = try await world.node("a")
        let document = try await node.run(["import", Self.form, bad("duplicate_key"), "--json", "--dry-run"]).expect(3).json()
        let errors = try #require(document["errors"] as? [[String: Any]])
        #expect(errors.count == 1)
        #expect(errors.first?["line"] as? Int == 9)
        #expect(document["batch"] == nil)
        #expect(try await node.count("zz_batch") == 0)
    }

    @Test func anEmptyFirstSheetSaysWhereDataWereFound() async throws {
        let world = try World()
        let node = try await world.node("a")
        let found = try await node.run(["import", Self.form, bad("empty_first_sheet")])
            .expect(3, "业务数据为空", "first sheet (Sheet1)", "data were found on sheet Sheet2", "Move the sheet Sheet2 to the front")
        #expect(!found.err.contains("is not an .xlsx workbook"))
        try await node.run(["import", Self.form, bad("empty_file")]).expect(3, "业务数据为空", "has no data rows.", "template")
        #expect(try await node.count("zz_batch") == 0)
        // The advice works.
        let mended = try await changed(bad("empty_first_sheet"), world, "mended.xlsx", "book.move_sheet('Sheet2', -1)")
        try await node.run(["import", Self.form, mended, "--accept"]).expect(0, "20 rows are formal")
    }

    @Test func whatIsNoReadableWorkbookIsNamedForWhatItIs() async throws {
        let world = try World()
        let node = try await world.node("a")
        let good = try Data(contentsOf: URL(fileURLWithPath: await students()))
        let ole = Data([0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) + Data(count: 504)
        let encrypted = Data("EncryptedPackage".utf8.flatMap { [$0, 0] })
        var flipped = good
        for index in good.count / 3..<good.count / 3 + 40 { flipped[index] ^= 0x5A }
        let files: [(String, Data, [String])] = [
            ("password.xlsx", ole + encrypted + Data(count: 480), ["is protected with a password.", "save it without a password"]),
            ("old.xls", ole + Data(count: 1_024), ["is an old .xls workbook.", "(.xlsx)"]),
            ("cut.xlsx", good.prefix(good.count / 2), ["is damaged", "Copy it again"]),
            ("flipped.xlsx", flipped, ["is damaged", "Copy it again"]),
            ("page.xlsx", Data("<html><table></table></html>".utf8), ["is not an .xlsx workbook. It is a web page"]),
            ("text.xlsx", Data("姓名,性别\n张三,男\n".utf8), ["It is a text file (CSV?)"]),
            ("empty.xlsx", Data(), ["It is an empty file"]),
        ]
        for (name, bytes, words) in files {
            try bytes.write(to: URL(fileURLWithPath: world.path(name)))
            let ended = try await node.run(["import", Self.form, world.path(name), "--accept"]).expect(3, name)
            for word in words { #expect(ended.err.contains(word), "\(name): \(ended.err)") }
            #expect(ended.out.isEmpty)
        }
        try await node.run(["import", Self.form, world.path("nowhere.xlsx")]).expect(2, "nowhere.xlsx cannot be read: No such file")
        try await node.run(["import", Self.form, world.folder]).expect(2, "it is not a file")
        try await node.run(["import", "general.major", students()]).expect(3, "has no import template", "zzsync put general.major")
        #expect(try await node.count("zz_batch") == 0)
        #expect(try await node.count(Self.table) == 0)
    }

    @Test func aWorkbookOfAnotherFormIsRefused() async throws {
        let world = try World()
        let node = try await world.node("a")
        let teachers = try await Self.made.value.path("good/教职工基本信息.xlsx")
        try await node.run(["import", "general.class", teachers, "--accept"]).expect(3, "班级", "cannot be accepted")
        #expect(try await node.count("general_class") == 0)
    }

    // MARK: rows that are there already

    @Test func anExistingKeyIsRefusedWithThePlaceOfTheOldRow() async throws {
        let world = try World()
        let node = try await world.node("a")
        try await node.run(["import", Self.form, students(), "--accept"]).expect(0)
        let id = try await node.sql("SELECT id FROM \(Self.table) ORDER BY id LIMIT 1")
        let before = try await node.digest(Self.form)
        try await node.run(["import", Self.form, students(), "--accept"])
            .expect(3, "数据库已存在记录", "记录号 \(id)", "--update", "20 errors")
        #expect(try await node.count(Self.table) == 20)
        #expect(try await node.digest(Self.form) == before)
    }

    @Test func updateChangesFilledCellsAlone() async throws {
        let world = try World()
        let node = try await world.node("a")
        try await node.run(["import", Self.form, students(), "--accept", "--as", "zhou"]).expect(0)
        let number = try await node.sql("SELECT id_number FROM \(Self.table) WHERE phone <> '' ORDER BY id LIMIT 1")
        func row(_ fields: String) async throws -> String {
            try await node.sql("SELECT \(fields) FROM \(Self.table) WHERE id_number = '\(number)'")
        }
        let kept = "id || phone || native_place || birth_region || nationality || student_name"
        let before = try await row(kept)
        // Of this student's row the optional cells are emptied and one is filled; all other rows go.
        let sheet = try await changed(
            students(), world, "update.xlsx",
            """
            for r in range(sheet.max_row, 1, -1):
                if sheet.cell(r, column['身份证件号']).value != '\(number)': sheet.delete_rows(r)
            for title in ('联系电话', '籍贯', '出生地行政区划'):
                if title in column: sheet.cell(2, column[title]).value = None
            sheet.cell(2, column['特长']).value = '书法'
            """)
        try await node.sql("DELETE FROM zz_mark")       // as if everything had been sealed
        try await node.run(["import", Self.form, sheet, "--update", "--accept", "--as", "li.na"]).expect(0, "1 rows are formal")
        #expect(try await row("speciality") == "书法")
        #expect(try await row(kept) == before)
        #expect(try await node.count(Self.table) == 20)
        #expect(try await node.sql("SELECT count(*) || author FROM zz_mark") == "1li.na")
    }

    // MARK: review

    @Test func stagedRowsBecomeFormalOnceByAcceptAndNeverByReject() async throws {
        let world = try World()
        let node = try await world.node("a")
        try await node.run(["import", Self.form, students(), "--as", "zhou"]).expect(0, "Staged as batch 1", "review accept 1")
        try await node.run(["import", Self.form, students()]).expect(0, "Staged as batch 2")
        try await node.run(["import", Self.form, students()]).expect(0, "Staged as batch 3")
        #expect(try await node.count(Self.table) == 0)
        try await node("review", "reject", "2", "--as", "wang").expect(0, "rejected")
        try await node("review", "accept", "2").expect(3, "Batch 2 was rejected by wang already.", "review list")
        try await node("review", "accept", "1", "--as", "li.na").expect(0, "20 rows are formal")
        #expect(try await node.sql("SELECT count(*), author FROM zz_mark") == "20|li.na")
        try await node("review", "accept", "1").expect(3, "Batch 1 was accepted by li.na already.")
        try await node("review", "reject", "1").expect(3, "Batch 1 was accepted by li.na already.")
        // Checked again: what was fine when staged is not now.
        try await node("review", "accept", "3").expect(3, "Batch 3 has 20 errors", "数据库已存在记录", "nothing was written")
        #expect(try await node.count(Self.table) == 20)
        try await node("review", "list").expect(0, "accepted", "rejected", "staged")
    }

    /// Between staging and review somebody else corrected, added or deleted what the workbook's author had not read.
    @Test func whatWasWrittenSinceStagingIsNotWrittenOver() async throws {
        let world = try World()
        let node = try await world.node("a")
        try await node.run(["import", Self.form, students()]).expect(0, "Staged as batch 1")
        try await node("review", "accept", "1").expect(0)
        try await node.run(["import", Self.form, students(), "--update"]).expect(0, "Staged as batch 2")
        try await node.sql("UPDATE \(Self.table) SET student_name = '示例改' WHERE id = (SELECT min(id) FROM \(Self.table))")
        try await node.sql("DELETE FROM \(Self.table) WHERE id = (SELECT max(id) FROM \(Self.table))")
        try await node("review", "accept", "2").expect(3, "Batch 2 has 2 errors", "暂存之后有人", "nothing was written")
        #expect(try await node.count(Self.table, "student_name = '示例改'") == 1)
        try await node.run(["import", Self.form, students(), "--update"]).expect(0, "Staged as batch 3")
        try await node("review", "accept", "3").expect(0, "20 rows are formal")
    }

    @Test func aTemplateThatCannotBeWrittenIsTold() async throws {
        let world = try World()
        let node = try await world.node("a")
        try await node("template", Self.form, "-o", world.path("no/such.xlsx")).expect(3, "was not written: No such file", "folder")
        try await node("template", Self.form, "-o", world.path("t.xlsx")).expect(0)
        try await node("import", Self.form, world.path("t.xlsx")).expect(3, "业务数据为空")
    }
}

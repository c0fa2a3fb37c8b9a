import Foundation
import Testing

@testable import Node
@testable import Shared

@Suite struct WorkbookTests {
    // MARK: Our own files

    @Test func exportedRowsComeBack() throws {
        let scratch = try Scratch()
        let path = scratch.path("out.xlsx")
        let rows = [
            ["张三", "110101199003074512", "001", ""], ["", "", "", ""],
            ["a\tb\nc\r\u{1}d\0", "_x000D_ _x005F_", " blank ", "=1+1 <&>\"'"],
            ["\u{FFFE}𠮷_", "_x12_x0041_", "_xZZZZ_", "last"],
        ]
        let writer = try WorkbookWriter(path: path, sheet: "教职工[基本]信息", header: ["姓名", "证件号", "代码", "备注"])
        for row in rows { try writer.append(row) }
        #expect(!FileManager.default.fileExists(atPath: path))
        try writer.close()

        let reader = try WorkbookReader(path: path)
        #expect(reader.sheetName == "教职工_基本_信息")
        let read = try reader.allRows()
        #expect(read.map(\.number) == [1, 2, 4, 5])
        #expect(read.dropFirst().map(\.shown) == [Array(rows[0].dropLast()), rows[2], rows[3]])
        #expect(try scratch.names() == ["out.xlsx"])
    }

    @Test func anUnfinishedOrImpossibleExportLeavesTheOldFile() throws {
        let scratch = try Scratch()
        let path = try scratch.write("out.xlsx", Data("old".utf8))
        do {
            let writer = try WorkbookWriter(path: path, sheet: "a", header: ["a", "b"])
            try writer.append(["1", "2"])
            #expect(throws: WorkbookError.textTooLong(path: path, cell: "B3")) {
                try writer.append(["", String(repeating: "长", count: 32_768)])
            }
        }
        #expect(try scratch.names() == ["out.xlsx"])

        // A disk that is always full, in place of the file under way.
        try FileManager.default.createSymbolicLink(atPath: path + ".partial", withDestinationPath: "/dev/full")
        let writer = try WorkbookWriter(path: path, sheet: "a", header: ["a"])
        let error = #expect(throws: WorkbookError.self) { try writer.close() }
        guard case .notWritten(path, _) = try #require(error) else { throw try #require(error) }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data("old".utf8))
        #expect(try scratch.names() == ["out.xlsx"])

        let nowhere = scratch.path("no/such/folder.xlsx")
        #expect(throws: WorkbookError.notWritten(path: nowhere, reason: "No such file or directory")) {
            try WorkbookWriter(path: nowhere, sheet: "a", header: ["a"])
        }
    }

    @Test func templateIsWhatASpreadsheetProgramExpects() async throws {
        let scratch = try Scratch()
        let path = scratch.path("模板.xlsx")
        let nations = (1...56).map { "\($0)-民族\($0)" }
        try TemplateWriter.write(
            path: path, title: "教职工基本信息",
            columns: [
                TemplateColumn(title: "姓名", isRequired: true, note: "与身份证一致\n不留空格"),
                TemplateColumn(title: "民族", isRequired: false, choices: nations),
                TemplateColumn(title: "性别", isRequired: true, choices: ["1-男", "2-女"]),
                TemplateColumn(title: "课时", isRequired: false, isText: false),
            ],
            exampleRow: ["张三", "1-民族1", "1-男", "12"], instructions: ["一、红色为必填项。", "二、勿改表头。"])
        let seen = try await scratch.python(
            """
            import openpyxl, sys
            b = openpyxl.load_workbook(sys.argv[1]); s = b.worksheets[0]; h = b['填写说明']
            print(b.sheetnames)
            print([c.value for c in s[1]], [c.font.color.rgb == 'FFFF0000' for c in s[1]])
            print(repr(s['A1'].comment.text), s['B1'].comment, s.freeze_panes)
            print([s.column_dimensions[c].number_format if c in s.column_dimensions else None for c in 'AD'])
            rules = s.data_validations.dataValidation
            print(sorted((str(v.sqref), v.type, v.formula1, v.showErrorMessage) for v in rules))
            c = b['代码']; print(c.max_row, c.max_column, c['A57'].value, c['B3'].value)
            print([[c.value for c in r if c.value] for r in h.iter_rows()])
            """, path)
        #expect(
            seen == """
                ['教职工基本信息', '代码', '填写说明']
                ['姓名', '民族', '性别', '课时'] [True, False, True, False]
                '与身份证一致\\n不留空格' None A2
                ['@', 'General']
                [('B2:B65536', 'list', '代码!$A$2:$A$57', True), ('C2:C65536', 'list', '代码!$B$2:$B$3', True)]
                57 2 56-民族56 2-女
                [['教职工基本信息'], ['一、红色为必填项。'], ['二、勿改表头。'], [], ['示例（请勿填在此表）'], \
                ['姓名', '民族', '性别', '课时'], ['张三', '1-民族1', '1-男', '12']]

                """)
        let reader = try WorkbookReader(path: path)
        #expect(try reader.allRows().map(\.shown) == [["姓名", "民族", "性别", "课时"]])
        #expect(try reader.otherSheetWithData() == nil, "the template's own sheets are no data")
        #expect(try reader.otherSheetWithData(ignoring: []) == "代码")
    }

    // MARK: openpyxl's files

    @Test func openpyxlValuesOfAllKinds() async throws {
        let scratch = try Scratch()
        let path = scratch.path("kinds.xlsx")
        try await scratch.python(
            """
            import openpyxl, sys, datetime as d
            b = openpyxl.Workbook(); s = b.active; s.title = '数据'
            s.append(['姓名', None, '生日'])
            s.append(['李四', None, d.date(1990, 3, 7), d.datetime(2024, 9, 1, 8, 30), True, False, 3, 68.9])
            s.append([]); s['A4'] = '   \\u3000'; s['C4'].font = openpyxl.styles.Font(bold=True)
            s['B6'] = '前 后 '
            s['C6'] = '=SUM(G2:H2)'; s['D6'] = '#N/A'; s['D6'].data_type = 'e'
            s['E6'] = 110101199003074512; s['F6'] = 41000; s['F6'].number_format = 'yyyy"年"m"月"d"日"'
            s['G6'] = 41000; s['G6'].number_format = '"day "0.00_d;[Red]yyyy'
            s['H6'] = 0.5; s['H6'].number_format = 'h:mm'
            s['A1000'].font = openpyxl.styles.Font(bold=True)
            b.save(sys.argv[1])
            """, path)
        let rows = try WorkbookReader(path: path).allRows()
        #expect(rows.map(\.number) == [1, 2, 6])
        #expect(rows[0].cells == [.text("姓名"), .empty, .text("生日")])
        #expect(rows[1].shown == ["李四", "", "1990-03-07", "2024-09-01", "TRUE", "FALSE", "3", "68.9"])
        guard case .date(let morning) = rows[1][3] else { throw Unexpected(rows[1][3]) }
        #expect(morning.secondOfDay == 8 * 3600 + 30 * 60)
        #expect(rows[1][7] == .number(68.90000000000001, raw: "68.90000000000001"))
        #expect(rows[2][1] == .text("前 后 "))
        #expect(rows[2][2] == .formulaWithoutResult && rows[2][2].shown == nil)
        #expect(rows[2][3] == .error("#N/A"))
        #expect(rows[2][4].hasLostDigits && !rows[2][5].hasLostDigits)
        #expect(rows[2][5].shown == "2012-04-01")
        #expect(rows[2][6] == .number(41000, raw: "41000"))
        #expect(rows[2][7] == .number(0.5, raw: "0.5"))
        #expect(rows[2][99] == .empty)
    }

    @Test func firstVisibleSheetInTheWorkbooksOrder() async throws {
        let scratch = try Scratch()
        let path = scratch.path("order.xlsx")
        try await scratch.python(
            """
            import openpyxl, sys
            from openpyxl.chart import BarChart
            b = openpyxl.Workbook(); b.active.title = 'old first'; b.active.append(['h']); b.active.append(['x'])
            b.create_sheet('hidden', 0).sheet_state = 'hidden'; b['hidden'].append(['h']); b['hidden'].append(['x'])
            b.create_sheet('new first', 1).append(['title'])
            b.create_chartsheet('chart', 1).add_chart(BarChart())
            b.active = 3; b.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
            b['new first']['C9'] = 0; b['new first']['C9'].number_format = 'yyyy-mm-dd'
            b.save(sys.argv[1])
            """, path)
        let reader = try WorkbookReader(path: path)
        #expect(reader.sheetName == "new first")
        #expect(try reader.allRows().map(\.shown) == [["title"], ["", "", "1904-01-01"]])
        #expect(try reader.otherSheetWithData() == "old first")
        #expect(try reader.otherSheetWithData(headerRows: 2) == nil)
    }

    // MARK: Files that other programs write

    @Test func prefixesRootedTargetsReadingsAndMissingReferences() async throws {
        let scratch = try Scratch()
        let path = try await scratch.zip([
            "_rels/.rels": Parts.relations(("r1", "officeDocument", "/book/Main.xml")),
            "book/main.xml": """
            <x:workbook xmlns:x="http://purl.oclc.org/ooxml/spreadsheetml/main" xmlns:q="urn:q"><x:sheets>
            <x:sheet name="A" sheetId="9" q:id="s"/></x:sheets></x:workbook>
            """,
            "book/_rels/Main.xml.rels": Parts.relations(
                ("t", "sharedStrings", "../texts.xml"), ("s", "worksheet", "./sheets/sheet7.xml")),
            "texts.xml": """
            <x:sst xmlns:x="u"><x:si><x:r><x:t>东</x:t></x:r><x:r><x:t xml:space="preserve"> 京</x:t></x:r>
            <x:rPh sb="0" eb="1"><x:t>とう</x:t></x:rPh></x:si>
            <x:si><x:t>a_x000D_b</x:t></x:si><x:si><x:t/></x:si></x:sst>
            """,
            "book\\sheets\\sheet7.xml": """
            <x:worksheet xmlns:x="u"><x:sheetData>
            <x:row><x:c t="s"><x:v>0</x:v></x:c><x:c/><x:c t="s"><x:v>1</x:v></x:c></x:row>
            <x:row r="7"><x:c r="B7" t="str"><x:f>A1</x:f><x:v>结果</x:v></x:c>
            <x:c t="d"><x:v>2024-02-29T00:00:00</x:v></x:c>
            <x:c t="s"><x:v>2</x:v></x:c></x:row></x:sheetData>
            <x:ext><x:row r="1"><x:c><x:v>1</x:v></x:c></x:row></x:ext>
            </x:worksheet>
            """,
        ])
        let rows = try WorkbookReader(path: path).allRows()
        #expect(rows.map(\.number) == [1, 7])
        #expect(rows.map(\.shown) == [["东 京", "", "a\rb"], ["", "结果", "2024-02-29"]])
    }

    @Test(arguments: [
        (1.0, false, "1900-01-01"), (59, false, "1900-02-28"), (60, false, nil), (61, false, "1900-03-01"),
        (0.75, false, nil), (-1, false, nil), (36_525, false, "1999-12-31"), (36_585, false, "2000-02-29"),
        (45_536, false, "2024-09-01"), (45_535.999_999, false, "2024-09-01"), (2_958_465, false, "9999-12-31"),
        (2_958_466, false, nil), (0, true, "1904-01-01"), (60, true, "1904-03-01"), (44_074, true, "2024-09-01"),
    ])
    func serialNumbersAreDays(serial: Double, is1904: Bool, iso: String?) {
        #expect(WorkbookDate(serial: serial, raw: "", is1904: is1904)?.iso == iso)
    }

    @Test(arguments: [
        ("yyyy\\-mm\\-dd", true), ("[$-804]yyyy\"年\"m\"月\"", true), ("[DBNum1]aaaa", false), ("m/d", true), ("D", true),
        ("General", false), ("0.00E+00", false), ("\"ymd\"0", false), ("[Red]0;yyyy", false), ("0_d\\m*y", false),
        ("G/通用格式", false), ("@", false), ("\"never closed", false), ("", false),
    ])
    func formatsThatShowDates(code: String, isDate: Bool) { #expect(DateFormats.isDate(code: code) == isDate) }

    @Test(arguments: [
        (68.900000000000006, "68.9"), (0.1 + 0.2, "0.3"), (-2, "-2"), (1.10101199003074e17, "110101199003074000"),
        (1e20, "1e+20"), (0, "0"), (-0.5, "-0.5"),
    ])
    func numbersAreShownAsInTheSheet(value: Double, shown: String) {
        #expect(WorkbookCell.number(value, raw: "").shown == shown)
    }

    @Test func columnNames() {
        for (column, name) in [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")] {
            #expect(WorkbookColumn.name(column) == name)
            #expect(WorkbookColumn.index(name.lowercased() + "12") == column)
        }
        #expect(
            WorkbookColumn.index("12") == nil && WorkbookColumn.index("ABCD1") == nil && WorkbookColumn.index("") == nil
        )
    }
}

// MARK: - What is refused

@Suite struct WorkbookRefusalTests {
    @Test func filesOfOtherKinds() async throws {
        let scratch = try Scratch()
        let ole = Data([0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) + Data(count: 700_000)
        // Lies across two of the pieces in which the file is searched.
        let encrypted =
            ole + Data(count: 348_560) + "EncryptedPackage".data(using: .utf16LittleEndian)! + Data(count: 99)
        let xls = try scratch.write("a.xls", ole), locked = try scratch.write("locked.xlsx", encrypted)
        #expect(problem(xls) == .oldFormat(path: xls))
        #expect(problem(locked) == .passwordProtected(path: locked))
        #expect(
            problem(locked)?.description
                == "\(locked) is protected with a password. Open it in Excel or WPS, save it without a password, "
                + "and import that file."
        )
        for (bytes, found) in [
            (Data(), "an empty file"), (Data("姓名,性别\n".utf8), "a text file (CSV?) with a spreadsheet's name"),
            (Data("<HTML><body>".utf8), "a web page with a spreadsheet's name"),
            (Data("<?xml ?><Workbook/>".utf8), "an XML file"),
            (Data("%PDF-1.7".utf8), "a PDF file"), (Data([1, 0, 2]), "of a kind that zzsync does not know"),
            (Data([0x50, 0x4B, 5, 6]) + Data(count: 18), "an empty zip file"),
        ] {
            let path = try scratch.write("b.xlsx", bytes)
            #expect(problem(path) == .notWorkbook(path: path, found: found))
        }
        let missing = scratch.path("none.xlsx")
        #expect(problem(missing) == .unreadable(path: missing, reason: "No such file or directory"))
        #expect(problem(scratch.path("")) == .unreadable(path: scratch.path(""), reason: "it is not a file"))
        let ods = try await scratch.zip(["content.xml": "<a/>"])
        #expect(
            problem(ods)
                == .notWorkbook(path: ods, found: "a zip file of another kind (an .ods, or a folder that was packed?)"))
        let xlsb = try await scratch.zip(["_rels/.rels": Parts.relations(("r", "officeDocument", "xl/workbook.bin"))])
        #expect(problem(xlsb) == .notWorkbook(path: xlsb, found: "a binary .xlsb workbook"))
        let docx = try await scratch.zip([
            "_rels/.rels": Parts.relations(("r", "officeDocument", "word/document.xml")),
            "word/document.xml": "<document/>",
        ])
        #expect(
            problem(docx)
                == .notWorkbook(path: docx, found: "another kind of Office document, with a spreadsheet's name"))
    }

    @Test func aFileCutOffAnywhereIsNeverTakenForWhole() throws {
        let scratch = try Scratch()
        let whole = try sample(scratch)
        for length in stride(from: 4, to: whole.count, by: 37) {
            let path = try scratch.write("cut.xlsx", whole.prefix(length))
            guard case .damaged(let place, _) = problem(path) else { throw Unexpected(length) }
            #expect(place.path == path)
        }
    }

    @Test func aFlippedByteNeverCrashesAndNeverChangesAValueUnseen() throws {
        let scratch = try Scratch()
        let whole = try sample(scratch)
        let rows = try WorkbookReader(path: scratch.path("whole.xlsx")).allRows()
        for at in stride(from: 0, to: whole.count, by: 11) {
            var bytes = whole
            bytes[at] ^= 0x10
            let path = try scratch.write("flip.xlsx", bytes)
            guard let read = try? WorkbookReader(path: path).allRows() else { continue }
            #expect(read == rows, "byte \(at)")  // in a date or a flag of the zip, which nobody reads
        }
    }

    @Test func brokenXMLIsNamedWithPartAndPosition() async throws {
        let scratch = try Scratch()
        let cases: [(sheet: String, line: Int, column: Int, reason: String)] = [
            ("<worksheet>\n<sheetData><row></c>", 2, 19, "mismatched tag"),
            ("<worksheet>\n<sheetData>", 2, 12, "no element found"),
            ("<worksheet><sheetData>\n<row r=\"2\"/>\n<row r=\"2\"/>", 3, 1, "row 2 follows row 2"),
            ("<worksheet><sheetData><row r=\"-1\"/>", 1, 23, "row -1 follows row 0"),
            ("<worksheet><sheetData><row><c t=\"s\"><v>4</v></c>", 1, 45, "cell A1 names text 4 of 0"),
            ("<worksheet><sheetData><row><c><v>1e999</v></c>", 1, 43, "cell A1 holds the number '1e999'"),
            ("<worksheet><sheetData><row><c r=\"7\"/>", 1, 28, "a cell has the name '7'"),
        ]
        for (sheet, line, column, reason) in cases {
            let path = try await scratch.zip(Parts.book(sheet: sheet))
            let place = WorkbookPlace(path: path, part: "xl/worksheets/sheet1.xml", line: line, column: column)
            #expect(problem(path) == .damaged(place, reason: reason))
        }
        let path = try await scratch.zip(Parts.book(sheet: cases[0].sheet))
        let reader = try WorkbookReader(path: path)
        let first = try #require(#expect(throws: WorkbookError.self) { try reader.nextRow() })
        #expect(
            first.description == """
                \(path), part xl/worksheets/sheet1.xml, line 2, column 19 is damaged: mismatched tag. \
                Copy it again from where it came, or open it in Excel or WPS and save it anew.
                """)
        #expect(throws: first) { try reader.nextRow() }
    }

    @Test func doctypeIsRefusedInEveryPart() async throws {
        let scratch = try Scratch()
        for part in ["_rels/.rels", "xl/workbook.xml", "xl/worksheets/sheet1.xml"] {
            var parts = Parts.book(sheet: "<worksheet/>")
            parts[part] = "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>" + (parts[part] ?? "")
            let path = try await scratch.zip(parts)
            guard case .doctype(let place) = problem(path) else { throw Unexpected(part) }
            #expect(place.part == part)
        }
    }

    @Test func bombsAndOverlongThingsAreRefused() async throws {
        let scratch = try Scratch()
        var limits = WorkbookLimits()
        limits.partBytesMax = 300_000
        limits.ratioFloorBytes = 100_000
        limits.tagBytesMax = 90_000
        limits.cellBytesMax = 1000
        limits.columnsMax = 100
        let blanks = String(repeating: " ", count: 400_000)
        var noise = SystemRandomNumberGenerator()
        let packsBadly = (0..<20_000).map { _ in "<e a=\"\(noise.next())\"/>" }.joined()
        let long = String(repeating: "x", count: 1001)
        for (sheet, word) in [
            ("<worksheet>" + blanks + "</worksheet>", "200 times"),
            ("<worksheet>" + packsBadly + "</worksheet>", "300000 bytes"),
            (
                "<worksheet a=\"" + blanks.prefix(200_000) + packsBadly.utf8.map { String($0) }.joined().prefix(90_000),
                "a tag"
            ),
            ("<worksheet><sheetData><row><c t=\"inlineStr\"><is><t>\(long)</t></is></c>", "a text of more than 1000"),
            ("<worksheet><sheetData><row><c><v>\(long)</v></c>", "a value of more than 1000"),
            ("<worksheet><sheetData><row><c r=\"CW1\"><v>1</v></c>", "column CW"),
        ] {
            let path = try await scratch.zip(Parts.book(sheet: sheet))
            guard case .tooLarge(_, let what) = problem(path, limits) else {
                throw Unexpected(problem(path, limits) as Any)
            }
            #expect(what.contains(word))
        }
        limits.fileBytesMax = 10
        guard case .tooLarge = problem(try await scratch.zip(Parts.book(sheet: "")), limits) else {
            throw Unexpected("file")
        }
    }

    @Test func noSheetAndMissingParts() async throws {
        let scratch = try Scratch()
        var parts = Parts.book(sheet: "<worksheet/>")
        parts["xl/workbook.xml"] = "<workbook><sheets/></workbook>"
        let empty = try await scratch.zip(parts)
        #expect(problem(empty) == .noSheet(path: empty))
        for part in ["xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/worksheets/sheet1.xml"] {
            parts = Parts.book(sheet: "<worksheet/>")
            parts[part] = nil
            let path = try await scratch.zip(parts)
            #expect(problem(path) == .damaged(WorkbookPlace(path: path, part: part), reason: "the part is missing"))
        }
    }

    private func problem(_ path: String, _ limits: WorkbookLimits = WorkbookLimits()) -> WorkbookError? {
        do throws(WorkbookError) {
            let reader = try WorkbookReader(path: path, limits: limits)
            while try reader.nextRow() != nil {}
            return nil
        } catch { return error }
    }

    private func sample(_ scratch: Scratch) throws -> Data {
        let path = scratch.path("whole.xlsx")
        let writer = try WorkbookWriter(path: path, sheet: "a", header: ["姓名", "代码"])
        for row in 0..<40 { try writer.append(["名\(row * 7919)", "\(row)"]) }
        try writer.close()
        return try Data(contentsOf: URL(fileURLWithPath: path))
    }
}

// MARK: - Help

private struct Unexpected: Error {
    let value: Any
    init(_ value: Any) { self.value = value }
}

extension Unexpected: @unchecked Sendable {}  // only printed

extension WorkbookReader {
    fileprivate func allRows() throws -> [WorkbookRow] {
        var rows: [WorkbookRow] = []
        while let row = try nextRow() { rows.append(row) }
        return rows
    }
}

extension WorkbookRow {
    fileprivate var shown: [String] { cells.map { $0.shown ?? "?" } }
}

/// The parts of the smallest workbook that can be read.
private enum Parts {
    static func relations(_ list: (id: String, type: String, target: String)...) -> String {
        "<Relationships>"
            + list.map { "<Relationship Id=\"\($0.id)\" Type=\"http://x/\($0.type)\" Target=\"\($0.target)\"/>" }
            .joined()
            + "</Relationships>"
    }

    static func book(sheet: String) -> [String: String] {
        [
            "_rels/.rels": relations(("r1", "officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml":
                "<workbook xmlns:r=\"urn:r\"><sheets><sheet name=\"a\" r:id=\"r1\"/></sheets></workbook>",
            "xl/_rels/workbook.xml.rels": relations(("r1", "worksheet", "worksheets/sheet1.xml")),
            "xl/worksheets/sheet1.xml": sheet,
        ]
    }
}

/// A folder of one test's own, gone with it.
private final class Scratch: Sendable {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("zzsync-workbook-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(at: folder) }

    func path(_ name: String) -> String { folder.path + "/" + name }
    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path) }
    func write(_ name: String, _ data: Data) throws -> String {
        try data.write(to: URL(fileURLWithPath: path(name)))
        return path(name)
    }

    func zip(_ parts: [String: String]) async throws -> String {
        let list = try write("parts.json", JSONEncoder().encode(parts))
        let result = path("\(UUID().uuidString).xlsx")
        try await python(
            """
            import json, sys, zipfile
            z = zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED)
            for name, text in json.load(open(sys.argv[1])).items(): z.writestr(name, text)
            z.close()
            """, list, result)
        return result
    }

    /// Runs Debian's Python, which has openpyxl, and gives what it printed.
    @discardableResult
    func python(_ script: String, _ arguments: String...) async throws -> String {
        let output = path("output-\(UUID().uuidString)")
        try Data().write(to: URL(fileURLWithPath: output))
        defer { try? FileManager.default.removeItem(atPath: output) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-X", "utf8", "-c", script] + arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = process.standardOutput
        // Waiting for it must not hold one of the two threads that all tests share.
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in done.resume() }
            do { try process.run() } catch {
                process.terminationHandler = nil
                done.resume(throwing: error)
            }
        }
        let printed = try String(contentsOfFile: output, encoding: .utf8)
        guard process.terminationStatus == 0 else { throw Unexpected(printed) }
        return printed
    }
}

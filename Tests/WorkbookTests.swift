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

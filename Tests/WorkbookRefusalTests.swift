import Foundation
import Testing

@testable import Node
@testable import Shared

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

// What the tests of workbooks share: parts of a file written by hand, and other programs' files.

import Foundation

@testable import Shared

struct Unexpected: Error {
    let value: Any
    init(_ value: Any) { self.value = value }
}

extension Unexpected: @unchecked Sendable {}  // only printed

extension WorkbookReader {
    func allRows() throws -> [WorkbookRow] {
        var rows: [WorkbookRow] = []
        while let row = try nextRow() { rows.append(row) }
        return rows
    }
}

extension WorkbookRow {
    var shown: [String] { cells.map { $0.shown ?? "?" } }
}

/// The parts of the smallest workbook that can be read.
enum Parts {
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
final class Scratch: Sendable {
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
        let ended = try await Programs.run(Programs.python, ["-X", "utf8", "-c", script] + arguments)
        guard ended.code == 0 else { throw Unexpected(ended.out + ended.err) }
        return ended.out
    }
}

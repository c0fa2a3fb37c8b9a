import CWorkbook
import Glibc

/// A workbook under way to the disk, through libxlsxwriter. Owned by one task.
///
/// It is written beside its path and renamed at the end, so that a full disk leaves the old file whole. The library
/// does not check its writes to temporary files, so `close` reads the file back before it calls it written.
final class WorkbookFile {
    let path: String
    private let partialPath: String
    private var book: UnsafeMutablePointer<lxw_workbook>?

    /// - Parameter isStreamed: rows come in order and leave memory at once; no cell can be written twice.
    init(path: String, isStreamed: Bool = false) throws(WorkbookError) {
        self.path = path
        partialPath = path + ".partial"
        // The library opens the file at the very end; a wrong folder is better told now.
        let file = open(partialPath, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .notWritten(path: path, reason: String(cString: strerror(errno))) }
        Glibc.close(file)
        var options = lxw_workbook_options()
        options.constant_memory = isStreamed ? 1 : 0
        book = workbook_new_opt(partialPath, &options)
        guard book != nil else { throw .notWritten(path: path, reason: "no memory") }
    }

    /// Left without `close`: nothing was written.
    deinit {
        guard let book else { return }
        lxw_workbook_free(book)
        unlink(partialPath)
    }

    func addSheet(_ name: String) throws(WorkbookError) -> UnsafeMutablePointer<lxw_worksheet> {
        guard let sheet = workbook_add_worksheet(book, name) else {
            throw .notWritten(path: path, reason: "no sheet can be named '\(name)'")
        }
        return sheet
    }

    func addFormat() -> UnsafeMutablePointer<lxw_format> {
        guard let format = workbook_add_format(book) else { fatalError("out of memory") }
        return format
    }

    func check(_ result: lxw_error) throws(WorkbookError) {
        guard result == LXW_NO_ERROR else {
            throw .notWritten(path: path, reason: String(cString: lxw_strerror(result)))
        }
    }

    /// An empty text writes nothing: the column's format is enough.
    func write(
        _ text: String, row: Int, column: Int, to sheet: UnsafeMutablePointer<lxw_worksheet>,
        _ format: UnsafeMutablePointer<lxw_format>? = nil
    ) throws(WorkbookError) {
        if text.isEmpty { return }
        let result = worksheet_write_string(sheet, UInt32(row), UInt16(column), CellText.encoded(text), format)
        if result == LXW_ERROR_MAX_STRING_LENGTH_EXCEEDED {
            throw .textTooLong(path: path, cell: "\(WorkbookColumn.name(column))\(row + 1)")
        }
        try check(result)
    }

    /// - Parameter rows: how many rows of the first sheet hold a value.
    func close(expectingRows rows: Int) throws(WorkbookError) {
        precondition(book != nil, "closed twice")
        let result = workbook_close(book)  // frees it whatever the result
        book = nil
        do throws(WorkbookError) {
            try check(result)
            try readBack(expectingRows: rows)
            guard rename(partialPath, path) == 0 else {
                throw .notWritten(path: path, reason: String(cString: strerror(errno)))
            }
        } catch {
            unlink(partialPath)
            throw error
        }
    }

    private func readBack(expectingRows rows: Int) throws(WorkbookError) {
        var found = 0
        do throws(WorkbookError) {
            let reader = try WorkbookReader(path: partialPath, limits: .ownFile)
            while try reader.nextRow() != nil { found += 1 }
        } catch {
            throw .notWritten(path: path, reason: "it could not be read back (\(error.what))")
        }
        guard found == rows else {
            throw .notWritten(path: path, reason: "\(rows) rows were written and \(found) read back")
        }
    }

    /// What a sheet may be called: at most 31 characters, none of `[]:*?/\`, no apostrophe at an end.
    static func sheetName(_ wanted: String) -> String {
        let refused = Set("[]:*?/\\".unicodeScalars)
        var name = ""
        for scalar in wanted.unicodeScalars.prefix(31) {
            name.unicodeScalars.append(refused.contains(scalar) ? "_" : scalar)
        }
        while name.hasPrefix("'") { name.removeFirst() }
        while name.hasSuffix("'") { name.removeLast() }
        return name.isEmpty ? "Sheet1" : name
    }
}

import CWorkbook

/// Exports a table: one sheet, a header, rows of texts. Rows leave memory as they come; owned by one task.
///
/// Every cell is text, so that ID numbers keep all their digits and codes their zeros, and no value becomes a formula.
package final class WorkbookWriter {
    private let file: WorkbookFile
    private let sheet: UnsafeMutablePointer<lxw_worksheet>
    private let text: UnsafeMutablePointer<lxw_format>
    private let columnCount: Int
    private var rowCount = 0
    /// Rows that a reader will see.
    private var valueRowCount = 0

    /// - Parameter sheet: its name; characters that Excel refuses become `_`.
    package init(path: String, sheet name: String, header: [String]) throws(WorkbookError) {
        precondition(
            !header.isEmpty && header.count <= WorkbookLimits.excelColumnsMax, "a header has 1 to 16384 columns")
        file = try WorkbookFile(path: path, isStreamed: true)
        sheet = try file.addSheet(WorkbookFile.sheetName(name))
        text = file.addFormat()
        columnCount = header.count
        format_set_num_format(text, "@")
        let bold = file.addFormat()
        format_set_bold(bold)
        format_set_num_format(bold, "@")
        worksheet_freeze_panes(sheet, 1, 0)
        for (column, title) in header.enumerated() {
            try file.check(worksheet_set_column(sheet, UInt16(column), UInt16(column), SheetLayout.width(title), text))
        }
        try write(header, bold)
    }

    /// - Throws: `.textTooLong`, and `.notWritten` beyond the 1048576 rows of a sheet; nothing is kept then.
    package func append(_ row: [String]) throws(WorkbookError) {
        precondition(row.count <= columnCount, "a row has more cells than the header")
        try write(row, text)
    }

    /// Nothing stands at the path before this returns.
    package func close() throws(WorkbookError) { try file.close(expectingRows: valueRowCount) }

    private func write(_ row: [String], _ format: UnsafeMutablePointer<lxw_format>) throws(WorkbookError) {
        guard rowCount < WorkbookLimits.excelRowsMax else {
            throw .notWritten(path: file.path, reason: "a sheet ends at row \(WorkbookLimits.excelRowsMax)")
        }
        for (column, value) in row.enumerated() {
            try file.write(value, row: rowCount, column: column, to: sheet, format)
        }
        if row.contains(where: { !WorkbookCell.text($0).isBlank }) { valueRowCount += 1 }
        rowCount += 1
    }
}

enum SheetLayout {
    /// A column that shows its title: a Chinese character is as wide as two digits.
    static func width(_ title: String) -> Double {
        let digits = title.unicodeScalars.reduce(2) { $0 + ($1.isASCII ? 1 : 2) }
        return Double(min(40, max(10, digits)))
    }
}

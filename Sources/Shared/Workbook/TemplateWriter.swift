import CWorkbook

/// One column of an import template.
package struct TemplateColumn: Sendable {
    /// The import finds the column by it.
    package let title: String
    package let isRequired: Bool
    /// Shown as the comment of the title cell; empty for none.
    package let note: String
    /// Offered as a drop-down list; empty for none.
    package let choices: [String]
    /// `false` only where a person must be able to calculate.
    package let isText: Bool

    package init(title: String, isRequired: Bool, note: String = "", choices: [String] = [], isText: Bool = true) {
        self.title = title
        self.isRequired = isRequired
        self.note = note
        self.choices = choices
        self.isText = isText
    }
}

/// Writes the empty workbook that a school fills in: titles on the first sheet (required ones red), the lists behind
/// the drop-downs on 代码, what to mind and an example row on 填写说明.
package enum TemplateWriter {
    package static let codesSheet = "代码"
    package static let instructionsSheet = "填写说明"
    /// Rows that drop-downs reach. Whole columns would do too, but make WPS slow.
    private static let lastRow: UInt32 = 65_535

    /// - Parameter title: the first sheet's name, and the heading of 填写说明.
    /// - Parameter exampleRow: one text a column, shown on 填写说明 only, so that nobody imports it.
    package static func write(
        path: String, title: String, columns: [TemplateColumn], exampleRow: [String], instructions: [String]
    ) throws(WorkbookError) {
        precondition(
            !columns.isEmpty && exampleRow.count <= columns.count, "an example has a text for each column at most")
        let file = try WorkbookFile(path: path)
        let main = try file.addSheet(WorkbookFile.sheetName(title))
        try writeMain(file, main, columns)
        try writeCodes(file, main, columns)
        try writeInstructions(file, title: title, columns, exampleRow, instructions)
        try file.close(expectingRows: 1)
    }

    private static func writeMain(
        _ file: WorkbookFile, _ sheet: UnsafeMutablePointer<lxw_worksheet>, _ columns: [TemplateColumn]
    ) throws(WorkbookError) {
        let text = file.addFormat()
        format_set_num_format(text, "@")
        let (optional, required) = (headerFormat(file), headerFormat(file))
        format_set_font_color(required, LXW_COLOR_RED.rawValue)
        for (index, column) in columns.enumerated() {
            let at = UInt16(index)
            try file.check(
                worksheet_set_column(sheet, at, at, SheetLayout.width(column.title), column.isText ? text : nil))
            try file.write(column.title, row: 0, column: index, to: sheet, column.isRequired ? required : optional)
            if !column.note.isEmpty { try writeNote(column.note, file, sheet, at) }
        }
        worksheet_freeze_panes(sheet, 1, 0)
        // Codes are meant to be texts: no green corners.
        let used = "A1:\(WorkbookColumn.name(columns.count - 1))\(lastRow + 1)"
        try file.check(worksheet_ignore_errors(sheet, UInt8(LXW_IGNORE_NUMBER_STORED_AS_TEXT.rawValue), used))
    }

    private static func headerFormat(_ file: WorkbookFile) -> UnsafeMutablePointer<lxw_format> {
        let format = file.addFormat()
        format_set_bold(format)
        format_set_num_format(format, "@")
        format_set_bg_color(format, 0xE7E6E6)
        format_set_border(format, UInt8(LXW_BORDER_THIN.rawValue))
        return format
    }

    private static func writeNote(
        _ note: String, _ file: WorkbookFile, _ sheet: UnsafeMutablePointer<lxw_worksheet>, _ column: UInt16
    ) throws(WorkbookError) {
        var options = lxw_comment_options()
        options.width = 280
        // About 20 Chinese characters a line.
        let lines = note.split(separator: "\n", omittingEmptySubsequences: false).reduce(1) { $0 + 1 + $1.count / 20 }
        options.height = UInt16(min(600, 20 * lines))
        try file.check(worksheet_write_comment_opt(sheet, 0, column, note, &options))
    }

    /// A list that stands in the rule itself is limited to 255 characters, hence the second sheet.
    private static func writeCodes(
        _ file: WorkbookFile, _ main: UnsafeMutablePointer<lxw_worksheet>, _ columns: [TemplateColumn]
    ) throws(WorkbookError) {
        guard columns.contains(where: { !$0.choices.isEmpty }) else { return }
        let sheet = try file.addSheet(codesSheet)
        let bold = headerFormat(file)
        var codesColumn = 0
        for (index, column) in columns.enumerated() where !column.choices.isEmpty {
            let at = UInt16(codesColumn)
            try file.check(worksheet_set_column(sheet, at, at, SheetLayout.width(column.title), nil))
            try file.write(column.title, row: 0, column: codesColumn, to: sheet, bold)
            for (row, choice) in column.choices.enumerated() {
                try file.write(choice, row: row + 1, column: codesColumn, to: sheet)
            }
            let name = WorkbookColumn.name(codesColumn)
            let list = "=\(codesSheet)!$\(name)$2:$\(name)$\(column.choices.count + 1)"
            try file.check(addDropDown(main, column: UInt16(index), list: list))
            codesColumn += 1
        }
    }

    private static func addDropDown(
        _ sheet: UnsafeMutablePointer<lxw_worksheet>, column: UInt16, list: String
    ) -> lxw_error {
        list.withCString { list in
            "不在代码表中".withCString { title in
                "请从下拉列表中选择，或照“代码”表填写。".withCString { message in
                    var rule = lxw_data_validation()
                    rule.validate = UInt8(LXW_VALIDATION_TYPE_LIST_FORMULA.rawValue)
                    // The library copies the texts before it returns, and changes none.
                    rule.value_formula = UnsafeMutablePointer(mutating: list)
                    rule.error_title = UnsafeMutablePointer(mutating: title)
                    rule.error_message = UnsafeMutablePointer(mutating: message)
                    return worksheet_data_validation_range(sheet, 1, column, lastRow, column, &rule)
                }
            }
        }
    }

    private static func writeInstructions(
        _ file: WorkbookFile, title: String, _ columns: [TemplateColumn], _ example: [String], _ lines: [String]
    ) throws(WorkbookError) {
        let sheet = try file.addSheet(instructionsSheet)
        let bold = file.addFormat()
        format_set_bold(bold)
        try file.write(title, row: 0, column: 0, to: sheet, bold)
        var row = 1
        for line in lines {
            try file.write(line, row: row, column: 0, to: sheet)
            row += 1
        }
        guard !example.isEmpty else { return }
        try file.write("示例（请勿填在此表）", row: row + 1, column: 0, to: sheet, bold)
        let (plain, required) = (headerFormat(file), headerFormat(file))
        format_set_font_color(required, LXW_COLOR_RED.rawValue)
        for (index, column) in columns.enumerated() {
            try file.write(column.title, row: row + 2, column: index, to: sheet, column.isRequired ? required : plain)
        }
        for (index, value) in example.enumerated() { try file.write(value, row: row + 3, column: index, to: sheet) }
    }
}

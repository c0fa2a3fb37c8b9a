// A workbook with ministry-style headings → typed rows of a form, with every error of the file in one pass.

/// What is wrong with one place of a workbook.
package struct ImportProblem: Codable, Hashable, Sendable {
    /// Row as the spreadsheet program counts; 0 for the file as a whole.
    package var line: Int
    /// Cell ("C12") or heading.
    package var place: String
    package var message: String
    package var fix: String
    package var level: String
    package init(line: Int, place: String, message: String, fix: String, level: String) {
        self.line = line
        self.place = place
        self.message = message
        self.fix = fix
        self.level = level
    }
}

package struct ImportedRow: Sendable {
    package var line: Int
    /// Field index → value; only filled cells.
    package var values: [Int: Value]
    /// Fields whose column is missing or whose cell could not be read: said once, where it was found.
    package var unread: Set<Int> = []
    /// The school's code, in a workbook of several schools.
    package var school: String?
    package init(line: Int, values: [Int: Value], unread: Set<Int> = [], school: String? = nil) {
        self.line = line
        self.values = values
        self.unread = unread
        self.school = school
    }
}

package struct WorkbookRows {
    /// The ministry's own limit for one workbook.
    package static let rowsMax = 5_000
    /// The heading of the column that says which school a row belongs to.
    package static let schoolColumn = "学校标识码"

    let form: Form
    let normaliser: Normaliser
    package private(set) var rows: [ImportedRow] = []
    package private(set) var problems: [ImportProblem] = []
    private var columnOf: [Int: Int] = [:]        // field → column
    private var choiceColumns: [(field: ChoiceField, column: Int)] = []
    private var missing: Set<Int> = []
    private let isRouted: Bool
    private var routeColumn: Int?

    /// - Parameter isRouted: the rows belong to several schools, each named by its code.
    package init(form: Form, catalogue: Catalogue, isRouted: Bool = false) {
        self.form = form
        self.isRouted = isRouted
        normaliser = Normaliser(catalogue: catalogue)
    }

    /// Reads the whole first sheet.
    ///
    /// - Throws: `Failure(.refused)` for a file that is no usable workbook of this form at all (broken, protected, no data,
    ///   too many rows, headings that do not belong); problems of single cells are collected in `problems`.
    package mutating func read(path: String) throws(Failure) {
        do throws(WorkbookError) {
            let reader = try WorkbookReader(path: path)
            guard let header = try reader.nextRow() else { throw try empty(reader, path) }
            headings(header)
            if columnOf.isEmpty {
                problems = [
                    ImportProblem(
                        line: header.number, place: "第\(header.number)行", message: "没有一个列标题属于“\(form.title)”",
                        fix: "请用 zzsync template \(form.id) 生成模板，保留第一行标题", level: "error")
                ]
                return
            }
            while let row = try reader.nextRow() {
                if rows.count == Self.rowsMax { return try tooMany(reader) }
                take(row)
            }
            if rows.isEmpty { throw try empty(reader, path) }
        } catch {
            throw error.failure
        }
    }

    private func empty(_ reader: WorkbookReader, _ path: String) throws(WorkbookError) -> WorkbookError {
        .noRows(path: path, sheet: reader.sheetName, other: try reader.otherSheetWithData())
    }

    private mutating func tooMany(_ reader: WorkbookReader) throws(WorkbookError) {
        var count = Self.rowsMax + 1
        while try reader.nextRow() != nil { count += 1 }
        rows = []
        problems = [
            ImportProblem(
                line: 0, place: "", message: "最多\(Self.rowsMax)行，文件有\(count)行", fix: "请拆分为多个文件，分别导入", level: "error")
        ]
    }

    // MARK: headings

    private mutating func headings(_ header: WorkbookRow) {
        var titles: [String: Int] = [:]
        for (column, cell) in header.cells.enumerated() where !cell.isBlank {
            let title = clean(cell.shown ?? "")
            let place = "\(WorkbookColumn.name(column))\(header.number)"
            if isRouted, title == Self.schoolColumn { routeColumn = column }
            if titles.updateValue(column, forKey: title) != nil {
                problem(header.number, place, "列标题“\(title)”重复", "请删除多余的一列")
            } else if let field = form.fields.firstIndex(where: { $0.title == title || $0.id == title }) {
                columnOf[field] = column
            } else if let choice = form.choiceField(named: title) {
                choiceColumns.append((choice, column))
            } else if column != routeColumn {
                let near = nearest(title, among: form.fields.map(\.title) + form.choiceFields.map(\.title))
                problem(
                    header.number, place, "“\(title)”不是\(form.title)的列标题",
                    near.map { "是否应为“\($0)”？" } ?? "请按模板改正列标题，或删除这一列")
            }
        }
        for choice in form.choiceFields where choice.required && !choiceColumns.contains(where: { $0.field.id == choice.id }) {
            missing.formUnion(choice.flags.map(\.field))
            problem(header.number, "第\(header.number)行", "缺少必填列“\(choice.title)”", "请在第一行加上这一列")
        }
        for (index, field) in form.fields.enumerated() where columnOf[index] == nil && isNeeded(index) {
            missing.insert(index)
            problem(header.number, "第\(header.number)行", "缺少必填列“\(field.title)”", "请在第一行加上这一列")
        }
    }

    private func isNeeded(_ field: Int) -> Bool { form.fields[field].required || form.key.contains(field) }

    private func clean(_ title: String) -> String {
        String(title.filter { !$0.isWhitespace && $0 != "*" && $0 != "＊" })
    }

    // MARK: rows

    private mutating func take(_ row: WorkbookRow) {
        var values: [Int: Value] = [:]
        var unread = missing
        for (field, column) in columnOf {
            let cell = row[column]
            if cell.isBlank { continue }
            let place = "\(WorkbookColumn.name(column))\(row.number)"
            do throws(EntryProblem) {
                let value = try self.value(cell, form.fields[field])
                if value != .null { values[field] = value }
            } catch {
                problem(row.number, place, error.message, error.fix)
                unread.insert(field)
            }
        }
        for (choice, column) in choiceColumns where !row[column].isBlank {
            do throws(EntryProblem) {
                values.merge(try choice.values(row[column].shown ?? "")) { _, new in new }
            } catch {
                problem(row.number, "\(WorkbookColumn.name(column))\(row.number)", error.message, error.fix)
                unread.formUnion(choice.flags.map(\.field))
            }
        }
        let school = routeColumn.flatMap { row[$0].shown }.map { clean($0) }.flatMap { $0.isEmpty ? nil : $0 }
        rows.append(ImportedRow(line: row.number, values: values, unread: unread, school: school))
    }

    private func value(_ cell: WorkbookCell, _ field: Field) throws(EntryProblem) -> Value {
        guard let shown = cell.shown else {
            throw EntryProblem(message: "\(field.title)是出错或没有结果的公式", fix: "请改为直接填写的值")
        }
        if case .number = cell, [.idNumber, .phone].contains(field.type) || (field.type == .text && cell.hasLostDigits) {
            throw EntryProblem(
                message: "\(field.title)是数字格式的单元格，Excel会丢失末尾的数字",
                fix: "请把这一列设为文本格式后重新录入，不要粘贴数字")
        }
        return try normaliser.value(shown, for: field)
    }

    private mutating func problem(_ line: Int, _ place: String, _ message: String, _ fix: String) {
        problems.append(ImportProblem(line: line, place: place, message: message, fix: fix, level: "error"))
    }
}

/// Turns a sheet's XML into rows. Rows wait in `rows` until the reader takes them.
final class SheetHandler: XMLHandler {
    private(set) var rows: [WorkbookRow] = []

    private let index: WorkbookIndex
    private let limits: WorkbookLimits
    private var isInData = false
    private var rowNumber = 0
    private var cells: [WorkbookCell] = []

    // The cell being read.
    private var column = -1
    private var type = ""
    private var isDate = false
    private var hasFormula = false
    private var isInValue = false
    private var value: [UInt8] = []
    private var inline: RichText?

    init(_ index: WorkbookIndex, _ limits: WorkbookLimits) {
        self.index = index
        self.limits = limits
    }

    func takeRows() -> [WorkbookRow] {
        defer { rows = [] }
        return rows
    }

    func start(_ name: String, _ attributes: XMLAttributes) throws(WorkbookProblem) {
        guard isInData else {
            isInData = name == "sheetData"
            return
        }
        switch name {
        case "row": try startRow(attributes)
        case "c": try startCell(attributes)
        case "v": isInValue = true
        case "f": hasFormula = true
        case "is": inline = RichText(bytesMax: limits.cellBytesMax)
        default: inline?.start(name)
        }
    }

    func end(_ name: String) throws(WorkbookProblem) {
        guard isInData else { return }
        switch name {
        case "sheetData": isInData = false
        case "row": endRow()
        case "c": try endCell()
        case "v": isInValue = false
        default: inline?.end(name)
        }
    }

    func text(_ piece: UnsafeBufferPointer<UInt8>) throws(WorkbookProblem) {
        if isInValue {
            guard value.count + piece.count <= limits.cellBytesMax else {
                throw .tooLarge("a value of more than \(limits.cellBytesMax) bytes in one cell, which is the limit")
            }
            value.append(contentsOf: piece)
        } else {
            try inline?.append(piece)
        }
    }

    /// Numbers may be left out: a row or cell without one follows the one before.
    private func startRow(_ attributes: XMLAttributes) throws(WorkbookProblem) {
        let number: Int
        if let written = attributes["r"] {
            guard let parsed = Int(written) else { throw .damaged("a row has the number '\(written)'") }
            number = parsed
        } else {
            number = rowNumber + 1
        }
        guard number > rowNumber, number <= WorkbookLimits.excelRowsMax else {
            throw .damaged("row \(number) follows row \(rowNumber)")
        }
        rowNumber = number
        column = -1
    }

    private func startCell(_ attributes: XMLAttributes) throws(WorkbookProblem) {
        if let reference = attributes["r"] {
            guard let parsed = WorkbookColumn.index(reference) else {
                throw .damaged("a cell has the name '\(reference)'")
            }
            column = parsed
        } else {
            column += 1
        }
        guard column < WorkbookLimits.excelColumnsMax else {
            throw .damaged("row \(rowNumber) has more than 16384 cells")
        }
        type = attributes["t"] ?? "n"
        let style = attributes["s"].flatMap { Int($0) } ?? 0
        isDate = index.dateStyles.indices.contains(style) && index.dateStyles[style]
        hasFormula = false
        value.removeAll(keepingCapacity: true)
        inline = nil
    }

    private func endCell() throws(WorkbookProblem) {
        let cell = try finishedCell()
        inline = nil
        if cell == .empty { return }
        guard column < limits.columnsMax else {
            throw .tooLarge(
                "a value in column \(WorkbookColumn.name(column)), and the limit is \(limits.columnsMax) columns")
        }
        while cells.count <= column { cells.append(.empty) }
        cells[column] = cell
    }

    private func endRow() {
        if cells.contains(where: { !$0.isBlank }) { rows.append(WorkbookRow(number: rowNumber, cells: cells)) }
        cells = []
    }

    private func finishedCell() throws(WorkbookProblem) -> WorkbookCell {
        switch type {
        case "inlineStr": return Self.text(inline?.take() ?? "")
        // A formula may well result in an empty text; there is then a `t="str"` and no value.
        case "str": return Self.text(CellText.decoded(value))
        default: break
        }
        if value.isEmpty { return hasFormula ? .formulaWithoutResult : .empty }
        let raw = String(decoding: value, as: UTF8.self)
        switch type {
        case "s":
            guard let at = Int(raw), index.strings.indices.contains(at) else {
                throw .damaged(
                    "cell \(WorkbookColumn.name(column))\(rowNumber) names text \(raw) of \(index.strings.count)")
            }
            return Self.text(index.strings[at])
        case "b": return .boolean(raw == "1" || raw == "true")
        case "e": return .error(raw)
        case "d": return WorkbookDate(iso: raw).map { .date($0) } ?? .text(raw)
        default:
            guard let number = Double(raw), number.isFinite else {
                throw .damaged("cell \(WorkbookColumn.name(column))\(rowNumber) holds the number '\(raw)'")
            }
            if isDate, let date = WorkbookDate(serial: number, raw: raw, is1904: index.is1904) { return .date(date) }
            return .number(number, raw: raw)
        }
    }

    private static func text(_ text: String) -> WorkbookCell { text.isEmpty ? .empty : .text(text) }
}

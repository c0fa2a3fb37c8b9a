/// Where in a workbook something was found: the file, and if known the part inside it and the position in that part.
package struct WorkbookPlace: Hashable, Sendable, CustomStringConvertible {
    package let path: String
    package var part: String?
    /// 1-based.
    package var line: Int?
    /// 1-based. Excel writes a whole part on one line, so that the line alone would say nothing.
    package var column: Int?

    package init(path: String, part: String? = nil, line: Int? = nil, column: Int? = nil) {
        self.path = path
        self.part = part
        self.line = line
        self.column = column
    }

    package var description: String {
        guard let part else { return path }
        guard let line, let column else { return "\(path), part \(part)" }
        return "\(path), part \(part), line \(line), column \(column)"
    }
}

/// Why a workbook could not be read or written. Nothing of it may be kept: rows handed over before are to be dropped.
package enum WorkbookError: Error, Hashable, Sendable {
    case unreadable(path: String, reason: String)
    /// `found` completes "It is …".
    case notWorkbook(path: String, found: String)
    case oldFormat(path: String)
    case passwordProtected(path: String)
    case damaged(WorkbookPlace, reason: String)
    case doctype(WorkbookPlace)
    /// `what` completes "It has …" and names the limit.
    case tooLarge(WorkbookPlace, what: String)
    case noSheet(path: String)
    /// `other`: a sheet that has rows.
    case noRows(path: String, sheet: String, other: String?)
    /// Disk full, no such folder, no permission: whatever stood at the path before still stands there.
    case notWritten(path: String, reason: String)
    case textTooLong(path: String, cell: String)
}

extension WorkbookError: CustomStringConvertible {
    package var description: String { "\(what) \(next)" }

    /// What and where, one sentence.
    package var what: String {
        switch self {
        case .unreadable(let path, let reason): "\(path) cannot be read: \(reason)."
        case .notWorkbook(let path, let found): "\(path) is not an .xlsx workbook. It is \(found)."
        case .oldFormat(let path): "\(path) is an old .xls workbook."
        case .passwordProtected(let path): "\(path) is protected with a password."
        case .damaged(let place, let reason): "\(place) is damaged: \(reason)."
        case .doctype(let place): "\(place) holds a DOCTYPE, which no spreadsheet program writes."
        case .tooLarge(let place, let what): "\(place) is too large. It has \(what)."
        case .noSheet(let path): "\(path) has no sheet with cells."
        case .noRows(let path, let sheet, let other):
            "\(path): 业务数据为空. The first sheet (\(sheet)) has no data rows"
                + (other.map { "; data were found on sheet \($0)." } ?? ".")
        case .notWritten(let path, let reason): "\(path) was not written: \(reason)."
        case .textTooLong(let path, let cell):
            "\(path) was not written: the text of cell \(cell) is longer than the 32767 characters that a cell holds."
        }
    }

    /// What to do next, one sentence.
    package var next: String {
        switch self {
        case .unreadable: "Check the name and that you may read the file."
        case .notWorkbook, .oldFormat:
            "Open it in Excel or WPS, save it as \"Excel workbook (.xlsx)\", and import that file."
        case .passwordProtected: "Open it in Excel or WPS, save it without a password, and import that file."
        case .damaged: "Copy it again from where it came, or open it in Excel or WPS and save it anew."
        case .doctype: "Open it in Excel or WPS, save it anew, and import that file."
        case .tooLarge: "Copy the filled rows into a new template, or split them over several files."
        case .noSheet, .noRows(_, _, nil): "Copy the rows into a template and import that."
        case .noRows(_, _, let other?): "Move the sheet \(other) to the front, save, and import the file again."
        case .notWritten: "Check the folder, its permissions and the free space of the disk, then try again."
        case .textTooLong: "Shorten that text."
        }
    }

    /// For the edge to a person: a wrong path is a usage error, everything else is a refusal that changed nothing.
    package var failure: Failure {
        switch self {
        case .unreadable: Failure(.usage, what, next: next)
        default: Failure(.refused, what, next: next)
        }
    }
}

/// What must be known of a workbook before a sheet can be read: its sheets in order, its texts, the formats of dates.
struct WorkbookIndex {
    struct Sheet {
        let name: String
        let part: String
        let isHidden: Bool
    }

    let sheets: [Sheet]
    let is1904: Bool
    /// By a cell's `s`.
    let dateStyles: [Bool]
    /// By the `v` of a cell of type `s`.
    let strings: [String]

    init(_ archive: WorkbookArchive) throws(WorkbookError) {
        let bookPart = try Self.workbookPart(archive)
        let book = BookHandler()
        try XMLFeed.readAll(archive.requiredPart(bookPart), book)
        guard book.root == "workbook" else {
            throw .notWorkbook(path: archive.path, found: "another kind of Office document, with a spreadsheet's name")
        }
        let related = try Self.relations(of: bookPart, archive)
        is1904 = book.is1904
        sheets = book.sheets.compactMap { sheet in
            // Sheets that hold only a chart or a macro have other types.
            guard let relation = related.first(where: { $0.id == sheet.relation && $0.is("worksheet") }) else {
                return nil
            }
            return Sheet(name: sheet.name, part: relation.part, isHidden: sheet.isHidden)
        }
        let styles = StylesHandler()
        if let part = related.first(where: { $0.is("styles") })?.part {
            try XMLFeed.readAll(archive.requiredPart(part), styles)
        }
        dateStyles = styles.dateStyles
        let texts = StringsHandler(archive.limits)
        if let part = related.first(where: { $0.is("sharedStrings") })?.part {
            try XMLFeed.readAll(archive.requiredPart(part), texts)
        }
        strings = texts.strings
    }

    /// The part that the package's own relations name; zips of other kinds have none.
    private static func workbookPart(_ archive: WorkbookArchive) throws(WorkbookError) -> String {
        guard try archive.part("_rels/.rels") != nil,
            let part = try relations(of: "", archive).first(where: { $0.is("officeDocument") })?.part
        else {
            throw .notWorkbook(
                path: archive.path, found: "a zip file of another kind (an .ods, or a folder that was packed?)")
        }
        // .xlsb: the same zip with parts that are not XML.
        if part.hasSuffix(".bin") { throw .notWorkbook(path: archive.path, found: "a binary .xlsb workbook") }
        return part
    }

    private static func relations(of part: String, _ archive: WorkbookArchive) throws(WorkbookError) -> [Relation] {
        let (folder, file) =
            part.lastIndex(of: "/").map { (String(part[...$0]), String(part[$0...].dropFirst())) } ?? ("", part)
        let handler = RelationsHandler(folder: folder)
        try XMLFeed.readAll(archive.requiredPart("\(folder)_rels/\(file).rels"), handler)
        return handler.relations
    }
}

/// One part that another one points to.
private struct Relation {
    let id: String
    let type: String
    let part: String

    /// By the last word of the type: the two editions of the standard (transitional, strict) differ before it.
    func `is`(_ word: String) -> Bool { type.hasSuffix("/" + word) }

    /// `worksheets/sheet1.xml` in `xl/` is `xl/worksheets/sheet1.xml`; `/xl/…` counts from the root.
    static func resolved(_ target: String, folder: String) -> String {
        var steps: [Substring] = []
        for step in (target.hasPrefix("/") ? target : folder + target).split(separator: "/") where step != "." {
            if step == ".." { _ = steps.popLast() } else { steps.append(step) }
        }
        return steps.joined(separator: "/")
    }
}

private final class RelationsHandler: XMLHandler {
    private(set) var relations: [Relation] = []
    private let folder: String
    init(folder: String) { self.folder = folder }

    func start(_ name: String, _ attributes: XMLAttributes) {
        guard name == "Relationship", attributes["TargetMode"] != "External",
            let id = attributes["Id"], let type = attributes["Type"], let target = attributes["Target"]
        else { return }
        relations.append(Relation(id: id, type: type, part: Relation.resolved(target, folder: folder)))
    }
    func end(_ name: String) {}
    func text(_ piece: UnsafeBufferPointer<UInt8>) {}
}

private final class BookHandler: XMLHandler {
    private(set) var root: String?
    private(set) var is1904 = false
    private(set) var sheets: [(name: String, relation: String, isHidden: Bool)] = []

    func start(_ name: String, _ attributes: XMLAttributes) {
        if root == nil { root = name }
        switch name {
        case "workbookPr": is1904 = attributes.flag("date1904")
        case "sheet":
            guard let title = attributes["name"], let relation = attributes["id", namespaced: true] else { return }
            sheets.append((title, relation, ["hidden", "veryHidden"].contains(attributes["state"])))
        default: break
        }
    }
    func end(_ name: String) {}
    func text(_ piece: UnsafeBufferPointer<UInt8>) {}
}

private final class StylesHandler: XMLHandler {
    private(set) var dateStyles: [Bool] = []
    private var dateFormats: [Int: Bool] = [:]
    /// `numFmts` or `cellXfs`: `numFmt` and `xf` also stand in lists that do not matter here.
    private var list = ""

    func start(_ name: String, _ attributes: XMLAttributes) {
        switch name {
        case "numFmts", "cellXfs": list = name
        case "numFmt" where list == "numFmts":
            guard let id = attributes["numFmtId"].flatMap({ Int($0) }), let code = attributes["formatCode"] else {
                return
            }
            dateFormats[id] = DateFormats.isDate(code: code)
        case "xf" where list == "cellXfs":
            let id = attributes["numFmtId"].flatMap { Int($0) } ?? 0
            dateStyles.append(dateFormats[id] ?? DateFormats.isDate(builtIn: id))
        default: break
        }
    }
    func end(_ name: String) { if name == list { list = "" } }
    func text(_ piece: UnsafeBufferPointer<UInt8>) {}
}

private final class StringsHandler: XMLHandler {
    private(set) var strings: [String] = []
    private var rich: RichText
    private let countMax: Int
    init(_ limits: WorkbookLimits) {
        rich = RichText(bytesMax: limits.cellBytesMax)
        countMax = limits.sharedStringsMax
    }

    func start(_ name: String, _ attributes: XMLAttributes) { rich.start(name) }
    func end(_ name: String) throws(WorkbookProblem) {
        rich.end(name)
        guard name == "si" else { return }
        guard strings.count < countMax else {
            throw .tooLarge("more than \(countMax) different texts, which is the limit")
        }
        strings.append(rich.take())
    }
    func text(_ piece: UnsafeBufferPointer<UInt8>) throws(WorkbookProblem) { try rich.append(piece) }
}

/// The text of one `si` or `is`: its runs (`r`) joined, phonetic readings (`rPh`) left out.
struct RichText {
    private let bytesMax: Int
    private var bytes: [UInt8] = []
    private var isInText = false
    private var isInPhonetic = false
    init(bytesMax: Int) { self.bytesMax = bytesMax }

    mutating func start(_ name: String) {
        if name == "rPh" { isInPhonetic = true }
        if name == "t" { isInText = !isInPhonetic }
    }
    mutating func end(_ name: String) {
        if name == "rPh" { isInPhonetic = false }
        if name == "t" { isInText = false }
    }
    mutating func append(_ piece: UnsafeBufferPointer<UInt8>) throws(WorkbookProblem) {
        guard isInText else { return }
        guard bytes.count + piece.count <= bytesMax else {
            throw .tooLarge("a text of more than \(bytesMax) bytes in one cell, which is the limit")
        }
        bytes.append(contentsOf: piece)
    }
    /// The text so far; the next one begins empty.
    mutating func take() -> String {
        defer { bytes.removeAll(keepingCapacity: true) }
        return CellText.decoded(bytes)
    }
}

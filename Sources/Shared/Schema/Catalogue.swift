// The catalogue, compiled: forms, fields, groups, code sets and rules as the rest of zzsync uses them.
//
// Data, not code: everything here comes from TOML and TSV files (`CatalogueLoader`). Nothing in zzsync names a form or a
// field; 11 forms or 118 make no difference to it.

/// All forms and code sets of one version.
package struct Catalogue: Sendable {
    /// Ascending by number, which is the order of the wire and of sealing.
    package let forms: [Form]
    /// All that has a table and travels, ascending by number: the catalogue's forms, foreign ones, then zzsync's own.
    package let storedForms: [Form]
    package let codeSets: [String: CodeSet]
    /// Over the source files: two replicas with equal hashes decide alike.
    package let hash: ContentHash
    /// The source files: a home keeps those of every version that it has had.
    package let files: [CatalogueFile]
    /// What the codec leaves out of a segment, for it follows from the fields' fills.
    package let predictors: Predictors
    private let byID: [String: Int]
    private let byNumber: [FormNumber: Int]

    package init(forms: [Form], codeSets: [String: CodeSet], files: [CatalogueFile], hash: ContentHash) {
        let sorted = forms.sorted { $0.number < $1.number }
        self.init(
            forms: sorted, storedForms: sorted + SystemForms.all, codeSets: codeSets, files: files, hash: hash,
            predictors: FillExpression.predictors(of: sorted, codeSets: codeSets))
    }

    private init(
        forms: [Form], storedForms: [Form], codeSets: [String: CodeSet], files: [CatalogueFile], hash: ContentHash, predictors: Predictors
    ) {
        self.forms = forms
        self.storedForms = storedForms
        self.codeSets = codeSets
        self.files = files
        self.hash = hash
        self.predictors = predictors
        byID = Dictionary(uniqueKeysWithValues: forms.enumerated().map { ($1.id, $0) })
        byNumber = Dictionary(uniqueKeysWithValues: storedForms.enumerated().map { ($1.number, $0) })
    }

    /// The same version with room for what others have written of another one.
    package func widened(by foreign: ForeignFields) -> Catalogue {
        if foreign.isEmpty { return self }
        func wide(_ form: Form) -> Form { form.widened(by: foreign[form.number]) }
        let unknown = foreign.forms.filter { self[number: $0] == nil }.map { wide(Form.foreign($0)) }
        return Catalogue(
            forms: forms.map(wide), storedForms: (storedForms.map(wide) + unknown).sorted { $0.number < $1.number },
            codeSets: codeSets, files: files, hash: hash, predictors: predictors)
    }

    /// The schools' data, without zzsync's own forms: the catalogue's forms and foreign ones.
    package var dataForms: [Form] { storedForms.filter { !SystemForms.isSystem($0.number) } }

    /// One of the catalogue's forms or of zzsync's own.
    package subscript(number number: FormNumber) -> Form? { byNumber[number].map { storedForms[$0] } }
    package subscript(id: String) -> Form? { byID[id].map { forms[$0] } }

    /// Finds a form by id, table, full path or template name.
    ///
    /// - Throws: `Failure(.usage)` that names what comes closest when there is no such form.
    package func form(named name: String) throws(Failure) -> Form {
        if let form = self[name] { return form }
        if let form = forms.first(where: { $0.table == name || $0.path == name || $0.template == name }) { return form }
        let byTitle = forms.filter { $0.title == name }
        if byTitle.count == 1 { return byTitle[0] }
        let near = nearest(name, among: forms.flatMap { [$0.id, $0.template].compactMap { $0 } })
        throw Failure(
            .usage, "There is no form '\(name)' in the catalogue.",
            next: (near.map { "Did you mean '\($0)'? " } ?? "") + "`zzsync forms` lists them.")
    }

    /// Forms with a template, in the order in which a school must import them.
    package var importable: [Form] {
        forms.filter { $0.importOrder != nil }.sorted { $0.importOrder! < $1.importOrder! }
    }
}

/// One table of the catalogue.
package struct Form: Sendable {
    package let number: FormNumber
    package let id: String
    package let module: String
    package let section: String
    package let title: String
    /// Name of the import template; nil where the form is only typed.
    package let template: String?
    package let importOrder: Int?
    package let prerequisites: [String]
    /// School type → required level.
    package let levels: [String: String]
    package internal(set) var fields: [Field]
    package internal(set) var groups: [Group]
    /// Indices into `fields`; empty when the form has no natural key.
    package let key: [Int]
    /// Where the key must be unique.
    package let keyScope: KeyScope
    package let rules: [Rule]
    /// One full valid row, column → value as stored; for templates and tests.
    package let example: [String: Value]
    /// Fields of several choices, each made of flags among `fields`.
    package var choiceFields: [ChoiceField] = []

    /// The SQL table: the id with underscores.
    package var table: String { id.split(separator: ".").joined(separator: "_") }
    /// The whole menu path: titles alone repeat.
    package var path: String { "\(module)/\(section)/\(title)" }

    package func fieldIndex(id: String) -> Int? { fields.firstIndex { $0.id == id } }

    /// Finds a field by column, Chinese heading or number.
    ///
    /// - Throws: `Failure(.usage)` that names what comes closest.
    package func field(named name: String) throws(Failure) -> Int {
        if let index = fields.firstIndex(where: { $0.id == name || $0.title == name }) { return index }
        let near = nearest(name, among: fields.flatMap { [$0.id, $0.title] })
        throw Failure(
            .usage, "Form \(id) has no field '\(name)'.",
            next: (near.map { "Did you mean '\($0)'? " } ?? "") + "`zzsync forms \(id)` lists its fields.")
    }

    /// Every field of every group that `mask` touches: groups travel whole.
    package func closure(_ mask: FieldMask) -> FieldMask {
        groups.reduce(into: mask) { out, group in
            if !(group.mask & mask).isEmpty { out = out | group.mask }
        }
    }

    /// Mask of all fields.
    package var allFields: FieldMask { groups.reduce(FieldMask()) { $0 | $1.mask } }
}

/// Where a natural key must be unique: a class number in its school, an ID number everywhere.
package enum KeyScope: String, Sendable, Decodable {
    case school, everywhere
}

package enum FieldType: String, Sendable, Decodable {
    case text, integer, decimal, date, code, region, phone, flag
    case yearMonth = "year_month"
    case idNumber = "id_number"

    /// The column type of a STRICT table.
    package var sql: String {
        switch self {
        case .integer, .flag: "INTEGER"
        case .decimal: "REAL"
        default: "TEXT"
        }
    }
}

package struct Field: Sendable {
    /// 1...126, never reused.
    package let number: Int
    /// The SQL column.
    package let id: String
    /// The Chinese heading.
    package let title: String
    package let type: FieldType
    package let length: Int?
    package let codes: String?
    /// Form id and column that must hold this value.
    package let references: (form: String, field: String)?
    package let required: Bool
    package let owner: String
    package let privacy: String
    package let fill: String?
    package let note: String
    package let status: String
    /// Of another version of the catalogue: nothing is known of it but its number.
    package var isForeign = false
    /// The type of its column.
    package var sqlType: String { isForeign ? "ANY" : type.sql }
}

/// How a group with two unseen values is decided.
package enum Policy: String, Sendable, Decodable, CaseIterable {
    case manual, owner, newest, union
}

/// The fields that merge together. Its number is the smallest of its fields' numbers, which outlives regrouping.
package struct Group: Sendable {
    package let number: Int
    package let name: String
    /// Indices into the form's fields.
    package let fields: [Int]
    package let mask: FieldMask
    package let policy: Policy
    /// Whose value stands where the policy is `owner`.
    package var owner = Owner.tier(.school)
    /// One field of another version of the catalogue.
    package var isForeign = false
}

/// One file that a catalogue was made from.
package struct CatalogueFile: Codable, Hashable, Sendable {
    package let name: String
    package let text: String
    package init(name: String, text: String) {
        self.name = name
        self.text = text
    }
}

package enum RuleLevel: String, Sendable, Decodable {
    case error, warn, explain
}

/// What a rule asks; tells who uses it beside `check`.
package enum RuleKind: Sendable, Equatable {
    /// Written in the catalogue.
    case authored
    /// Made from a field's attributes.
    case field
    /// The natural key is unique; at a hub this is a case, not a finding.
    case uniqueKey
    /// A referenced row exists; clears itself when the row arrives.
    case reference(form: String)
}

/// A row breaks the rule when `condition` is true; a NULL condition breaks nothing.
package struct Rule: Sendable {
    package let id: String
    package let level: RuleLevel
    package let kind: RuleKind
    /// SQL over the form's columns, `this.column` or bare: true = broken.
    package let condition: String
    /// Fields concerned, for the message's place.
    package let fields: [String]
    package let message: String
    package let fix: String
    /// Overrides of the form's example that break it; for the tests.
    package let breaks: [String: Value]
}

package struct CodeSet: Sendable {
    package let name: String
    /// In file order.
    package let entries: [(code: String, name: String)]
    private let names: [String: String]
    private let codes: [String: String]

    package init(name: String, entries: [(code: String, name: String)]) {
        self.name = name
        self.entries = entries
        names = Dictionary(entries.map { ($0.code, $0.name) }, uniquingKeysWith: { first, _ in first })
        codes = Dictionary(entries.map { ($0.name, $0.code) }, uniquingKeysWith: { first, _ in first })
    }

    package func name(of code: String) -> String? { names[code] }
    /// The code for a code or a name as people write it.
    package func code(for text: String) -> String? { names[text] != nil ? text : codes[text] }
}

/// The candidate with the smallest edit distance, if it is near enough to be a slip of the hand.
package func nearest(_ text: String, among candidates: [String]) -> String? {
    let best = candidates.map { (editDistance(text, $0), $0) }.min { $0.0 < $1.0 }
    guard let best, best.0 <= max(2, text.count / 3) else { return nil }
    return best.1
}

private func editDistance(_ a: String, _ b: String) -> Int {
    let a = Array(a), b = Array(b)
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let next = min(row[j] + 1, row[j + 1] + 1, diagonal + (x == y ? 0 : 1))
            diagonal = row[j + 1]
            row[j + 1] = next
        }
    }
    return row[b.count]
}

// What another version of the catalogue has and this one has not: fields and forms of which nothing is known but a number.
//
// Masks, columns and rows of a segment name fields and forms by number, and a column says itself how it is encoded, so an older
// program reads what a newer one wrote. What it then does with it was weighed. (1) A side table of (row, field, value) with
// positions of its own: the form's table stays as the catalogue has it, but merging, judging, history, cases, holding, pages,
// forwarding and digests each need a second walk over it, and whatever one of them forgets is lost for everybody above and below. (2) A wider form:
// a foreign field gets a column of type ANY in the form's own table, named by its number, and is a group of its own, so that all of these
// do with it what they do with any field, and the judge groups "by its own catalogue". The second. A row that has never
// carried the field pays nothing for it: its metadata stay silent, which means "never written". What a catalogue does not know it
// cannot check: a foreign field has no rule, no policy but to ask, no name; no writer here can touch it.
//
// A value that was predicted by an expression that the reader lacks cannot be decoded. Either the whole catalogue travels (the
// handing down that comes later), or nobody predicts for a reader with other expressions: hello says whose are the same (`Predictors.digest`).
// The second; what was sealed before that was known waits in quarantine, and never becomes another value.

import GRDB

/// Which foreign fields a home has met, in the order in which it met them.
package struct ForeignFields: Sendable {
    private var fields: [FormNumber: [Int]] = [:]

    package init() {}
    package var isEmpty: Bool { fields.isEmpty }
    package var forms: [FormNumber] { fields.keys.sorted() }
    package subscript(form: FormNumber) -> [Int] { fields[form] ?? [] }

    /// - Parameter field: 0 for the form itself.
    package mutating func add(form: FormNumber, field: Int) {
        if field == 0 { fields[form] = fields[form] ?? [] } else { fields[form, default: []].append(field) }
    }

    package static func load(_ db: Database) throws -> ForeignFields {
        var found = ForeignFields()
        let rows = try Row.fetchCursor(db.cachedStatement(sql: "SELECT form, field FROM zz_foreign ORDER BY number"))
        while let row = try rows.next() { found.add(form: row[0], field: row[1]) }
        return found
    }
}

extension Form {
    package static let foreignPrefix = "foreign."

    /// A form of another version.
    static func foreign(_ number: FormNumber) -> Form {
        Form(
            number: number, id: "\(foreignPrefix)\(number)", module: "其他版本", section: "表", title: "\(number)", template: nil,
            importOrder: nil, prerequisites: [], levels: [:], fields: [], groups: [], key: [], keyScope: .school, rules: [], example: [:])
    }

    /// The number of a form by its id, foreign or not; 0 where there is none.
    package static func number(of id: String, in catalogue: Catalogue) -> FormNumber {
        if id.hasPrefix(foreignPrefix) { return FormNumber(id.dropFirst(foreignPrefix.count)) ?? 0 }
        return catalogue[id]?.number ?? 0
    }

    package var isForeign: Bool { id.hasPrefix(Self.foreignPrefix) }

    /// The same form with these foreign fields behind its own, each a group: every index into fields and groups stays what it was.
    package func widened(by numbers: [Int]) -> Form {
        var wide = self
        for number in numbers where !fields.contains(where: { $0.number == number }) {
            var field = Field(
                number: number, id: "_f\(number)", title: "其他版本的栏\(number)", type: .text, length: nil, codes: nil, references: nil,
                required: false, owner: "school", privacy: "internal", fill: nil, note: "", status: "standard")
            field.isForeign = true
            var mask = FieldMask()
            mask.insert(number)
            var group = Group(number: number, name: field.id, fields: [wide.fields.count], mask: mask, policy: .manual)
            group.isForeign = true
            wide.fields.append(field)
            wide.groups.append(group)
        }
        return wide
    }

    /// Mask of the fields that the catalogue knows.
    package var ownFields: FieldMask { groups.reduce(FieldMask()) { $1.isForeign ? $0 : $0 | $1.mask } }
}
